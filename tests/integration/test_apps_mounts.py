"""Caches of applications that containers have mounted, and what lies in volumes."""
from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from apps import (CACHES, POLLING, app, caches, clear, fill, plan_of, project, remaining, removed,
                  section, trash, tree)
from engine import Engine
from helpers import ONE, Daemon, wait_until
from policies import status
from scenarios import BACKEND

IMAGE = "other/service:1"


@pytest.fixture
def shared(engine: Engine) -> Iterator[Path]:
    """A directory that is the same for the engine."""
    with tempfile.TemporaryDirectory(dir=engine.dir) as directory:
        yield Path(directory)


@pytest.fixture
def root(engine: Engine, shared: Path) -> Iterator[Path]:
    engine.import_base(IMAGE)
    yield project(shared / "frontend")
    engine.docker("rm", "--force", *engine.docker("ps", "-aq").stdout.split(), check=False)


def run(engine: Engine, name: str, source: Path | str, *options: str, image: str = IMAGE) -> None:
    engine.docker("run", "--detach", "--network", "none", "--stop-timeout", "0", "--name", name,
                  "--volume", f"{source}:/mounted", *options, image, "/bin/sleep", "3600")


def test_volume_of_a_path(engine: Engine, short_path: Path, root: Path) -> None:
    """A volume that is a directory below a cache by its options (compose: driver_opts)."""
    engine.docker("volume", "create", "--opt", "type=none", "--opt", "o=bind", "--opt",
                  f"device={root}/.next/server", "bound")
    run(engine, "below", "bound")
    with Daemon(engine.socket, short_path / "daemon", section(root)) as daemon:
        for target in ("frontend", "all"):
            receipt = clear(daemon, target, expect=3)
            assert "container below " in remaining(receipt)[str(root / ".next")]
        assert caches(root) == {".next"}
    engine.docker("rm", "--force", "below")
    engine.docker("volume", "rm", "bound")


def test_containers(engine: Engine, short_path: Path, root: Path) -> None:
    """At a cache, above one, below one, and by another path; only those that run."""
    run(engine, "at", root / ".next")
    run(engine, "above", root / "packages/web")
    run(engine, "below", root / ".turbo/deeper")
    run(engine, "host", "/")
    run(engine, "beside", root / "src")
    engine.docker("create", "--name", "created", "--volume", f"{root}:/mounted", IMAGE, "/bin/true")
    held = {".next": "at", "packages/web/.next": "above", "packages/web/.turbo": "above",
            ".turbo": "below"}
    with Daemon(engine.socket, short_path / "daemon", section(root)) as daemon:
        plan = plan_of(daemon, "frontend")
        assert {cache["path"] for cache in plan["caches"]} == {"node_modules/.cache"}
        assert len(plan["remaining"]) == 4
        before = tree(root)
        receipt = clear(daemon, expect=3)
        assert receipt["outcome"] == "notCleared" and removed(receipt) == {"node_modules/.cache"}
        assert {left["kind"] for left in receipt["remaining"]} == {"cache"}
        reasons = remaining(receipt)
        assert set(reasons) == {str(root / path) for path in held}
        for path, container in held.items():
            assert f"container {container} " in reasons[str(root / path)]
        after = tree(root)
        assert after == {path: info for path, info in before.items()
                         if b"/node_modules/.cache" not in path or b"/ui/" in path}
        done = daemon.ctl("clear", "all")
        assert done.returncode == 3 and "container at " in done.stdout, done.stdout
        assert "SUCCESS" not in done.stdout and done.stderr.startswith("NOT FRESH")
        engine.docker("stop", "at", "above", "below")
        receipt = clear(daemon)
        assert removed(receipt) == set(held) and trash(daemon) == []
    assert caches(root) == set()


