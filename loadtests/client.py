"""A lean HTTP client: one request, one attempt, one typed outcome; shared by all of a worker's pool.

Built on geventhttpclient's connections and parser, not on its HTTPClient: that one repeats a GET silently up to once
for each connection, and a row of the plan is one request. Redirects are never followed. Knows no Locust.

Most answers come in one piece, with a Content-Length, on a connection that stays open; those are read here, in a
third of the time. Everything else goes to the parser. Cookies belong to whoever was given them, and a client to one
host: a jar is a journey's, and its cookies go back to the host that set them, whatever their path.
"""

import re
import select
import time
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple
from urllib.parse import urljoin, urlsplit

import gevent
import gevent.socket
import gevent.ssl
from geventhttpclient.connectionpool import ConnectionPool, SSLConnectionPool
from geventhttpclient.response import HTTPParseError, HTTPSocketPoolResponse

from caodiem.dossier import Outcome
from caodiem.errors import InvalidRun, UsageError
from caodiem.targets import Targets, without_secrets
from loadtests.journeys import NO_COOKIES
from loadtests.portals import Answer, Request, raised

REQUEST_TIMEOUT_S = 30.0
CONNECT_TIMEOUT_S = 10.0
BODY_BYTES_MAX = 16 * 1024 * 1024
_REFUSED = (429, 503)
_REDIRECTS = (301, 302, 303, 307, 308)
_MOST_SHOWN = 120
_BLOCK_BYTES = 65536
# A connection that rested longer may have been closed by the other side meanwhile, which costs a system call to see.
_RESTED_S = 0.05
_HEAD = re.compile(rb"HTTP/1\.1 ([245]\d\d)(?: [^\r\n\0]*)?(?:\r\n[!#$%&'*+.^_`|~0-9A-Za-z-]+:[^\r\n\0]*)+")
_LENGTH = re.compile(rb"(?i)\r\n(?:content-length:[ \t]*(\d+)[ \t]*(?=\r\n|$)|content-length:|transfer-encoding:)")
_CLOSE = re.compile(rb"(?i)\r\nconnection:[^\r]*close")
_TOLD = re.compile(rb"(?i)\r\nserver-timing:[ \t]*([^\r]*)")
_COOKIE = re.compile(rb"(?i)\r\nset-cookie:[ \t]*([^\r]*)")
_NO_BODY = (204, 205)
_TIMING = re.compile(r"\s*([A-Za-z0-9_.!#$%&'*+^`|~-]+)((?:\s*;(?:\"[^\"]*\"|[^,\"])*)*)")
_DURATION_MS = re.compile(r";\s*dur\s*=\s*\"?([0-9.eE+-]+)")


class Reply(NamedTuple):
    """What came over the wire: the status, the body, and the headers that anybody here asks for."""

    status: int
    body: bytes
    timing: str = ""
    location: str = ""
    cookies: tuple[str, ...] = ()


class _VerifyingPool(SSLConnectionPool):
    """Remembers a certificate that could not be verified: where all addresses fail, the first one's error is raised."""

    unverified: gevent.ssl.SSLCertVerificationError | None = None

    def _connect_socket(self, sock: gevent.socket.socket, address: Any) -> gevent.socket.socket:
        try:
            return super()._connect_socket(sock, address)
        except gevent.ssl.SSLCertVerificationError as error:
            self.unverified = error
            raise


