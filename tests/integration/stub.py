"""A stub of an engine, for what a real one cannot be made to do here: hold 100,000 records, hang, talk nonsense."""
from __future__ import annotations

import json
import re
import socket
import socketserver
import threading
import time
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import parse_qs, unquote

VERSION = "28.5.2"
PIECE = 64 * 1024  # of a body at a time


def records(count: int) -> bytes:
    """That many build cache records in the form and of the size in which Engine 28 prints them."""
    def one(i: int) -> str:
        parent = f'" Parents":["{i - 1:025d}"],' if i % 10 else ""
        return (f'{{"ID":"{i:025d}",{parent}"Type":"regular","Description":"mount / from exec /bin/sh -c pip install '
                f'-r requirements-{i}.txt \\u0026\\u0026 rm -rf /tmp/*","InUse":false,"Shared":false,"Size":{4096 + i},'
                '"CreatedAt":"2026-11-20T12:09:13.612197641Z","LastUsedAt":"2026-11-20T12:09:13.831734576Z",'
                '"UsageCount":1}')
    return ",".join(map(one, range(count))).encode()


def image_id(i: int) -> str:
    return f"sha256:{i:064x}"


def images(count: int, names: int = 1) -> list[dict[str, object]]:
    """That many images of BuildKit's, as Engine 28 lists them: releases of ten repositories, each image
    with as many names."""
    return [{"Id": image_id(i), "ParentId": "", "RepoDigests": [], "Created": 1_790_000_000 + i, "Size": 4096 + i,
             "SharedSize": -1, "Containers": -1, "Labels": {"com.docker.compose.project": "watchparty"},
             "RepoTags": [f"watchparty-{i % 10}:{i}-{k}" for k in range(names)]} for i in range(count)]


def image(i: int) -> dict[str, object]:
    """The same, inspected."""
    return {"Id": image_id(i), "RepoTags": [], "RepoDigests": [], "Parent": "", "Comment": "buildkit.dockerfile.v0",
            "Created": "2026-11-20T12:09:13.612197641Z", "DockerVersion": "", "Author": "", "Architecture": "amd64",
            "Os": "linux", "Size": 4096 + i, "Config": {"Cmd": ["/bin/sh"], "Env": ["PATH=/bin"]},
            "RootFS": {"Type": "layers", "Layers": [f"sha256:{layer:064x}" for layer in (1, 2, 3, 1000 + i)]},
            "Metadata": {"LastTagTime": "2026-11-20T12:09:13.612197641Z"}}


HISTORY = [{"Id": "<missing>", "Created": 1_790_000_000, "CreatedBy": f"RUN /bin/sh -c make step-{i} # buildkit",
            "Tags": None, "Size": 4096, "Comment": "buildkit.dockerfile.v0"} for i in range(4)]


