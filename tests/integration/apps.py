"""Applications for tests: their trees, their configuration, and file systems of their own."""
from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

import daemon as daemon_module
from helpers import Daemon, wait_until
from policies import ctl_json, status

NAMES = {"frontend": ".next, .turbo, node_modules/.cache", "backend": "__pycache__"}
CACHES = {
    "frontend": {".next", ".turbo", "node_modules/.cache", "packages/web/.next",
                 "packages/web/.turbo"},
    "backend": {"__pycache__", "party/__pycache__", "party/rooms/__pycache__"},
}
IN_CACHES = {
    "frontend": (".next/BUILD_ID", ".next/server/pages/index.js", ".turbo/log",
                 "node_modules/.cache/babel/a.json", "packages/web/.next/BUILD_ID",
                 "packages/web/.turbo/b"),
    "backend": ("__pycache__/manage.pyc", "party/__pycache__/views.pyc",
                "party/rooms/__pycache__/models.pyc"),
}
OTHERS = {
    "frontend": ("package.json", "src/next.js", "src/.nextfile", "src/.next.d/BUILD_ID",
                 "node_modules/react/.next/index.js", "node_modules/.turbo/index.js",
                 "packages/ui/node_modules/.cache/a.json", ".git/refs/.next/head"),
    "backend": ("manage.py", "party/views.py", "staticfiles/app.css", ".git/__pycache__/head",
                "node_modules/gyp/__pycache__/gyp.pyc"),
}
# Where the daemon has to notice what a test does to a root.
POLLING = "[poll]\ninterval=1s\nshare=50%\n"


def write(root: Path, *files: str) -> Path:
    """ROOT with these files, each with its path for content."""
    for file in files:
        path = root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(file)
    return root


def fill(root: Path, name: str = "frontend") -> Path:
    """The caches of an application, once more or for the first time."""
    return write(root, *IN_CACHES[name])


def project(root: Path, name: str = "frontend") -> Path:
    """An application with caches, and with much that looks like one."""
    return fill(write(root, *OTHERS[name]), name)


def section(root: Path | str, name: str = "frontend", **keys: str) -> str:
    return "".join(f"{line}\n" for line in (
        f"[app {name}]", f"root={root}", f"caches={keys.pop('caches', NAMES.get(name))}",
        *(f"{key}={value}" for key, value in keys.items())))


def without_engine(directory: Path, extra: str) -> Daemon:
    """A daemon for whose applications no engine is needed, and none is there."""
    return Daemon(directory / "no-engine", directory / "daemon", extra)


def tree(root: Path) -> dict[bytes, tuple[Any, ...]]:
    """All there is in a directory: who owns it, how and when it was written, what is in it."""
    found: dict[bytes, tuple[Any, ...]] = {}
    for place, directories, files in os.walk(os.fsencode(root)):
        for name in directories + files:
            path = os.path.join(place, name)
            info = os.lstat(path)
            content: Any = None
            if stat.S_ISREG(info.st_mode):
                content = info.st_mtime_ns, Path(os.fsdecode(path)).read_bytes()
            elif stat.S_ISLNK(info.st_mode):
                content = os.readlink(path)
            found[path] = info.st_ino, info.st_mode, info.st_uid, info.st_gid, content
    return found


def caches(root: Path, name: str = "frontend") -> set[str]:
    """Those caches that are there."""
    return {path for path in CACHES[name] if os.path.lexists(root / path)}


def without_caches(root: Path, name: str = "frontend") -> dict[bytes, tuple[Any, ...]]:
    """All in it but for its caches and the directories above them that hold nothing else."""
    prefixes = [os.fsencode(root / path) for path in CACHES[name]]
    return {path: info for path, info in tree(root).items()
            if not any(path == prefix or path.startswith(prefix + b"/") for prefix in prefixes)}


def clear(of: daemon_module.Daemon, target: str = "frontend", *options: str,
          expect: int = 0) -> dict[str, Any]:
    """Clears; the receipt."""
    done = of.ctl("clear", "--json=short", "--target", target, *options)
    assert done.returncode == expect, f"exit {done.returncode}\n{done.stdout}{done.stderr}"
    return json.loads(done.stdout)


def plan_of(of: daemon_module.Daemon, target: str, *options: str) -> dict[str, Any]:
    return ctl_json(of, "plan", "--target", target, *options)["plan"]


def removed(receipt: dict[str, Any]) -> set[str]:
    return {cache["path"] for cache in receipt["caches"]}


def remaining(receipt: dict[str, Any]) -> dict[str, str]:
    """What is left, and why; of application caches alone."""
    assert all(left["kind"] in ("cache", "app") for left in receipt["remaining"]), receipt
    return {left["object"]: left["reason"] for left in receipt["remaining"]}


def trash(of: daemon_module.Daemon, directory: Path | None = None) -> list[str]:
    """What is in it; DIRECTORY, where it is not the usual one."""
    directory = directory or of.state / "trash"
    return sorted(os.listdir(directory)) if directory.is_dir() else []


def app(of: daemon_module.Daemon, name: str = "frontend") -> dict[str, Any]:
    """What the status says of one; nothing before the first look."""
    return {told["name"]: told for told in status(of)["apps"]}.get(name, {})


def wait_for_state(of: daemon_module.Daemon, state: str) -> dict[str, Any]:
    wait_until(lambda: app(of).get("state") == state)
    return app(of)


def mounts() -> dict[str, str]:
    """Where each mount is, by its id."""
    fields = map(str.split, Path("/proc/self/mountinfo").read_text().splitlines())
    return {line[0]: line[4] for line in fields}


@contextmanager
def mounted(path: Path, *arguments: str | Path) -> Iterator[Path]:
    """PATH, with what `mount ARGUMENTS` puts there; unmounted wherever it was moved to."""
    path.mkdir(exist_ok=True)
    subprocess.run(["mount", *arguments, path], check=True)
    number = max((n for n, place in mounts().items() if place == str(path)), key=int)
    try:
        yield path
    finally:
        if place := mounts().get(number):
            subprocess.run(["umount", "--lazy", place], check=True)


def tmpfs(path: Path) -> AbstractContextManager[Path]:
    return mounted(path, "-t", "tmpfs", "-o", "mode=755,size=64m", "wpcache-test")


@contextmanager
def ext4(path: Path) -> Iterator[Path]:
    """A file system that has attributes, whatever the one of the tests is."""
    if not shutil.which("mkfs.ext4") or not Path("/dev/loop-control").exists():
        pytest.skip("takes mkfs.ext4 and a loop device")
    image = path.with_name(f"{path.name}.image")
    with open(image, "wb") as file:
        file.truncate(32 * 1024 * 1024)
    subprocess.run(["mkfs.ext4", "-q", image], check=True)
    with mounted(path, "-o", "loop", image):
        yield path
