"""A scripted Varlink peer in wpcached's place, wpcachectl in front of it, and samples of what a daemon says."""
from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import select
import socket
import struct
import subprocess
import termios
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from daemon import BUILD

CTL = BUILD / "wpcachectl"
CACHE = "io.watchparty.Cache"
Script = Callable[[socket.socket, dict[str, Any]], None]


def frame(message: object) -> bytes:
    return json.dumps(message).encode() + b"\0"


class Peer:
    """Listens on PATH; each connection gets what SCRIPT sends in answer to its first call."""

    def __init__(self, path: Path, script: Script):
        self.path = path
        self.calls: list[dict[str, Any]] = []
        self.script = script
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen()
        os.chmod(path, 0o666)
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self) -> None:
        while True:
            try:
                conn, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(conn,), daemon=True).start()

    def _answer(self, conn: socket.socket) -> None:
        with conn:
            data = b""
            while not data.endswith(b"\0"):
                piece = conn.recv(65536)
                if not piece:
                    return
                data += piece
            call = json.loads(data[:-1])
            self.calls.append(call)
            try:
                self.script(conn, call)
            except OSError:  # the client did not wait for all of it
                pass

    def close(self) -> None:
        if self.listener.fileno() < 0:
            return
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.path.unlink()
        self.thread.join(5)


@pytest.fixture
def peer(short_path: Path) -> Iterator[Callable[..., Peer]]:
    """peer(SCRIPT) or peer(REPLY, …): replies, or raw bytes, sent one after the other. A second one takes the place of
    the first."""
    peers: list[Peer] = []

    def make(*script: Any) -> Peer:
        def replies(conn: socket.socket, _call: dict[str, Any]) -> None:
            for reply in script:
                conn.sendall(reply if isinstance(reply, bytes) else frame(reply))

        while peers:
            peers.pop().close()
        peers.append(Peer(short_path / "s", script[0] if callable(script[0]) else replies))
        return peers[-1]

    yield make
    while peers:
        peers.pop().close()


def ctl(peer: Peer | Path, *args: str, timeout: float = 60, **options: Any) -> subprocess.CompletedProcess[str]:
    env = {k: v for k, v in os.environ.items() if k not in ("WPCACHE_SOCKET", "NO_COLOR")}
    path = peer.path if isinstance(peer, Peer) else peer
    return subprocess.run([CTL, "--socket", path, *args], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=timeout, env={**env, "TZ": "UTC", **options.pop("env", {})}, **options)


class Terminal:
    """wpcachectl on a pseudo terminal of 60 columns."""

    def __init__(self, peer: Peer, *args: str, **env: str):
        self.output = b""
        clean = {k: v for k, v in os.environ.items() if k not in ("WPCACHE_SOCKET", "NO_COLOR")}
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execve(CTL, [str(CTL), "--socket", str(peer.path), *args], {**clean, "TERM": "xterm", **env})
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 60, 0, 0))

    def read_until(self, text: bytes | None, timeout: float = 30) -> None:
        """Until TEXT was printed, or the end."""
        until = time.monotonic() + timeout
        while text is None or text not in self.output:
            assert time.monotonic() < until, self.output
            if select.select([self.fd], [], [], 0.1)[0]:
                try:
                    data = os.read(self.fd, 65536)
                except OSError:
                    data = b""
                if not data:
                    assert text is None, self.output
                    return
                self.output += data

    def wait(self) -> int:
        self.read_until(None)
        os.close(self.fd)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    @property
    def screen(self) -> list[str]:
        """The lines that are left, live lines overwritten, without colour."""
        lines = re.sub(r"\x1b\[[0-9;]*m", "", self.output.decode()).replace("\r\n", "\n").split("\n")
        return [re.split(r"\r(?:\x1b\[K)?", line.replace("\x1b[K", ""))[-1] for line in lines]


def receipt(**changes: Any) -> dict[str, Any]:
    return {
        "id": "20250102-030405-abcd", "target": "all", "outcome": "fresh", "fresh": True,
        "who": {"uid": 0, "pid": 1}, "startedAt": 1, "finishedAt": 2, "keepMounts": False, "passes": 1,
        "remaining": [], "assumes": ["no build imports cache from a registry"],
        "notes": ["builds of blog start cold, too"], "removed": [], "engineReportedBytes": 3_100_000_000,
        "diskFreedBytes": 2_500_000_000,
        "names": [{"name": "watchparty-backend:latest", "imageId": "sha256:" + "a" * 64}],
        "rollbackTags": [], "keptMounts": [], **changes}


def progress(step: str, message: str, **more: Any) -> dict[str, Any]:
    return {"parameters": {"progress": {"jobId": "j1", "step": step, "message": message, "pass": 1, "elapsedSec": 0,
                                        "engineReportedBytes": 0, **more}}, "continues": True}


def final(**changes: Any) -> dict[str, Any]:
    return {"parameters": {"receipt": receipt(**changes)}}


CACHES = [{"app": "frontend", "path": ".next", "reach": "context", "bytes": 800_000_000},
          {"app": "backend", "path": "src/__pycache__", "reach": "outside", "bytes": 40_000},
          {"app": "frontend", "path": "node_modules/.cache", "reach": "ignored", "bytes": 400_000_000},
          {"app": "frontend", "path": ".turbo", "reach": "context", "bytes": 0}]

VOLUMES = [{"volume": "wp_static", "container": "web", "destination": "/app/staticfiles"}]