class Client:
    """Sends requests to one host, which is checked against the permissions whenever it changes or the day does."""

    def __init__(
        self, host: str, targets: Targets, pool: int, timeout_s: float = REQUEST_TIMEOUT_S, authorities: str = ""
    ) -> None:
        """`authorities`: the certificates to trust (PEM), in place of those that everybody does."""
        parts = urlsplit(host)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UsageError(f"host {without_secrets(host)!r}: expected an address like https://staging.portal.example")
        self.host = self._checked = host
        self._targets = targets
        self._permitted_until_s = targets.ends_at_s(host)
        self._timeout_s = timeout_s
        self._prefix = parts.path.rstrip("/")
        port = parts.port or (443 if parts.scheme == "https" else 80)
        limits = {"size": pool, "connection_timeout": CONNECT_TIMEOUT_S, "network_timeout": timeout_s}
        address = (parts.hostname, port, parts.hostname, port)
        self._connections = (
            _VerifyingPool(*address, ssl_context_factory=_trusting(authorities), **limits)
            if parts.scheme == "https"
            else ConnectionPool(*address, **limits)
        )
        # Connections at rest, the last one used on top, with the time since when. The pool above makes and closes them.
        self._resting: list[tuple[gevent.socket.socket, float]] = []
        self._host = f"Host: {parts.netloc.rpartition('@')[2]}\r\n"

    def check_trust(self) -> None:
        """InvalidRun when we cannot verify the host's certificate, at whichever of its addresses: that no step is
        answered would say nothing of the portal. Whether it answers at all is for the replay to say.
        """
        if not isinstance(self._connections, _VerifyingPool):
            return
        try:
            connection = self._connections.get_socket()
        except OSError:
            if (error := self._connections.unverified) is None:
                return
            told = f"host {without_secrets(self.host)!r}: its certificate cannot be verified: {error}"
            raise InvalidRun(f"{told}; expected --ca FILE with the authorities to trust") from error
        self._resting.append((connection, time.monotonic()))

    def send(self, request: Request, jar: Mapping[str, str] = NO_COOKIES) -> Answer:
        """One attempt. SafetyError when the host may not be loaded, or no longer, so that nothing is sent, or when a
        redirect leads astray.

        `jar`: cookies by name, sent with the request unless it has some of its own; what the answer says of them is
        for `kept_cookies`.
        """
        if self.host is not self._checked:
            self._permitted_until_s = self._targets.ends_at_s(self.host)
            self._checked = self.host
        if time.time() >= self._permitted_until_s:
            self._targets.check(self.host)
        try:
            reply = self._exchange(request.method, self._message(request, jar))
        except UnicodeEncodeError:
            return Answer(
                Outcome.FAILED, 0, error="request: path or headers hold other letters than HTTP takes; quote them"
            )
        except TimeoutError:
            return Answer(Outcome.TIMED_OUT, 0, error="no answer in time")
        except (OSError, HTTPParseError) as error:
            return Answer(Outcome.FAILED, 0, error=f"{type(error).__name__}: {error}"[:_MOST_SHOWN])
        return self._judge(request, reply)

    def close(self) -> None:
        """Close the connections that are at rest."""
        while self._resting:
            self._connections.release_socket(self._resting.pop()[0])
        self._connections.close()

    def _message(self, request: Request, jar: Mapping[str, str]) -> bytes:
        # What the portal class says itself is not said twice; in names of headers upper and lower case are the same.
        given = {name.lower() for name in request.headers}
        lines = [f"{request.method} {self._prefix}{request.path} HTTP/1.1\r\n"]
        if "host" not in given:
            lines.append(self._host)
        if "user-agent" not in given:
            lines.append("User-Agent: caodiem\r\n")
        lines.extend(f"{name}: {value}\r\n" for name, value in request.headers.items())
        if jar and "cookie" not in given:
            lines.append(f"Cookie: {'; '.join(f'{name}={value}' for name, value in jar.items())}\r\n")
        if request.body and "content-type" not in given:
            lines.append("Content-Type: application/json\r\n")
        if (request.body or request.method != "GET") and "content-length" not in given:
            lines.append(f"Content-Length: {len(request.body)}\r\n")
        return ("".join(lines) + "\r\n").encode("latin-1") + request.body

    def _exchange(self, method: str, message: bytes) -> Reply:
        connection = self._connection()
        started_s = time.monotonic()
        try:
            sent = connection.send(message)
            if sent < len(message):
                connection.sendall(message[sent:])
            data = connection.recv(_BLOCK_BYTES)
        except BaseException:
            self._connections.release_socket(connection)
            raise
        if method != "HEAD" and (reply := whole_reply(data)) is not None:
            self._resting.append((connection, time.monotonic()))
            return reply
        if not data:
            self._connections.release_socket(connection)
            raise ConnectionResetError("closed before an answer")
        # The sockets' own limit is for each piece: an answer that trickles would never reach it.
        left_s = max(self._timeout_s - (time.monotonic() - started_s), 0.001)
        with gevent.Timeout(left_s, TimeoutError("no end of the answer in time")):
            return self._read_rest(connection, method, data)

    def _read_rest(self, connection: gevent.socket.socket, method: str, data: bytes) -> Reply:
        """The whole of an answer that begins with `data`; OSError beyond BODY_BYTES_MAX."""
        # From here on the response gives the connection back, also when it fails.
        response = HTTPSocketPoolResponse(connection, self._connections, method=method, pre_buffered=data)
        body = bytearray()
        while piece := response.read(_BLOCK_BYTES):
            body += piece
            if len(body) > BODY_BYTES_MAX:
                del response  # which closes the connection: its rest is nobody's answer
                raise OSError(f"an answer of more than {BODY_BYTES_MAX} bytes")
        told = (", ".join(_all(response, name)) for name in ("server-timing", "location"))
        return Reply(int(response.status_code), bytes(body), *told, _all(response, "set-cookie"))

    def _connection(self) -> gevent.socket.socket:
        """The connection that was used last and is still open, else a new one."""
        while self._resting:
            connection, since_s = self._resting.pop()
            if time.monotonic() - since_s < _RESTED_S or not _has_something_to_say(connection):
                return connection
            self._connections.release_socket(connection)
        return self._connections.get_socket()

    def _judge(self, request: Request, reply: Reply) -> Answer:
        status, body = reply.status, reply.body
        told = (server_timing(reply.timing) if reply.timing else (), reply.cookies)
        if status in _REFUSED:
            return Answer(Outcome.REFUSED, status, body, f"answer {status}", *told)
        if status in _REDIRECTS:
            self._check_redirect(reply.location)
            return Answer(Outcome.FAILED, status, body, f"answer {status}: redirects are not followed", *told)
        try:
            wrong = request.check(status, body)
        except Exception as error:  # a check of the user's may raise anything where it meets another form than it knows
            wrong = f"answer {status}: check: {raised(error)}"
        if wrong is None and not 200 <= status < 300:
            wrong = f"answer {status}"
        outcome = Outcome.OK if wrong is None else Outcome.FAILED
        return Answer(outcome, status, body, (wrong or "")[:_MOST_SHOWN], *told)

    def _check_redirect(self, location: str) -> None:
        """SafetyError when it leads to a host that may not be loaded; where there is no host, it leads nowhere."""
        try:
            self._targets.check(urljoin(self.host, location))
        except (UsageError, ValueError):
            return