def containers(count: int, mounting: bool = False) -> list[dict[str, object]]:
    """That many containers, of an image that is not there; running, each with a directory of the host's
    and a compose project of its own, where they are MOUNTING."""
    def mounts(i: int) -> list[dict[str, object]]:
        return [{"Type": "bind", "Source": f"/srv/data/{i}/.next", "Destination": "/app/.next"}] if mounting else []

    return [{"Id": f"{i:064x}", "Names": [f"/c{i}"], "Image": "other:1", "ImageID": image_id(1 << 64),
             "State": "running" if mounting else "exited", "Created": 1_790_000_000,
             "Labels": {"com.docker.compose.project": f"p{i}"} if mounting else {}, "Mounts": mounts(i)}
            for i in range(count)]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def version_string(self) -> str:
        return f"Docker/{VERSION} (linux)"

    def log_message(self, *_: object) -> None:
        pass

    def answer(self, body: bytes, kind: str = "application/json", status: int = 200) -> None:
        self.send_response(status)
        for name, value in self.server.stub.headers.items():
            self.send_header(name, value)
        self.send_header("Api-Version", self.server.stub.api)
        self.send_header("Content-Type", kind)
        self.send_header("Transfer-Encoding", "chunked")  # one chunk, however long, as Go's encoder sends it
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(b"%x\r\n" % len(body))
            view = memoryview(body)
            for at in range(0, len(body), PIECE):
                self.wfile.write(view[at:at + PIECE])
            self.wfile.write(b"\r\n0\r\n\r\n")

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except OSError:  # the peer had enough
            self.close_connection = True

    def do_GET(self) -> None:
        stub = self.server.stub
        path, _, query = self.path.partition("?")
        path = unquote(path)
        path = path.removeprefix(f"/v{stub.api}")
        stub.requests[path] += 1
        stub.calls.append(f"{self.command} {path}")
        stub.before.get(f"{self.command} {path}", lambda: None)()
        if stub.hang and path.startswith(stub.hang):
            stub.hanging.set()
            stub.released.wait()
        answers = stub.answers.get(f"{self.command} {path}", [])
        if answers:
            status, body = answers.pop(0) if len(answers) > 1 else answers[0]
            self.answer(body, status=status)
        elif stub.garbage:
            self.wfile.write(stub.garbage)
            self.close_connection = True
        elif path == "/_ping":
            self.answer(b"OK", "text/plain")
        elif path == "/info":
            self.answer(json.dumps({"ServerVersion": VERSION, "Driver": "overlay2", "DockerRootDir": "/",
                                    "DriverStatus": []}).encode())
        elif path == "/version":
            self.answer(json.dumps({"Components": [{"Name": "Engine", "Version": VERSION}]}).encode())
        elif path == "/images/json":
            self.answer(stub.images)
        elif self.command == "POST" and path.startswith("/images/") and path.endswith("/tag"):
            words = parse_qs(query)
            stub.tag(path.split("/")[2], f"{words['repo'][0]}:{words['tag'][0]}")
            self.answer(b"", status=201)
        elif self.command == "DELETE" and path.startswith("/images/") and stub.untag(path.removeprefix("/images/")):
            self.answer(json.dumps([{"Untagged": path.removeprefix("/images/")}]).encode())
        elif path == "/containers/json":
            self.answer(stub.containers)
        elif path.startswith("/images/sha256:") and path.endswith("/json"):
            self.answer(json.dumps(image(int(path.split("/")[2][7:], 16))).encode())
        elif path.startswith("/images/sha256:") and path.endswith("/history"):
            self.answer(json.dumps(HISTORY).encode())
        elif path in ("/services", "/tasks"):
            self.answer(b"[]")
        elif path == "/volumes":
            self.answer(b'{"Volumes":null,"Warnings":null}')
        elif path == "/system/df":
            time.sleep(stub.delay)
            self.answer(b'{"LayersSize":0,"Images":null,"Containers":null,"Volumes":null,"BuildCache":['
                        + stub.records + b"]}\n")
        elif path == "/build/prune":
            ids = [f"{i:025d}" for i in range(stub.records.count(b'"ID":'))]
            stub.records = b""
            self.answer(json.dumps({"CachesDeleted": ids or None, "SpaceReclaimed": 4096 * len(ids)}).encode())
        elif path == "/requests":
            self.answer(json.dumps(stub.requests).encode())
        else:
            self.send_error(404)

    do_HEAD = do_POST = do_DELETE = do_GET


class Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64
    stub: Stub

    def process_request(self, request: socket.socket, address: object) -> None:
        self.stub.connections.add(request)
        super().process_request(request, address)

    def shutdown_request(self, request: socket.socket) -> None:
        self.stub.connections.discard(request)
        super().shutdown_request(request)