LEFT = [{"kind": "container", "object": "web", "reason": "it holds an image", "remedy": "docker rm web"},
        {"kind": "record", "object": "abc", "reason": "in use"}]

POLICY_RUN = {
    "id": "p1", "outcome": "left", "startedAt": 1, "finishedAt": 4, "records": 7, "plannedBytes": 5_000_000_000,
    "engineReportedBytes": 4_200_000_000, "diskFreedBytes": 4_100_000_000,
    "removed": [{"kind": "image", "object": "web:1", "remove": True, "rule": "maxAge", "bytes": 1_200_000_000,
                 "sentence": "web:1 goes: it is 40d old."}],
    "left": [{"kind": "image", "object": "web:2", "remove": True, "rule": "maxAge", "bytes": 300_000_000,
              "sentence": "web:2 goes: it is 41d old."}]}

STATUS = {
    "version": "0.0.1", "startedAt": 1, "config": {"file": "/etc/wpcache/wpcached.conf", "loadedAt": 1},
    "engine": {"state": "ok", "socket": "/run/docker.sock", "version": "28.5.1", "apiVersion": "1.51",
               "imageStore": "containerd"},
    "observedAt": 5, "builder": {"records": 312, "inUse": 2, "bytes": 4_100_000_000, "privateBytes": 4_000_000_000,
                                 "maxBytes": 5_000_000_000, "targetBytes": 4_000_000_000},
    "images": {"matching": 2, "untagged": 3, "total": 14, "bytes": 8_000_000_000, "rollbackTags": 1},
    "disks": [{"path": "/var/lib/docker", "totalBytes": 40_000_000_000, "freeBytes": 10_000_000_000,
               "totalInodes": 1000, "freeInodes": 500, "pressure": False, "minFreeBytes": 6_000_000_000}],
    "apps": [{"name": "frontend", "root": "/srv/wp/frontend", "state": "ok", "trash": "/srv/.wpcache-trash",
              "context": "/srv/wp/frontend", "searchedAt": 5, "caches": 3, "reached": 2, "bytes": 1_200_000_000}],
    "policy": {"mode": "enforce", "next": "remove 2 images (1.2GB)", "images": 2, "imageBytes": 1_200_000_000,
               "builderBytes": 0, "events": True},
    "inhibitors": [], "alarms": [], "queued": 1,
    "job": {"id": "j", "kind": "clear", "target": "all", "startedAt": 1, "step": "images", "message": "Removing x"},
    "lastClear": {"id": "r1", "target": "all", "outcome": "notFresh", "finishedAt": 2, "remaining": 3}}

PLAN = {
    "policy": {**STATUS["policy"], "hold": "grace", "holdUntil": 4_000_000_000,
               "next": "prune the build cache from 12GB to 8GB and remove 1 image (1.2GB)", "images": 1,
               "builderBytes": 4_000_000_000},
    "images": [
        {"kind": "image", "object": "web:1", "imageId": "sha256:" + "a" * 64, "names": ["web:1"], "remove": True,
         "rule": "maxAge", "sentence": "web:1 goes: it is 40d old.", "bytes": 1_200_000_000, "ageSec": 1},
        {"kind": "image", "object": "web:3", "imageId": "sha256:" + "b" * 64, "names": ["web:3"], "remove": False,
         "rule": "keepLast", "sentence": "web:3 stays: it is the newest.", "bytes": 1_300_000_000},
        {"kind": "image", "object": "web:2", "imageId": "sha256:" + "c" * 64, "names": ["web:2"], "remove": False,
         "rule": "inUse", "sentence": "web:2 stays: container web (running) uses it.", "bytes": 1_100_000_000},
        *({"kind": "image", "object": f"other:{i}", "imageId": f"sha256:{i:064}", "names": [f"other:{i}"],
           "remove": False, "rule": "noMatch", "sentence": "s", "bytes": 100_000_000} for i in range(7)),
        {"kind": "image", "object": "sha256:" + "d" * 64, "imageId": "sha256:" + "d" * 64, "names": [],
         "remove": False, "rule": "notOurs", "sentence": "s", "bytes": 1000},
        {"kind": "image", "object": "web:9", "imageId": "x", "names": [], "remove": False, "rule": "ofTomorrow",
         "sentence": "web:9 stays: it may.", "bytes": 1}],
    "builder": {"records": 312, "privateBytes": 12_000_000_000, "maxBytes": 10_000_000_000, "keepBytes": 8_000_000_000,
                "rule": "maxSize", "goes": 24, "goesBytes": 4_100_000_000,
                "first": [{"kind": "record", "object": f"record{i}", "remove": True, "rule": "recordLru",
                           "sentence": "s", "bytes": 1_000_000} for i in range(24)]},
    "disks": [{**STATUS["disks"][0], "freeBytes": 5_000_000_000, "pressure": True}]}

HISTORY = {
    "runs": [{"id": "r2", "kind": "clear", "target": "all", "outcome": "fresh", "who": "root", "startedAt": 86_400,
              "finishedAt": 86_401, "removed": 12, "remaining": 0, "engineReportedBytes": 1,
              "diskFreedBytes": 2_500_000_000},
             {"id": "r1", "kind": "policy", "outcome": "done", "startedAt": 60, "removed": 1234, "remaining": 0,
              "engineReportedBytes": 1, "diskFreedBytes": 1000}],
    "samples": [{"at": i * 60, "builderBytes": i * 100_000_000, "imageBytes": 1, "diskTotalBytes": 40_000_000_000,
                 "diskFreeBytes": 10_000_000_000} for i in range(101)]}
