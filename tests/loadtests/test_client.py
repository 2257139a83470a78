"""The client's judgement of answers, against a socket that says exactly what a test wants said."""

import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from geventhttpclient.response import HTTPResponse

from caodiem.dossier import Outcome
from caodiem.errors import InvalidRun, SafetyError, UsageError
from caodiem.targets import Target, Targets
from loadtests.client import BODY_BYTES_MAX, Client, kept_cookies, server_timing, whole_reply
from loadtests.journeys import NO_COOKIES
from loadtests.portals import Request
from staging import pki

LOOPBACK_ONLY = Targets((), date(2026, 6, 9))


def all_right(status: int, body: bytes) -> str | None:
    return None


@contextmanager
def saying(*replies: bytes) -> Iterator[tuple[str, list[bytes]]]:
    """A server that gives each connection one of the replies and closes it; also what it was sent."""
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            for reply in replies:
                connection, _ = server.accept()
                with connection:
                    heard.append(connection.recv(65536))
                    connection.sendall(reply)

        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}", heard


def reply(status: int, body: bytes = b"{}", headers: str = "") -> bytes:
    return f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body


@pytest.mark.parametrize(
    ("said", "outcome", "status"),
    [
        (reply(200), Outcome.OK, 200),
        (reply(201, headers="Server-Timing: a;dur=2\r\n"), Outcome.OK, 201),
        (reply(429), Outcome.REFUSED, 429),
        (reply(503), Outcome.REFUSED, 503),
        (reply(500), Outcome.FAILED, 500),
        (reply(302, headers="Location: /elsewhere\r\n"), Outcome.FAILED, 302),
        (b"", Outcome.FAILED, 0),
        (b"nonsense\r\n\r\n", Outcome.FAILED, 0),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", Outcome.FAILED, 0),
    ],
)
def test_outcomes_are_typed(said: bytes, outcome: Outcome, status: int) -> None:
    with saying(said) as (url, _):
        answer = Client(url, LOOPBACK_ONLY, 1).send(Request("GET", "/", all_right))
    assert (answer.outcome, answer.status) == (outcome, status)
    assert bool(answer.error) == (outcome is not Outcome.OK)


@contextmanager
def speaking_tls(folder: Path) -> Iterator[tuple[str, str]]:
    """The address of a server that shows three callers its certificate and hangs up, and who vouches for it."""
    root = pki.make_authority("Root", None, 0)
    server = pki.make_server("127.0.0.1", "localhost", root)
    (folder / "server.pem").write_bytes(server.certificate.public_bytes(Encoding.PEM))
    (folder / "server.key").write_bytes(server.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem", folder / "server.key")
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            for _ in range(3):
                with listening.accept()[0] as connection, suppress(OSError):
                    context.wrap_socket(connection, server_side=True).close()

        threading.Thread(target=serve, daemon=True).start()
        yield f"https://127.0.0.1:{listening.getsockname()[1]}", root.certificate.public_bytes(Encoding.PEM).decode()


def test_a_certificate_that_nobody_vouches_for_proves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with speaking_tls(tmp_path) as (url, authorities):
        with pytest.raises(InvalidRun, match=r"CERTIFICATE_VERIFY_FAILED.*expected --ca FILE"):
            Client(url, LOOPBACK_ONLY, 1).check_trust()
        Client(url, LOOPBACK_ONLY, 1, authorities=authorities).check_trust()
        # As "localhost" often is: several addresses, and nobody listens at the first.
        port = int(url.rpartition(":")[2])
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in ("127.0.0.2", "127.0.0.1")]
        with monkeypatch.context() as patched, pytest.raises(InvalidRun, match="CERTIFICATE_VERIFY_FAILED"):
            patched.setattr("gevent.socket.getaddrinfo", lambda *_: found)
            Client(url, LOOPBACK_ONLY, 1).check_trust()
    # Nobody listens any more, which is not a matter of trust.
    Client(url, LOOPBACK_ONLY, 1).check_trust()
    Client(url.replace("https", "http"), LOOPBACK_ONLY, 1).check_trust()


def test_a_wrong_body_is_a_failure() -> None:
    def odd(status: int, body: bytes) -> str | None:
        raise TypeError("a list where an object should be")

    with saying(reply(200), reply(200)) as (url, _):
        client = Client(url, LOOPBACK_ONLY, 1)
        assert client.send(Request("GET", "/", lambda status, body: "wrong")).error == "wrong"
        assert client.send(Request("GET", "/", odd)).outcome is Outcome.FAILED


