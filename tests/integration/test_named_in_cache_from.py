"""Images that give steps to the classic builder by their history alone, if a build names them in cache_from. Who
made the newest entry of that history plays no part."""
from __future__ import annotations

import subprocess
import uuid
from pathlib import Path

import pytest

from engine import Engine
from helpers import Daemon, on
from scenarios import BACKEND, GRAPH
from test_foreign import assumed, remaining
from test_foreign_steps import DEV, FROM_BASE, STEPS, App

pytestmark = on(*GRAPH)  # the containerd store fails a build that names such an image in cache_from

OLDER, NEWER, WORK = "watchparty-backend:41", "watchparty-backend:42", "work:1"
OTHER_STEPS = "COPY src /other\n"


@pytest.fixture
def app(engine: Engine, short_path: Path) -> App:
    engine.import_base("pybase:1", uuid.uuid4().hex)
    return App(engine, short_path / "app")


def commit(engine: Engine, image: str, name: str, *options: str) -> None:
    engine.docker("run", "--network", "none", "--name", "fixing", image, "/bin/true")
    engine.docker("commit", *options, "fixing", name)
    engine.docker("rm", "fixing")


def come_from_elsewhere(engine: Engine, name: str, *others: str) -> None:
    """Saved, removed and loaded: no image on this engine is its parent."""
    saved = subprocess.run([engine.cli, "save", name], check=True, env=engine.env, capture_output=True).stdout
    engine.docker("rmi", name, *others)
    engine.docker("builder", "prune", "--all", "--force")
    engine.docker("load", "--quiet", input=saved)


def make(engine: Engine, app: App, name: str, newest: str) -> None:
    """An image whose first steps are the classic builder's; the newest entry of its history is not."""
    app.build(FROM_BASE + STEPS, WORK)
    if newest == "docker commit":
        commit(engine, WORK, name, "--message", "hotfix")
    else:
        app.build(f"FROM {WORK}\nCOPY src /hotfix\n", name, classic=False)
    come_from_elsewhere(engine, name, WORK)


NEWEST = pytest.mark.parametrize("newest", ["docker commit", "BuildKit"])


@NEWEST
@pytest.mark.parametrize("newer", ["classic", "buildkit"])
def test_older_release(engine: Engine, daemon: Daemon, app: App, newest: str, newer: str) -> None:
    """It can be had back: nothing tells whether a build of ours begins like it."""
    make(engine, app, OLDER, newest)
    app.build(FROM_BASE + OTHER_STEPS, NEWER, classic=newer == "classic")
    clear = daemon.ctl("clear", "all")
    assert clear.returncode == 0, clear.stdout
    assert f"{OLDER}\n" not in engine.docker("images", "--format", "{{.Repository}}:{{.Tag}}").stdout
    assert app.build(FROM_BASE + STEPS, BACKEND, "--cache-from", OLDER).cached == 0
    assert daemon.ctl("rollback").returncode == 0
    assert f"{OLDER}\n" in engine.docker("images", "--format", "{{.Repository}}:{{.Tag}}").stdout


def test_older_releases_on_a_loaded_base(engine: Engine, daemon: Daemon, app: App) -> None:
    """A base image that the classic builder made elsewhere: BuildKit's releases on it serve no classic build."""
    app.build(FROM_BASE + "RUN echo python >/python\nCMD [\"/bin/sh\"]\n", "python:3")
    come_from_elsewhere(engine, "python:3")
    for name in (OLDER, NEWER):
        app.build("FROM python:3\n" + STEPS, name, classic=False)
        app.change()
    engine.docker("rmi", "python:3")
    clear = daemon.ctl("clear", "all")
    assert clear.returncode == 0, clear.stdout
    assert f"{OLDER}\n" in engine.docker("images", "--format", "{{.Repository}}:{{.Tag}}").stdout
    assert app.build(FROM_BASE + STEPS, BACKEND, "--cache-from", OLDER).cached == 0


@NEWEST
@pytest.mark.parametrize("ours", ["classic", "buildkit"])
def test_of_others(engine: Engine, daemon: Daemon, app: App, newest: str, ours: str) -> None:
    make(engine, app, DEV, newest)
    app.build(FROM_BASE + STEPS, classic=ours == "classic")
    clear = daemon.ctl("clear", "all")
    assert clear.returncode == 3, clear.stdout
    assert DEV in remaining(clear.stdout), clear.stdout
    assert app.build(FROM_BASE + STEPS, BACKEND, "--cache-from", DEV).cached == 2


@NEWEST
def test_of_others_with_other_steps(engine: Engine, daemon: Daemon, app: App, newest: str) -> None:
    make(engine, app, DEV, newest)
    app.change()
    app.build(FROM_BASE + OTHER_STEPS)
    clear = daemon.ctl("clear", "all")
    assert clear.returncode == 0, clear.stdout
    assert DEV in assumed(clear.stdout), clear.stdout
    assert app.build(FROM_BASE + OTHER_STEPS, BACKEND, "--cache-from", DEV).cached == 0


@pytest.mark.parametrize("options", [(), ("--message", "by hand")], ids=["plain", "message"])
def test_commit_whose_command_is_our_step(engine: Engine, daemon: Daemon, app: App, options: tuple[str, ...]) -> None:
    """The builder compares the text of the command, whoever ran it, and does not read the comment."""
    engine.docker("run", "--network", "none", "--name", "fixing", "pybase:1", "/bin/sh", "-c", "cp /note /copy")
    engine.docker("commit", *options, "fixing", DEV)
    engine.docker("rm", "fixing")
    come_from_elsewhere(engine, DEV)
    app.build("FROM pybase:1\nRUN cp /note /copy\nCOPY src /app\n")
    clear = daemon.ctl("clear", "all")
    assert clear.returncode == 3, clear.stdout
    assert DEV in remaining(clear.stdout), clear.stdout
    assert app.build("FROM pybase:1\nRUN cp /note /copy\nCOPY src /app\n", BACKEND, "--cache-from", DEV).cached == 1


EXEC_STEPS = 'RUN ["cp", "/note", "/copy"]\nRUN ["cp", "/copy", "/copy.2"]\n'


@pytest.mark.parametrize("ours", ["classic", "buildkit", "never known"])
def test_steps_of_the_exec_form(engine: Engine, daemon: Daemon, app: App, ours: str) -> None:
    """Their entries have no form of their own."""
    app.build(FROM_BASE + EXEC_STEPS, DEV)
    come_from_elsewhere(engine, DEV)
    if ours != "never known":
        app.build(FROM_BASE + EXEC_STEPS, classic=ours == "classic")
    clear = daemon.ctl("clear", "all")
    if ours == "never known":
        assert clear.returncode == 0, clear.stdout
        assert DEV in assumed(clear.stdout), clear.stdout
    else:
        assert clear.returncode == 3, clear.stdout
        assert DEV in remaining(clear.stdout), clear.stdout
    assert app.build(FROM_BASE + EXEC_STEPS, BACKEND, "--cache-from", DEV).cached == 2


def test_older_release_of_the_exec_form(engine: Engine, daemon: Daemon, app: App) -> None:
    app.build(FROM_BASE + EXEC_STEPS, OLDER)
    come_from_elsewhere(engine, OLDER)
    app.build(FROM_BASE + OTHER_STEPS, NEWER, classic=False)
    clear = daemon.ctl("clear", "all")
    assert clear.returncode == 0, clear.stdout
    assert app.build(FROM_BASE + EXEC_STEPS, BACKEND, "--cache-from", OLDER).cached == 0
