"""A Varlink client that can also do what no library lets one do."""
from __future__ import annotations

import json
import os
import select
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CACHE = "io.watchparty.Cache"
SERVICE = "org.varlink.service"
NOBODY = 65534


def message(method: str, more: bool = False, oneway: bool = False, **parameters: Any) -> bytes:
    """A call of METHOD, of the cache's interface unless it names one, with its NUL."""
    call: dict[str, Any] = {"method": method if "." in method else f"{CACHE}.{method}"}
    call |= {"parameters": parameters} if parameters else {}
    call |= {"more": True} if more else {}
    call |= {"oneway": True} if oneway else {}
    return json.dumps(call).encode() + b"\0"


class Wire:
    """A connection to a daemon's socket; every wait ends after TIMEOUT."""

    def __init__(self, path: Path, timeout: float = 30):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(timeout)
        self.socket.connect(str(path))
        self.data = b""

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        """Sends, as far as the peer takes it: it may close the connection meanwhile."""
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass

    def receive(self) -> dict[str, Any] | None:
        """The next message; None at the end of the connection."""
        while b"\0" not in self.data:
            try:
                piece = self.socket.recv(65536)
            except ConnectionResetError:
                piece = b""
            if not piece:
                assert not self.data, f"cut off: {self.data!r}"
                return None
            self.data += piece
        text, _, self.data = self.data.partition(b"\0")
        return json.loads(text)

    def call(self, method: str, more: bool = False, **parameters: Any) -> dict[str, Any]:
        self.send(message(method, more, **parameters))
        reply = self.receive()
        assert reply is not None, "the connection ended"
        return reply

    def closed(self) -> bool:
        """Whether the peer has closed it by now."""
        if not select.select([self.socket], [], [], 0)[0]:
            return False
        try:
            return self.socket.recv(1, socket.MSG_PEEK) == b""
        except ConnectionResetError:
            return True


def call(path: Path, method: str, **parameters: Any) -> dict[str, Any]:
    """One call on a connection of its own."""
    with Wire(path) as wire:
        return wire.call(method, **parameters)


@contextmanager
def user(uid: int, gid: int = NOBODY, groups: tuple[int, ...] = ()) -> Iterator[None]:
    """Connections made inside are this user's to the kernel, who they are is told at connect."""
    before = os.getgroups(), os.getegid(), os.geteuid()
    os.setgroups(groups)
    os.setegid(gid)
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(before[2])
        os.setegid(before[1])
        os.setgroups(before[0])
