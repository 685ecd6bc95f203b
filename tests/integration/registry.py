"""A registry in memory, in the network namespace of an engine, which reaches it at 127.0.0.1:5000."""
from __future__ import annotations

import fcntl
import hashlib
import http.server
import re
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from engine import Engine

ADDRESS = "127.0.0.1:5000"
SIOCSIFFLAGS = 0x8914


class Handler(http.server.BaseHTTPRequestHandler):
    """What push and pull need of the distribution API: blobs in one piece, manifests by tag and digest."""

    protocol_version = "HTTP/1.1"
    blobs: dict[str, tuple[str, bytes]] = {}
    manifests: dict[str, tuple[str, bytes]] = {}
    uploads: dict[str, bytes] = {}

    def log_message(self, *_: object) -> None:
        pass

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        data = b""
        while size := int(self.rfile.readline(), 16):
            data += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return data

    def do_GET(self) -> None:
        if self.path == "/v2/":
            return self.answer(200)
        match = re.fullmatch(r"/v2/(.+)/(blobs|manifests)/(.+)", self.path)
        assert match
        name, kind, reference = match.groups()
        if kind == "blobs":
            found = self.blobs.get(reference)
        else:
            found = self.manifests.get(reference) or self.manifests.get(f"{name}:{reference}")
        if not found:
            return self.answer(404)
        return self.answer(200, found[1], Content_Type=found[0],
                           Docker_Content_Digest="sha256:" + hashlib.sha256(found[1]).hexdigest())

    do_HEAD = do_GET

    def do_POST(self) -> None:
        self.body()
        upload = f"upload-{len(self.uploads)}"
        self.uploads[upload] = b""
        self.answer(202, Location=f"{self.path.split('/blobs')[0]}/blobs/uploads/{upload}",
                    Docker_Upload_UUID=upload, Range="0-0")

    def do_PATCH(self) -> None:
        upload = self.path.split("/")[-1].split("?")[0]
        self.uploads[upload] += self.body()
        self.answer(202, Location=self.path, Range=f"0-{len(self.uploads[upload]) - 1}")

    def do_PUT(self) -> None:
        data = self.body()
        if match := re.fullmatch(r"/v2/(.+)/manifests/(.+)", self.path):
            digest = "sha256:" + hashlib.sha256(data).hexdigest()
            manifest = self.headers["Content-Type"], data
            self.manifests[digest] = self.manifests[f"{match[1]}:{match[2]}"] = manifest
        else:
            data = self.uploads[self.path.split("/")[-1].split("?")[0]] + data
            digest = "sha256:" + hashlib.sha256(data).hexdigest()
            self.blobs[digest] = "application/octet-stream", data
        self.answer(201, Docker_Content_Digest=digest, Location=self.path.split("?")[0])


@contextmanager
def registry(engine: Engine) -> Iterator[str]:
    """Runs one for the time of the `with`; its address."""
    with subprocess.Popen(["nsenter", "--target", str(engine.init), "--net", sys.executable, "-B", __file__],
                          stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout and server.stdout.readline() == "ready\n"
            yield ADDRESS
        finally:
            server.kill()


def main() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as loopback:  # down in a new namespace
        fcntl.ioctl(loopback, SIOCSIFFLAGS, struct.pack("16sH14s", b"lo", 0x49, b""))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 5000), Handler)
    print("ready", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