def test_no_answer_in_time_is_timed_out_and_nobody_listening_has_failed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        client = Client(f"http://127.0.0.1:{silent.getsockname()[1]}", LOOPBACK_ONLY, 1, timeout_s=0.1)
        assert client.send(Request("GET", "/", all_right)).outcome is Outcome.TIMED_OUT
        assert client.send(Request("GET", "/", all_right)).outcome is Outcome.TIMED_OUT  # the pool has its place back
    assert client.send(Request("GET", "/", all_right)).outcome is Outcome.FAILED


def test_a_get_is_sent_once_even_when_the_connection_breaks() -> None:
    with saying(b"", b"", b"") as (url, heard):
        Client(url, LOOPBACK_ONLY, 5).send(Request("GET", "/", all_right))
    assert len(heard) == 1


def test_what_goes_over_the_wire() -> None:
    with saying(reply(200)) as (url, heard):
        request = Request("POST", "/dossiers?q=1", all_right, b'{"a": 1}', {"Authorization": "Bearer t"})
        Client(f"{url}/base/", LOOPBACK_ONLY, 1).send(request)
    head, body = heard[0].split(b"\r\n\r\n")
    assert head.startswith(b"POST /base/dossiers?q=1 HTTP/1.1\r\nHost: 127.0.0.1:")
    assert b"Authorization: Bearer t" in head and b"Content-Length: 8" in head and body == b'{"a": 1}'


def test_what_a_portal_class_says_in_a_header_is_not_said_twice() -> None:
    """However it is spelt: names of headers have no case."""
    own = {"host": "a", "user-AGENT": "b", "cookie": "c=d", "content-type": "text/xml", "CONTENT-LENGTH": "3"}
    with saying(reply(200)) as (url, heard):
        Client(url, LOOPBACK_ONLY, 1).send(Request("POST", "/", all_right, b"<a>", own), {"e": "f"})
    assert heard[0].split(b"\r\n\r\n")[0].decode().split("\r\n")[1:] == [f"{name}: {own[name]}" for name in own]


def test_hosts_that_are_not_allowed_get_no_packet() -> None:
    with pytest.raises(SafetyError, match=r"portal\.example"):
        Client("https://portal.example", LOOPBACK_ONLY, 1)
    with saying(reply(307, headers="Location: https://portal.example/\r\n")) as (url, _), pytest.raises(SafetyError):
        Client(url, LOOPBACK_ONLY, 1).send(Request("GET", "/", all_right))
    with pytest.raises(UsageError, match="expected an address"):
        Client("portal.example", LOOPBACK_ONLY, 1)


def test_a_host_gets_no_packet_once_its_permission_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    today, tomorrow = date.today(), datetime.now() + timedelta(days=1)
    listed = Targets((Target("0.0.0.0", 9, today),))
    with saying(reply(200)) as (url, heard):
        client = Client(url.replace("127.0.0.1", "0.0.0.0"), listed, 1)
        assert client.send(Request("GET", "/", all_right)).outcome is Outcome.OK
        monkeypatch.setattr(time, "time", tomorrow.timestamp)  # which date.today() asks too
        with pytest.raises(SafetyError, match=f"host '0.0.0.0': the permission in targets.toml ended on {today}"):
            client.send(Request("GET", "/", all_right))
        assert len(heard) == 1


@pytest.mark.parametrize("location", ["mailto:help@portal.example", "http://[", "http://127.0.0.1:0/", "portal://app"])
def test_a_redirect_that_leads_nowhere_is_a_failure(location: str) -> None:
    with saying(reply(302, headers=f"Location: {location}\r\n")) as (url, _):
        answer = Client(url, LOOPBACK_ONLY, 1).send(Request("GET", "/", all_right))
    assert (answer.outcome, answer.status) == (Outcome.FAILED, 302)


def test_an_answer_that_trickles_is_timed_out_and_its_rest_reaches_nobody() -> None:
    done = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            first, _ = server.accept()
            first.recv(65536)
            first.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
            while not done.wait(0.02):
                first.sendall(b"a")
            second, _ = server.accept()
            with first, second:
                second.recv(65536)
                second.sendall(reply(200))

        threading.Thread(target=serve, daemon=True).start()
        client = Client(f"http://127.0.0.1:{server.getsockname()[1]}", LOOPBACK_ONLY, 5, timeout_s=0.2)
        assert client.send(Request("GET", "/", all_right)).outcome is Outcome.TIMED_OUT
        done.set()
        assert client.send(Request("GET", "/", all_right)).body == b"{}"
        client.close()


