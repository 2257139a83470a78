"""A lean HTTP client: one request, one attempt, one typed outcome; shared by all of a worker's pool.

Built on geventhttpclient's connections and parser, not on its HTTPClient: that one repeats a GET silently up to once
for each connection, and a row of the plan is one request. Redirects are never followed. Knows no Locust.
"""

import re
from typing import Any
from urllib.parse import urljoin, urlsplit

import gevent.socket
from geventhttpclient.connectionpool import ConnectionPool, SSLConnectionPool
from geventhttpclient.response import HTTPParseError, HTTPSocketPoolResponse

from caodiem.dossier import Outcome
from caodiem.errors import UsageError
from caodiem.targets import Targets
from loadtests.portals import Answer, Request

REQUEST_TIMEOUT_S = 30.0
CONNECT_TIMEOUT_S = 10.0
_REFUSED = (429, 503)
_REDIRECTS = (301, 302, 303, 307, 308)
_MOST_SHOWN = 120
_TIMING = re.compile(r"\s*([A-Za-z0-9_.!#$%&'*+^`|~-]+)((?:\s*;(?:\"[^\"]*\"|[^,\"])*)*)")
_DURATION_MS = re.compile(r";\s*dur\s*=\s*\"?([0-9.eE+-]+)")


class Client:
    """Sends requests to one host, which is checked against the permissions each time."""

    def __init__(self, host: str, targets: Targets, pool: int, timeout_s: float = REQUEST_TIMEOUT_S) -> None:
        parts = urlsplit(host)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UsageError(f"host {host!r}: expected an address like https://staging.portal.example")
        targets.check(host)
        self.host = host
        self._targets = targets
        self._prefix = parts.path.rstrip("/")
        port = parts.port or (443 if parts.scheme == "https" else 80)
        kind: type[ConnectionPool] = SSLConnectionPool if parts.scheme == "https" else ConnectionPool
        self._connections = kind(
            parts.hostname,
            port,
            parts.hostname,
            port,
            size=pool,
            connection_timeout=CONNECT_TIMEOUT_S,
            network_timeout=timeout_s,
        )
        self._common = f" HTTP/1.1\r\nHost: {parts.netloc.rpartition('@')[2]}\r\nUser-Agent: caodiem\r\n"

    def send(self, request: Request) -> Answer:
        """One attempt. SafetyError, and nothing sent, when the host may not be loaded or a redirect leads astray."""
        self._targets.check(self.host)
        message = self._message(request)
        try:
            response = self._exchange(request.method, message)
            body = response.read()
        except TimeoutError:
            return Answer(Outcome.TIMED_OUT, 0, error="no answer in time")
        except (OSError, HTTPParseError) as error:
            return Answer(Outcome.FAILED, 0, error=f"{type(error).__name__}: {error}"[:_MOST_SHOWN])
        return self._judge(request, response, body)

    def close(self) -> None:
        """Close the connections that are idle."""
        self._connections.close()

    def _message(self, request: Request) -> bytes:
        lines = [f"{request.method} {self._prefix}{request.path}{self._common}"]
        lines.extend(f"{name}: {value}\r\n" for name, value in request.headers.items())
        if request.body:
            lines.append(f"Content-Type: application/json\r\nContent-Length: {len(request.body)}\r\n")
        elif request.method != "GET":
            lines.append("Content-Length: 0\r\n")
        return ("".join(lines) + "\r\n").encode("latin-1") + request.body

    def _exchange(self, method: str, message: bytes) -> HTTPSocketPoolResponse:
        connection = self._connections.get_socket()
        try:
            connection.sendall(message)
        except gevent.socket.error:
            self._connections.release_socket(connection)
            raise
        # From here on the response gives the connection back, also when it fails.
        return HTTPSocketPoolResponse(connection, self._connections, method=method)

    def _judge(self, request: Request, response: Any, body: bytes) -> Answer:
        status = int(response.status_code)
        components = server_timing(_joined(response.get("server-timing")))
        if status in _REFUSED:
            return Answer(Outcome.REFUSED, status, body, f"answer {status}", components)
        if status in _REDIRECTS:
            location = urljoin(self.host, _joined(response.get("location")))
            self._targets.check(location)
            return Answer(Outcome.FAILED, status, body, f"answer {status}: redirects are not followed", components)
        try:
            wrong = request.check(status, body)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            wrong = f"answer {status}: a body of another form ({type(error).__name__})"
        if wrong is None and not 200 <= status < 300:
            wrong = f"answer {status}"
        outcome = Outcome.OK if wrong is None else Outcome.FAILED
        return Answer(outcome, status, body, (wrong or "")[:_MOST_SHOWN], components)


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


def _joined(header: str | list[str] | None) -> str:
    return ", ".join(header) if isinstance(header, list) else header or ""
