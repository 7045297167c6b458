"""An HTTP proxy in front of a real server, that fails as it is told: for what no healthy server does.

    with faulty_proxy(server.endpoint_url) as proxy:
        proxy.add("PUT", "partNumber=2", Answer(503, "SlowDown"))       once; times=… for more
        proxy.add("POST", "uploadId=", LoseAnswer())                    done, and nobody is told

The first rule left whose method is the request's and whose text is in its path with query is used up by it. All else
passes as it is (the Host header too, which S3's signatures cover). `requests` has them all, in order of arrival, and
`session_tokens` what each had of temporary keys; `outwaited` those that were held for longer than anybody should wait.
"""

from __future__ import annotations

import contextlib
import http.client
import http.server
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

PATIENCE_SECONDS = 30


@dataclass(frozen=True)
class Answer:
    """An error as S3 (or STS) writes it, without asking the server."""

    status: int
    code: str
    service: str = "s3"
    message: str = "as told"

    def text(self) -> bytes:
        error = f"<Error><Code>{self.code}</Code><Message>{self.message}</Message></Error>"
        return (error if self.service == "s3" else f"<ErrorResponse>{error}</ErrorResponse>").encode()


@dataclass(frozen=True)
class Cut:
    """The connection is reset after so many bytes of the request's body."""

    after_bytes: int


@dataclass(frozen=True)
class LoseAnswer:
    """The server does it, but the connection is reset before it can say so; and `then` happens in between."""

    then: Callable[[], object] = bool


@dataclass(frozen=True)
class Break:
    """The server does it, and the connection is reset in the middle of its answer."""


@dataclass(frozen=True)
class Silence:
    """The server does it, and never says so."""


@dataclass(frozen=True)
class Stall:
    """Nothing is read nor said."""


@dataclass(frozen=True)
class Lie:
    """The server does it, and its answer's body is edited."""

    edit: Callable[[bytes], bytes]


@dataclass(frozen=True)
class Damage:
    """The server is given an edited body, whatever the client signed."""

    edit: Callable[[bytes], bytes]


Fault = Answer | Cut | LoseAnswer | Break | Silence | Stall | Lie | Damage


@dataclass
class _Rule:
    method: str
    text: str
    fault: Fault
    times: int


@dataclass
class FaultyProxy:
    url: str
    requests: list[str] = field(default_factory=list)
    session_tokens: list[str | None] = field(default_factory=list)
    outwaited: list[str] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)
    _rules: list[_Rule] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, method: str, text: str, fault: Fault, *, times: int = 1) -> None:
        with self._lock:
            self._rules.append(_Rule(method, text, fault, times))

    def unused(self) -> int:
        """How many times rules were to be used and were not."""
        return sum(rule.times for rule in self._rules)

    def count(self, method: str, text: str) -> int:
        return sum(1 for request in self.requests if request.startswith(f"{method} ") and text in request)

    def fault_of(self, method: str, path: str, session_token: str | None) -> Fault | None:
        with self._lock:
            self.requests.append(f"{method} {path}")
            self.session_tokens.append(session_token)
            for rule in self._rules:
                if rule.times > 0 and rule.method == method and rule.text in path:
                    rule.times -= 1
                    return rule.fault
        return None


@contextlib.contextmanager
def faulty_proxy(upstream: str) -> Iterator[FaultyProxy]:
    """On a port of its own, in threads of this process."""

    class Server(http.server.ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 64

        def handle_error(self, request: object, client_address: object) -> None:
            """A client that hangs up is nothing to print."""

    server = Server(("127.0.0.1", 0), _Handler)
    proxy = FaultyProxy(f"http://127.0.0.1:{server.server_port}")
    server.proxy, server.upstream = proxy, urlsplit(upstream).netloc  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.over.set()
        server.shutdown()
        server.server_close()
        thread.join()
    assert not proxy.outwaited, f"nobody should wait so long for an answer: {proxy.outwaited}"


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Nothing: `requests` has them."""

    def _handle(self) -> None:
        fault = self.server.proxy.fault_of(self.command, self.path, self.headers["x-amz-security-token"])  # type: ignore[attr-defined]
        match fault:
            case Answer(status):
                self._body()
                self._reply(status, [("Content-Type", "application/xml")], fault.text())
            case Cut(after_bytes):
                self._body(after_bytes)
                self._reset()
            case Stall():
                self._hold()
            case LoseAnswer(then):
                self._forward(self._body())
                then()
                self._reset()
            case Break():
                self._reply(*self._forward(self._body()), whole=False)
                self._reset()
            case Silence():
                self._forward(self._body())
                self._hold()
            case Damage(edit):
                self._reply(*self._forward(edit(self._body())))
            case Lie(edit):
                status, headers, body = self._forward(self._body())
                self._reply(status, headers, edit(body))
            case _:
                self._reply(*self._forward(self._body()))

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _handle  # noqa: N815  the standard library's names

    def _body(self, limit: int | None = None) -> bytes:
        length = int(self.headers.get("Content-Length", 0))
        return self.rfile.read(length if limit is None else min(length, limit))

    def _forward(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        upstream = http.client.HTTPConnection(self.server.upstream, timeout=60)  # type: ignore[attr-defined]
        with contextlib.closing(upstream):
            upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in ("expect", "connection", "content-length"):
                    upstream.putheader(name, value)
            upstream.putheader("Content-Length", str(len(body)))
            upstream.endheaders(body)
            answer = upstream.getresponse()
            return answer.status, answer.getheaders(), answer.read()

    def _reply(self, status: int, headers: list[tuple[str, str]], body: bytes, *, whole: bool = True) -> None:
        self.send_response_only(status)
        length = str(len(body))
        for name, value in headers:
            if self.command == "HEAD" and name.lower() == "content-length":
                length = value
            elif name.lower() not in ("content-length", "transfer-encoding", "connection"):
                self.send_header(name, value)
        self.send_header("Content-Length", length)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body if whole else body[: len(body) // 2])

    def _hold(self) -> None:
        proxy = self.server.proxy  # type: ignore[attr-defined]
        if not proxy.over.wait(PATIENCE_SECONDS):
            proxy.outwaited.append(f"{self.command} {self.path}")
        self._reset()

    def _reset(self) -> None:
        """Not a polite end but a reset, as by a firewall."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
