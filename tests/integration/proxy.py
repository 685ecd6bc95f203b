"""A proxy between wpcached and a real engine: sees each request, and can spoil any answer.

One connection to the engine for each of wpcached's, so that an engine that dies or is replaced is
met as it would be without the proxy.
"""
from __future__ import annotations

import contextlib
import http.client
import json
import re
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest

from engine import Engine, UnixHTTP


class Exchange:
    """A request that waits for its answer, in the hands of a fault."""

    def __init__(self, client: socket.socket, forward: Callable[[], tuple[bytes, bytes]]):
        self.client = client
        self.forward = forward  # has the engine do it; head and body of its answer

    def gone(self) -> None:
        """Returns when the client hangs up."""
        while self.client.recv(4096):
            pass


# What a hook returns: nothing, to let a request pass; an answer, which is given in the engine's
# stead; or a fault, which says what it likes, and the connection is closed after it.
Fault = Callable[[Exchange], None]
Hook = Callable[[str, str], "bytes | Fault | None"]


def answer(status: int, body: bytes, kind: str = "application/json") -> bytes:
    """A whole answer that is not the engine's."""
    return (f"HTTP/1.1 {status} {http.client.responses[status]}\r\nContent-Type: {kind}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n").encode() + body


def error(status: int, text: str) -> bytes:
    """An error in the engine's own form."""
    return answer(status, json.dumps({"message": text}).encode() + b"\n")


HTML = answer(200, b"<!DOCTYPE html><html><body><h1>It works!</h1></body></html>", "text/html")


def close(exchange: Exchange) -> None:
    """Hangs up; the engine hears nothing of the request."""


def hang(exchange: Exchange) -> None:
    """Never answers."""
    exchange.gone()


def delay(seconds: float) -> Fault:
    def fault(exchange: Exchange) -> None:
        time.sleep(seconds)
        exchange.client.sendall(b"".join(exchange.forward()))
    return fault


def answer_and_close(exchange: Exchange) -> None:
    """Hangs up after the engine's answer, without a word about that in it."""
    exchange.client.sendall(b"".join(exchange.forward()))


def cut(size: int) -> Fault:
    """Hangs up after the first bytes of the engine's answer."""
    def fault(exchange: Exchange) -> None:
        exchange.client.sendall(b"".join(exchange.forward())[:size])
    return fault