def test_an_answer_without_end_is_not_kept() -> None:
    with saying(reply(200, b"a" * (BODY_BYTES_MAX + 1))) as (url, _):
        answer = Client(url, LOOPBACK_ONLY, 1).send(Request("GET", "/", all_right))
    assert (answer.outcome, answer.body) == (Outcome.FAILED, b"")


def asked(url: str, jar: Mapping[str, str], headers: Mapping[str, str] = NO_COOKIES) -> Mapping[str, str]:
    answer = Client(url, LOOPBACK_ONLY, 1).send(Request("GET", "/", all_right, headers=headers), jar)
    return kept_cookies(jar, answer.cookies)


def test_cookies_are_kept_for_whoever_was_given_them() -> None:
    given = "Set-Cookie: session=a=1; Path=/; HttpOnly\r\nset-cookie: lang=vi\r\n"
    gone = "Set-Cookie: session=; Max-Age=0\r\nSet-Cookie: lang=x; Expires=Thu, 01 Jan 1970 00:00:00 GMT\r\n"
    mine: Mapping[str, str] = NO_COOKIES
    others = mine
    leading = reply(302, headers=f"Location: /\r\n{given}")  # the parser reads it, not whole_reply
    with saying(reply(200, headers=given), reply(200), reply(200), leading, reply(200, headers=gone)) as (url, heard):
        for _ in range(2):
            mine = asked(url, mine)
        for _ in range(2):
            others = asked(url, others)
        assert mine == others == {"session": "a=1", "lang": "vi"} and not NO_COOKIES
        assert asked(url, mine, {"Cookie": "session=my-own"}) == {}
    cookies = [[line for line in each.split(b"\r\n") if line.startswith(b"Cookie")] for each in heard]
    assert cookies == [[], [b"Cookie: session=a=1; lang=vi"], [], [], [b"Cookie: session=my-own"]]


@pytest.mark.parametrize(
    ("header", "stations"),
    [
        ("", ()),
        ("verify;dur=12.5, verify-wait;dur=3", (("verify", 0.003, 0.0125),)),
        ('db;desc="the, base";dur=2,app;dur=5', (("db", 0.0, 0.002), ("app", 0.0, 0.005))),
        ("cache-wait;dur=1", (("cache", 0.001, 0.0),)),
        ("miss, odd;dur=x, total;dur=1e1", (("total", 0.0, 0.01),)),
    ],
)
def test_server_timing(header: str, stations: tuple[tuple[str, float, float], ...]) -> None:
    assert server_timing(header) == stations


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 3",
        b"HTTP/1.1 404 \r\nX: y\r\ncontent-length:   3  \r\nServer-Timing: a;dur=1",
        b"HTTP/1.1 503\r\nContent-Length: 3\r\nConnection: keep-alive",
    ],
)
def test_an_answer_in_one_piece_is_read_as_the_parser_reads_it(head: bytes) -> None:
    found = whole_reply(head + b"\r\n\r\nabc")
    parser = HTTPResponse()
    parser.feed(head + b"\r\n\r\nabc")
    assert found is not None and parser.message_complete and not parser.should_close()
    assert (found.status, found.body, found.timing) == (
        parser.status_code, bytes(parser._body_buffer), parser.get("server-timing", "")
    )  # fmt: skip


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcd",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: x\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nX: y\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: Close\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nno colon\r\n\r\nabc",
        b"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nabc",
        b"HTTP/1.1 100 Continue\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: /\r\n\r\n",
        b"nonsense\r\n\r\n",
    ],
)
def test_anything_else_is_left_to_the_parser(data: bytes) -> None:
    assert whole_reply(data) is None


def test_answers_in_pieces_and_connections_that_were_closed_meanwhile() -> None:
    body = b"x" * 100_000
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            for _ in range(2):
                connection, _ = server.accept()
                with connection:
                    connection.recv(65536)
                    for part in (b"HTTP/1.1 200 OK\r\nContent-Len", b"gth: 100000\r\n\r\n", body):
                        connection.sendall(part)
                        time.sleep(0.05)
                    connection.recv(65536)
                    connection.sendall(reply(200))

        threading.Thread(target=serve, daemon=True).start()
        client = Client(f"http://127.0.0.1:{server.getsockname()[1]}", LOOPBACK_ONLY, 1)
        for _ in range(2):
            assert client.send(Request("GET", "/", all_right)).body == body
            assert client.send(Request("GET", "/", all_right)).body == b"{}"
            time.sleep(0.1)  # the server closes the connection; the next request must not go out on it
        client.close()
