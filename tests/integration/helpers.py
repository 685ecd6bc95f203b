"""What tests of the clear see of an engine and of a daemon, and how they fill an engine."""
from __future__ import annotations

import hashlib
import io
import json
import signal
import sqlite3
import subprocess
import tarfile
import time
import uuid
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import daemon
from conftest import NAMES
from engine import Engine, rootfs
from scenarios import BACKEND, HEAD, Build, count

RELEASE = HEAD.replace("requirements.txt", "release") + "RUN cp /app/release /app/installed\n"


def on(*names: str) -> pytest.MarkDecorator:
    """A test for these engines alone."""
    return pytest.mark.parametrize("engine_process", [name for name in NAMES if name in names],
                                   indirect=True)


ONE = on(NAMES[0])  # where the engine makes no difference


# The engine

def look(engine: Engine, path: str) -> Any:
    return engine.look(path)


def names(engine: Engine) -> dict[str, str]:
    """Every name of an image, and the image's id."""
    return {name: image["Id"] for image in look(engine, "/v1.41/images/json")
            for name in image["RepoTags"] or () if name != "<none>:<none>"}


def plain_names(engine: Engine) -> dict[str, str]:
    """The same without rollback tags, which a clear gives to what can be had back."""
    return {name: image for name, image in names(engine).items() if ":wpcache-rollback-" not in name}


def images(engine: Engine) -> set[str]:
    return {image["Id"] for image in look(engine, "/v1.41/images/json?all=1")}


def build_cache(engine: Engine) -> list[dict[str, Any]]:
    return look(engine, "/v1.41/system/df")["BuildCache"] or []


def records(engine: Engine) -> set[str]:
    return {record["ID"] for record in build_cache(engine)}


def everything(engine: Engine) -> tuple[Any, ...]:
    """What must be the same before and after a look."""
    containers = look(engine, "/v1.41/containers/json?all=1")
    return names(engine), images(engine), records(engine), {c["Id"]: c["State"] for c in containers}


def rollback_name(image: str, repository: str = BACKEND.split(":")[0]) -> str:
    """The rollback tag of an image id."""
    return f"{repository}:wpcache-rollback-{image.removeprefix('sha256:')[:12]}"


def tag(engine: Engine, image: str, repository: str, name: str) -> None:
    """`docker tag`, in a millisecond."""
    status, body = engine.api("POST", f"/images/{image}/tag?repo={repository}&tag={name}")
    assert status == 201, body


def untag(engine: Engine, name: str) -> None:
    status, body = engine.api("DELETE", f"/images/{name}")
    assert status == 200, body


def add_file(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))


def build_records(engine: Engine, name: str) -> None:
    """A BuildKit build of one new file by the engine's API, three times as quick as `docker build`."""
    context = io.BytesIO()
    with tarfile.open(fileobj=context, mode="w") as tar:
        add_file(tar, "Dockerfile", b"FROM scratch\nCOPY file /\n")
        add_file(tar, "file", uuid.uuid4().bytes)
    status, body = engine.api("POST", f"/build?version=2&t={name}", body=context.getvalue())
    assert status == 200 and b"errorDetail" not in body, body


def load(engine: Engine, amount: int, repository: str = "",
         created: str = "2020-01-01T00:00:00Z") -> list[str]:
    """That many images in a moment, REPOSITORY:0 and so on or without a name. They share a layer,
    and say that they were imported, so that they are nobody's build steps."""
    layer, archive, manifest = io.BytesIO(), io.BytesIO(), []
    with tarfile.open(fileobj=layer, mode="w") as tar:
        add_file(tar, "file", b"the same in all")
    run = uuid.uuid4().hex
    with tarfile.open(fileobj=archive, mode="w") as tar:
        add_file(tar, "layer.tar", layer.getvalue())
        for i in range(amount):
            config = json.dumps({
                "architecture": "amd64", "os": "linux", "created": created,
                "config": {"Labels": {"of": f"{run} {i}"}},
                "rootfs": {"type": "layers", "diff_ids":
                           ["sha256:" + hashlib.sha256(layer.getvalue()).hexdigest()]},
                "history": [{"created": created, "comment": "Imported from -"}]}).encode()
            add_file(tar, f"{i}.json", config)
            manifest.append({"Config": f"{i}.json", "Layers": ["layer.tar"],
                             "RepoTags": [f"{repository}:{i}"] if repository else None})
        add_file(tar, "manifest.json", json.dumps(manifest).encode())
    before = images(engine)
    status, body = engine.api("POST", "/images/load?quiet=1", body=archive.getvalue())
    assert status == 200 and b'"errorDetail"' not in body, body
    made = images(engine) - before
    assert len(made) == amount
    return sorted(made)


def run(engine: Engine, image: str, name: str) -> None:
    """A container that runs until it is stopped."""
    engine.run(name, image, "/bin/sleep", "3600")


class Project:
    """A directory that images are built from; no two are alike."""

    def __init__(self, engine: Engine, directory: Path):
        self.engine, self.dir = engine, directory
        rootfs(directory / "rootfs")
        (directory / "rootfs/unique").write_text(uuid.uuid4().hex)

    def build(self, *options: str, name: str = BACKEND, release: str = "") -> Build:
        (self.dir / "Dockerfile").write_text(RELEASE)
        (self.dir / "release").write_text(release)
        done = self.engine.docker("build", "--network", "none", "--progress", "plain",
                                  "--tag", name, *options, str(self.dir),
                                  env={"DOCKER_BUILDKIT": "1"})
        return count(done.stdout + done.stderr)

    def deploy(self, release: str) -> str:
        """Builds a release and has a container run it; the one before is kept, stopped. Its id."""
        self.build(release=release)
        if self.engine.docker("container", "inspect", "web", check=False).returncode == 0:
            self.engine.docker("stop", "web")
            self.engine.docker("rename", "web", f"web-before-{release}")
        run(self.engine, BACKEND, "web")
        return names(self.engine)[BACKEND]


# The daemon

class Daemon(daemon.Daemon):
    """One that has to end cleanly, unless a test killed it: sanitizers speak then."""

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        assert self.process
        ended = self.process.poll()
        status = self.stop() if ended is None else ended
        print(self.log)  # pytest shows it if the test fails
        assert kind or status in (0, -signal.SIGKILL), f"exit {status}"


def start(running: daemon.Daemon, *args: str) -> subprocess.Popen[str]:
    """wpcachectl in the background."""
    return subprocess.Popen(
        [running.build / "wpcachectl", "--socket", running.socket, *args], text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def receipts(of: daemon.Daemon) -> list[dict[str, Any]]:
    """All receipts, oldest first."""
    file = of.state / "wpcache.db"
    if not file.exists():
        return []
    with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as store:
        return [json.loads(receipt) for receipt, in store.execute(
            "SELECT json FROM runs JOIN details USING (n) WHERE kind = 'clear' ORDER BY n")]


def wait_until(true: Callable[[], object], timeout: float = 60, pause: float = 0.05) -> None:
    until = time.monotonic() + timeout
    while not true():
        assert time.monotonic() < until, "it does not come to pass"
        time.sleep(pause)