class Stub:
    """`with Stub(path, n) as stub:` serves PATH with N build cache records; `requests` counts by path."""

    def __init__(self, path: Path, count: int = 0, api: str = "1.51", n_images: int = 0, n_names: int = 1,
                 n_containers: int = 0, mounting: bool = False):
        self.path = path
        self.records = records(count)
        self.images = json.dumps(images(n_images, n_names)).encode()
        self.containers = json.dumps(containers(n_containers, mounting)).encode()
        self.api = api
        self.requests: Counter[str] = Counter()
        self.calls: list[str] = []       # "GET /images/json", in their order
        self.headers: dict[str, str] = {}  # besides Api-Version
        # "GET /images/json": status and body of each answer, the last of them for good
        self.answers: dict[str, list[tuple[int, bytes]]] = {}
        self.before: dict[str, Callable[[], None]] = {}  # called before that call is answered
        self.garbage = b""  # instead of any answer
        self.delay = 0.0    # seconds that /system/df takes
        self.hang = ""      # what begins with this gets no answer until release()
        self.hanging, self.released = threading.Event(), threading.Event()
        self.connections: set[socket.socket] = set()
        self.server: Server | None = None

    def __enter__(self) -> Stub:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        self.server = Server(str(self.path), Handler)
        self.server.stub = self
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def say(self, call: str, *bodies: object, status: int = 200) -> None:
        """From now on CALL ("GET /images/json") is answered with these, one after the other: text or
        bytes as they are, anything else as JSON, a pair with a status of its own."""
        def one(body: object) -> tuple[int, bytes]:
            if isinstance(body, tuple):
                return body[0], one(body[1])[1]
            if isinstance(body, str):
                body = body.encode()
            return status, body if isinstance(body, bytes) else json.dumps(body).encode()
        self.answers[call] = [one(body) for body in bodies]

    def image(self, id: str, **members: object) -> dict[str, object]:
        """An image as the list has it; inspect answers for it from now on."""
        image = {"Id": id, "ParentId": "", "RepoTags": [], "RepoDigests": [], "Created": 1_700_000_000,
                 "Size": 1000, "Labels": None, **members}
        self.say(f"GET /images/{id}/json", {
            "Id": id, "Parent": image["ParentId"], "Comment": "buildkit.dockerfile.v0", "RepoTags": image["RepoTags"],
            "Created": "2023-11-14T22:13:20Z", "Metadata": {"LastTagTime": "2023-11-14T22:13:20Z"}})
        if image["ParentId"]:  # the classic builder's
            self.say(f"GET /images/{id}/history", [{"Id": id, "Created": image["Created"], "Comment": "", "Size": 1000,
                                                    "CreatedBy": "/bin/sh -c make", "Tags": image["RepoTags"]}])
        for name in image["RepoTags"] if isinstance(image["RepoTags"], list) else []:
            if isinstance(name, str):
                self.answers[f"GET /images/{name}/json"] = self.answers[f"GET /images/{id}/json"]
        return image

    def _edit_images(self, change: Callable[[bytes], bytes]) -> None:
        """Of all answers to come that tell of images; as text, since some are no JSON."""
        self.images = change(self.images)
        for call, answers in self.answers.items():
            if call.startswith("GET /images/"):
                self.answers[call] = [(status, change(body)) for status, body in answers]

    def tag(self, id: str, name: str) -> None:
        """The image has this name as well from now on."""
        tags = re.compile(rb'("Id": "%s"[^{}]*?"RepoTags": \[)(\]?)' % id.encode())
        self._edit_images(lambda body: tags.sub(
            lambda found: found[1] + f'"{name}"'.encode() + (found[2] or b", "), body))
        if f"GET /images/{id}/json" in self.answers:
            self.answers[f"GET /images/{name}/json"] = self.answers[f"GET /images/{id}/json"]

    def untag(self, name: str) -> bool:
        """No image has this name from now on. Whether one had it."""
        text = re.escape(f'"{name}"'.encode())
        before = self.images, self.answers.get("GET /images/json")
        self._edit_images(lambda body: re.sub(rb'(, )?%s(?=\])|%s, ' % (text, text), b"", body))
        self.answers.pop(f"GET /images/{name}/json", None)
        return before != (self.images, self.answers.get("GET /images/json"))

    def removals(self) -> list[str]:
        """What was asked for that changes anything; gRPC has POST alone."""
        return [call for call in self.calls if not call.startswith(("GET ", "HEAD ", "POST /grpc"))]

    def stall(self, path: str = "/") -> None:
        """From now on, what begins with PATH is taken and not answered."""
        self.hanging.clear()
        self.released.clear()
        self.hang = path

    def release(self) -> None:
        self.hang = ""
        self.released.set()

    def close(self) -> None:
        self.release()
        if self.server:
            self.server.shutdown()
            self.server.server_close()
            self.server = None
        for connection in list(self.connections):  # those kept alive
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self.path.unlink(missing_ok=True)