def _trusting(authorities: str) -> Callable[..., gevent.ssl.SSLContext]:
    """Makes contexts that verify certificate and host name; UsageError when the authorities are no certificates."""

    def made(cafile: str | None = None) -> gevent.ssl.SSLContext:
        try:
            return gevent.ssl.create_default_context(cafile=None if authorities else cafile, cadata=authorities or None)
        except gevent.ssl.SSLError as error:
            raise UsageError(f"the authorities to trust: {error}; expected certificates in PEM") from error

    return made


def whole_reply(data: bytes) -> Reply | None:
    """An answer that is all there: HTTP/1.1, one Content-Length that fits, the connection left open; else None."""
    head, _, body = data.partition(b"\r\n\r\n")
    well_formed = _HEAD.fullmatch(head)
    if well_formed is None or _LENGTH.findall(head) != [b"%d" % len(body)] or _CLOSE.search(head):
        return None
    status = int(well_formed[1])
    if status in _NO_BODY:
        return None
    timing = b", ".join(_TOLD.findall(head)).decode("latin-1")
    # Most answers set none, and to look for a few letters is cheaper than for a header.
    if b"ookie:" not in head and b"OOKIE:" not in head:
        return Reply(status, body, timing)
    return Reply(status, body, timing, cookies=tuple(each.decode("latin-1") for each in _COOKIE.findall(head)))


def kept_cookies(jar: Mapping[str, str], told: tuple[str, ...]) -> dict[str, str]:
    """The jar after what Set-Cookie headers say (RFC 6265): a cookie that is over goes."""
    kept = dict(jar)
    for cookie in told:
        pair, *attributes = cookie.split(";")
        name, _, value = (word.strip() for word in pair.partition("="))
        if not name:
            continue
        if any(_is_over(attribute) for attribute in attributes):
            kept.pop(name, None)
        else:
            kept[name] = value
    return kept


def _is_over(attribute: str) -> bool:
    """Whether an attribute of a cookie says that its time is past."""
    name, _, value = (word.strip() for word in attribute.partition("="))
    try:
        if name.lower() == "max-age":
            return int(value) <= 0
        return name.lower() == "expires" and parsedate_to_datetime(value).timestamp() <= time.time()
    except (ValueError, OverflowError):
        return False


def _has_something_to_say(connection: gevent.socket.socket) -> bool:
    """A connection at rest that can be read is one that the other side has closed."""
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return bool(poll.poll(0))


def server_timing(header: str) -> tuple[tuple[str, float, float], ...]:
    """(station, wait_s, service_s) for each station of a Server-Timing header (W3C), whose durations are milliseconds.

    `verify;dur=12.5, verify-wait;dur=3` is one station. A metric without a duration is left out.
    """
    wait_s: dict[str, float] = {}
    service_s: dict[str, float] = {}
    for name, parameters in _TIMING.findall(header):
        found = _DURATION_MS.search(parameters)
        if found is None:
            continue
        try:
            duration_s = float(found[1]) / 1000
        except ValueError:
            continue
        station = name.removesuffix("-wait")
        (service_s if station == name else wait_s)[station] = duration_s
    stations = dict.fromkeys([*service_s, *wait_s])
    return tuple((station, wait_s.get(station, 0.0), service_s.get(station, 0.0)) for station in stations)


def _all(response: HTTPSocketPoolResponse, name: str) -> tuple[str, ...]:
    """The values of a header, however often it stands there."""
    found = response.get(name)
    return tuple(found) if isinstance(found, list) else (found,) if found else ()