def test_include_mounted(engine: Engine, short_path: Path, root: Path) -> None:
    """The container keeps what it has until it is started again."""
    run(engine, "web", root)
    with Daemon(engine.socket, short_path / "daemon", section(root)) as daemon:
        assert len(clear(daemon, expect=3)["remaining"]) == 5
        assert caches(root) == CACHES["frontend"]
        plan = plan_of(daemon, "frontend", "--include-mounted")
        assert len(plan["caches"]) == 5 and plan["remaining"] == []
        receipt = clear(daemon, "frontend", "--include-mounted")
        assert removed(receipt) == CACHES["frontend"] and caches(root) == set()
        assert engine.docker("ps", "--format", "{{.Names}}").stdout == "web\n"
        fill(root)
        assert clear(daemon, "all", "--include-mounted")["outcome"] == "fresh"


@ONE
def test_other_paths(engine: Engine, short_path: Path, shared: Path, root: Path) -> None:
    """A mount is the directory that it leads to."""
    (shared / "link").symlink_to(root)
    run(engine, "linked", shared / "link/.next")
    with Daemon(engine.socket, short_path / "daemon", section(root)) as daemon:
        assert set(remaining(clear(daemon, expect=3))) == {str(root / ".next")}
        # a neighbour's name that begins the same
        (root / ".next").rename(root / ".next-neighbour")
        engine.docker("rm", "--force", "linked")
        fill(root)
        run(engine, "neighbour", root / ".next-neighbour")
        assert removed(clear(daemon)) == {".next", ".turbo", "node_modules/.cache",
                                          "packages/web/.next", "packages/web/.turbo"}
        assert (root / ".next-neighbour/BUILD_ID").exists()


@ONE
def test_state_of_containers(engine: Engine, short_path: Path, root: Path) -> None:
    """One that is paused has its mounts; one that starts over and over has them soon."""
    run(engine, "web", root / ".next")
    engine.docker("pause", "web")
    with Daemon(engine.socket, short_path / "daemon", section(root)) as daemon:
        assert "container web " in remaining(clear(daemon, expect=3))[str(root / ".next")]
        engine.docker("unpause", "web")
        engine.docker("rm", "--force", "web")
        engine.docker("run", "--detach", "--network", "none", "--name", "loop", "--restart",
                      "always", "--volume", f"{root / '.next'}:/mounted", IMAGE, "/bin/false")
        wait_until(lambda: "Restarting" in engine.docker("ps").stdout)
        assert "container loop " in remaining(clear(daemon, expect=3))[str(root / ".next")]


def test_volumes(engine: Engine, short_path: Path, root: Path) -> None:
    """No clear reaches what lies in them, and every clear says so."""
    engine.import_base(BACKEND)
    for name, image, project_name, destination in (
            ("web", BACKEND, "party", "/app/staticfiles"), ("blog", IMAGE, "blog", "/static")):
        engine.docker("run", "--detach", "--network", "none", "--stop-timeout", "0", "--name", name,
                      "--label", f"com.docker.compose.project={project_name}",
                      "--volume", f"{name}_files:{destination}", "--volume", f"{name}_data:/data",
                      image, "/bin/sh", "-c", f"echo old >{destination}/app.css; sleep 3600")
    volume = {"volume": "web_files", "container": "web", "destination": "/app/staticfiles"}
    with Daemon(engine.socket, short_path / "daemon", section(root) + POLLING) as daemon:
        for target in ("frontend", "all"):
            assert plan_of(daemon, target)["notReached"] == [volume]
            receipt = clear(daemon, target)
            assert receipt["notReached"] == [volume] and receipt["remaining"] == []
        done = daemon.ctl("clear", "apps")
        assert "NOT REACHED: volume web_files (container web, /app/staticfiles)" in done.stdout
        wait_until(lambda: status(daemon).get("notReached") == [volume])
        assert "web_files" in daemon.ctl("status").stdout
        assert app(daemon)["state"] == "ok"
    read = engine.docker("exec", "web", "/bin/cat", "/app/staticfiles/app.css")
    assert read.stdout == "old\n"