def truncate(exchange: Exchange) -> None:
    """Hangs up in the middle of the body, the announced length kept."""
    head, body = exchange.forward()
    exchange.client.sendall(head + body[:len(body) // 2])


def corrupt(exchange: Exchange) -> None:
    """No quotes in the second half of the body; where there is no body, no status line."""
    head, body = exchange.forward()
    middle = len(body) // 2
    body = body[:middle] + body[middle:].replace(b'"', b"\0")
    exchange.client.sendall(head + body if body else head.replace(b"HTTP", b"\xff\0\r\n", 1))


def unfinished(exchange: Exchange) -> None:
    """A sound answer in which the JSON ends too early."""
    body = exchange.forward()[1]
    exchange.client.sendall(answer(200, body[:len(body) // 2]))


def endless(exchange: Exchange) -> None:
    """A body that never ends."""
    exchange.client.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n[")
    while True:
        exchange.client.sendall(b" " * 65536)


def huge(size: int) -> Fault:
    """A sound answer, and SIZE bytes of blanks before it."""
    def fault(exchange: Exchange) -> None:
        body = exchange.forward()[1]
        exchange.client.sendall(answer(200, b" " * size + body))
    return fault


def plain(path: str) -> str:
    """A request's path as a person would write it: no version, nothing encoded."""
    return unquote(re.sub(r"^/v1\.\d+(?=/)", "", path))


IMAGE_ID = r"sha256:[0-9a-f]{64}"
TYPES = ("regular", "source.local", "source.git.checkout", "frontend", "internal")


def allowed(method: str, path: str) -> bool:
    """Whether wpcached may ever send this: looks, tags, four kinds of prune, untag by name."""
    parts = urlsplit(re.sub(r"^/v1\.\d+(?=/)", "", path))
    name = unquote(parts.path)
    query = parse_qsl(parts.query, keep_blank_values=True)
    if method == "GET":
        return True
    if method == "POST" and path == "/grpc":  # BuildKit's build history, which is read
        return True
    if method == "POST" and name == "/build/prune":
        minor = int((re.match(r"/v1\.(\d+)/", path) or ["", "0"])[1])
        amount = "reserved-space" if minor >= 48 else "keep-storage"
        rest = query[1:]
        if query[:1] != [("all", "1")] or len(rest) > 1:
            return False
        return (not rest
                or rest[0][0] == amount and re.fullmatch("[1-9][0-9]*", rest[0][1]) is not None
                or rest[0][0] == "filters" and (
                    rest[0][1] in (f'{{"type":["{kind}"]}}' for kind in TYPES)
                    or re.fullmatch(r'{"until":\["[1-9][0-9]*h"\]}', rest[0][1]) is not None))
    if method == "POST":
        return (re.fullmatch(f"/images/{IMAGE_ID}/tag", name) is not None
                and [key for key, _ in query] == ["repo", "tag"])
    return (method == "DELETE" and query in ([], [("noprune", "1")])
            and re.fullmatch(r"/images/(?!sha256:)[^@]+:[\w][\w.-]*", name) is not None)


class Gate:
    """A hook that holds the first request that matches until open(); then it ends as THEN says."""

    def __init__(self, method: str, pattern: str, then: bytes | Fault | None = None):
        self.method, self.pattern, self.then = method, pattern, then
        self._reached, self._opened = threading.Event(), threading.Event()

    def __call__(self, method: str, path: str) -> bytes | Fault | None:
        if (method != self.method or not re.search(self.pattern, path) or self._reached.is_set()):
            return None
        self._reached.set()
        self._opened.wait()
        return self.then

    def wait(self, timeout: float = 60) -> None:
        """Until a request is held."""
        assert self._reached.wait(timeout), f"no {self.method} {self.pattern} came"

    def open(self) -> None:
        self._opened.set()


class Proxy:
    """`with Proxy(engine.socket, path) as proxy:` listens at PATH.

    `before` is called with each request (see plain()) before the engine hears of it, on a thread of
    its connection: it may block, or act on the engine itself.
    """

    def __init__(self, engine: str | Path, path: str | Path):
        self.engine, self.socket = str(engine), str(path)
        self.before: Hook = lambda method, path: None
        self.requests: list[tuple[str, str]] = []  # as sent
        self.errors: list[BaseException] = []  # of hooks
        self._listener = socket.socket(socket.AF_UNIX)
        self._clients: set[socket.socket] = set()

    def __enter__(self) -> Proxy:
        self._listener.bind(self.socket)
        self._listener.listen(16)
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.hang_up()
        Path(self.socket).unlink(missing_ok=True)

    def hang_up(self) -> None:
        """Ends every connection, as a restart of the engine does."""
        for client in list(self._clients):
            with contextlib.suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)

    def sent(self, method: str, pattern: str = "") -> list[str]:
        """Paths of the requests so far that match."""
        return [plain(path) for how, path in list(self.requests)
                if how == method and re.search(pattern, plain(path))]

    @property
    def changes(self) -> list[tuple[str, str]]:
        """Requests so far that were not mere looks."""
        return [(method, plain(path)) for method, path in list(self.requests)
                if method != "GET" and path != "/grpc"]

    @property
    def forbidden(self) -> list[tuple[str, str]]:
        return [request for request in self.requests if not allowed(*request)]

    def _accept(self) -> None:
        while True:
            try:
                client = self._listener.accept()[0]
            except OSError:
                return
            self._clients.add(client)
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        upstream = UnixHTTP(self.engine, 600)
        try:
            with client, client.makefile("rb") as stream:
                upstream.connect()
                upstream.auto_open = 0
                while self._exchange(client, stream, upstream):
                    pass
        except (OSError, http.client.HTTPException):
            pass  # one end hung up, and so does the other
        except BaseException as caught:
            self.errors.append(caught)
        finally:
            upstream.close()
            self._clients.discard(client)

    def _exchange(self, client: socket.socket, stream: BinaryIO, upstream: UnixHTTP) -> bool:
        """One request and its answer; false where the connection is to be closed."""
        words = stream.readline().decode("latin-1").split()
        if len(words) != 3:
            return False
        method, path = words[:2]
        headers = http.client.parse_headers(stream)
        body = stream.read(int(headers.get("Content-Length", 0)))
        self.requests.append((method, path))

        def forward() -> tuple[bytes, bytes]:
            upstream.request(method, path, body or None, dict(headers.items()))
            return receive(upstream.getresponse())

        told = self.before(method, plain(path))
        if told is None and plain(path).startswith("/events") and "until=" not in path:
            upstream.request(method, path, None, dict(headers.items()))
            stream_through(client, upstream)
            return False
        if told is None and path == "/grpc":
            lines = ["POST /grpc HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
            upstream.sock.sendall("\r\n".join([*lines, "\r\n"]).encode("latin-1"))
            tunnel(client, upstream.sock)
            return False
        if callable(told):
            told(Exchange(client, forward))
            return False
        client.sendall(b"".join(forward()) if told is None else told)
        return True


def receive(response: http.client.HTTPResponse) -> tuple[bytes, bytes]:
    """Head and body of an answer, framed as the engine framed it."""
    chunked, body = response.chunked, response.read()
    lines = [f"HTTP/1.1 {response.status} {response.reason}",
             *(f"{name}: {value}" for name, value in response.getheaders())]
    if chunked:
        body = (b"%x\r\n%b\r\n" % (len(body), body) if body else b"") + b"0\r\n\r\n"
    return "\r\n".join([*lines, "\r\n"]).encode("latin-1"), body


def tunnel(client: socket.socket, engine: socket.socket) -> None:
    """Hands on what either end says, until one hangs up: HTTP/2, after an upgrade."""
    other = {client: engine, engine: client}
    while True:
        for end in select.select([client, engine], [], [])[0]:
            piece = end.recv(65536)
            if not piece:
                return
            other[end].sendall(piece)


def stream_through(client: socket.socket, upstream: UnixHTTP) -> None:
    """Hands an answer on as it comes, until one end hangs up."""
    engine = upstream.sock
    while True:
        ready = select.select([client, engine], [], [])[0]
        if client in ready:
            return
        piece = engine.recv(65536)
        if not piece:
            return
        client.sendall(piece)


@pytest.fixture
def proxy(engine: Engine, short_path: Path) -> Iterator[Proxy]:
    """A proxy before the engine. Whatever a test does to it, nothing forbidden is ever sent."""
    with Proxy(engine.socket, short_path / "proxy.sock") as running:
        yield running
        assert not running.errors
        assert not running.forbidden
