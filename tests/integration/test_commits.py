"""Images of ours that a person made with docker commit. What was changed in the container is nowhere else, so no
clear deletes such an image for good. It is no step of a build, but may keep steps that it stands on."""
from __future__ import annotations

import subprocess
import uuid
from pathlib import Path

import pytest

from engine import Engine
from helpers import Daemon, names, on, receipts
from scenarios import BACKEND
from test_foreign import assumed, remaining
from test_foreign_steps import FROM_BASE, App

EACH, CONTAINERD = on("20", "28", "28c"), on("28c")
FIX, SECOND = "watchparty-backend:hotfix", "watchparty-backend:hotfix-2"
STEPS = "RUN echo 1 >/1\nCOPY src /app\n"
OPTIONS = pytest.mark.parametrize("options", [(), ("--message", "a fix"), ("--change", 'CMD ["/bin/true"]'),
                                              ("--change", "LABEL a=b")],
                                  ids=["plain", "with-comment", "with-command", "with-label"])


@pytest.fixture
def app(engine: Engine, short_path: Path) -> App:
    engine.import_base("pybase:1", uuid.uuid4().hex)
    return App(engine, short_path / "app")


def commit(engine: Engine, image: str, name: str, *options: str, command: str = "echo precious >/data") -> str:
    """The image that a container of `image` was committed as."""
    engine.docker("run", "--detach", "--network", "none", "--name", "fixing", image, "/bin/sh", "-c", command)
    engine.docker("wait", "fixing")
    engine.docker("commit", *options, "fixing", name)
    engine.docker("rm", "fixing")
    return names(engine)[name]


def rollback_tag(image: str) -> str:
    return f"watchparty-backend:wpcache-rollback-{image.removeprefix('sha256:')[:12]}"


def is_cleared(engine: Engine, daemon: Daemon, image: str, *others: str) -> None:
    """A clear takes the names of the image, which can be rolled back."""
    clear = daemon.ctl("clear", "all", "--wait", "1s")
    assert clear.returncode == 0, clear.stdout
    assert FIX not in names(engine) and names(engine)[rollback_tag(image)] == image
    assert f"delete {FIX}" not in clear.stdout
    for name in others:
        assert name not in names(engine)


def is_back(engine: Engine, daemon: Daemon, image: str, *others: str) -> None:
    daemon.ctl("rollback")
    for name in (FIX, *others):
        assert names(engine)[name] == image


def is_kept(engine: Engine, daemon: Daemon, commits: dict[str, str]) -> None:
    for _ in range(2):
        plan = daemon.ctl("clear", "all", "--dry-run")
        clear = daemon.ctl("clear", "all", "--wait", "1s")
        assert clear.returncode == 3, clear.stdout
        left = {left["object"]: left for left in receipts(daemon)[-1]["remaining"]}
        assert left.keys() == commits.keys()
        for name, image in commits.items():
            assert names(engine)[name] == image
            assert f"{name} (kept: made by docker commit)" in plan.stdout, plan.stdout
            assert "docker commit made it" in left[name]["reason"]
            assert "docker save" in left[name]["remedy"] and f"docker rmi {name}" in left[name]["remedy"]
        assert "kept: made by docker commit: " in clear.stdout, clear.stdout
        assert rollback_tag(image) not in names(engine)


# Upon what BuildKit built

@EACH
@OPTIONS
def test_upon_buildkit(engine: Engine, daemon: Daemon, app: App, options: tuple[str, ...]) -> None:
    app.build(FROM_BASE + STEPS, classic=False)
    image = commit(engine, BACKEND, FIX, *options)
    is_cleared(engine, daemon, image)
    assert app.build(FROM_BASE + STEPS).cached == 0
    is_back(engine, daemon, image)


@EACH
def test_two_names(engine: Engine, daemon: Daemon, app: App) -> None:
    app.build(FROM_BASE + STEPS, classic=False)
    image = commit(engine, BACKEND, FIX)
    engine.docker("tag", FIX, SECOND)
    is_cleared(engine, daemon, image, SECOND)
    is_back(engine, daemon, image, SECOND)


@EACH
def test_of_a_commit(engine: Engine, daemon: Daemon, app: App) -> None:
    app.build(FROM_BASE + STEPS, classic=False)
    commit(engine, BACKEND, SECOND)
    image = commit(engine, SECOND, FIX)
    is_cleared(engine, daemon, image)
    assert app.build(FROM_BASE + STEPS).cached == 0
    is_back(engine, daemon, image)


@EACH
def test_running(engine: Engine, daemon: Daemon, app: App) -> None:
    """Nothing is remaining: neither the image nor its container keeps a step."""
    app.build(FROM_BASE + STEPS, classic=False)
    image = commit(engine, BACKEND, FIX)
    engine.docker("run", "--detach", "--network", "none", FIX, "/bin/sleep", "900")
    is_cleared(engine, daemon, image)
    is_back(engine, daemon, image)


@EACH
def test_older_than_the_newest(engine: Engine, daemon: Daemon, app: App) -> None:
    app.build(FROM_BASE + STEPS, classic=False)
    image = commit(engine, BACKEND, FIX)
    app.change()
    app.build(FROM_BASE + STEPS, classic=False)
    for _ in range(2):
        clear = daemon.ctl("clear", "all", "--wait", "1s")
        assert clear.returncode == 0, clear.stdout
        assert f"kept: serves no build: {FIX}" in clear.stdout, clear.stdout
        assert names(engine)[FIX] == image
        app.change()
        app.build(FROM_BASE + STEPS, classic=False)


@EACH
def test_upon_the_base_image(engine: Engine, daemon: Daemon, app: App) -> None:
    """Its command is no step of ours."""
    app.build(FROM_BASE + STEPS, "watchparty-web:1")
    image = commit(engine, "pybase:1", FIX)
    is_cleared(engine, daemon, image)
    assert app.build(FROM_BASE + STEPS).cached == 0
    is_back(engine, daemon, image)


# Upon classic steps, which it keeps

@EACH
@OPTIONS
def test_upon_classic_steps(engine: Engine, daemon: Daemon, app: App, options: tuple[str, ...]) -> None:
    app.build(FROM_BASE + STEPS)
    image = commit(engine, BACKEND, FIX, *options)
    is_kept(engine, daemon, {FIX: image})
    assert app.build(FROM_BASE + STEPS).cached == 2
    is_kept(engine, daemon, {FIX: image})

    saved = subprocess.run([engine.cli, "save", FIX], check=True, env=engine.env, capture_output=True).stdout
    engine.docker("rmi", FIX)
    assert daemon.ctl("clear", "all", "--wait", "1s").returncode == 0
    engine.docker("load", "--quiet", input=saved)
    assert app.build(FROM_BASE + STEPS).cached == 0


@EACH
def test_running_upon_classic_steps(engine: Engine, daemon: Daemon, app: App) -> None:
    app.build(FROM_BASE + STEPS)
    image = commit(engine, BACKEND, FIX)
    engine.docker("run", "--detach", "--network", "none", "--name", "web", FIX, "/bin/sleep", "900")
    is_kept(engine, daemon, {FIX: image})
    assert "docker rm -f web && docker rmi" in receipts(daemon)[-1]["remaining"][0]["remedy"]


@EACH
def test_container_of_the_step_below(engine: Engine, daemon: Daemon, app: App) -> None:
    """Both have to go, so both are named."""
    app.build(FROM_BASE + STEPS)
    image = commit(engine, BACKEND, FIX)
    engine.docker("run", "--detach", "--network", "none", "--name", "web", BACKEND, "/bin/sleep", "900")
    clear = daemon.ctl("clear", "all", "--wait", "1s")
    assert clear.returncode == 3 and names(engine)[FIX] == image, clear.stdout
    assert {left["object"] for left in receipts(daemon)[-1]["remaining"]} == {FIX, "web"}


@EACH
def test_of_a_commit_upon_classic_steps(engine: Engine, daemon: Daemon, app: App) -> None:
    app.build(FROM_BASE + STEPS)
    first = commit(engine, BACKEND, FIX)
    second = commit(engine, FIX, SECOND)
    is_kept(engine, daemon, {FIX: first, SECOND: second})
    engine.docker("rmi", FIX)
    if engine.name == "28c":  # it deletes the steps
        assert daemon.ctl("clear", "all", "--wait", "1s").returncode == 0
        assert names(engine)[rollback_tag(second)] == second
        assert app.build(FROM_BASE + STEPS).cached == 0
    else:
        is_kept(engine, daemon, {SECOND: second})
        assert app.build(FROM_BASE + STEPS).cached == 2


@EACH
def test_with_a_rollback_tag_alone(engine: Engine, daemon: Daemon, app: App) -> None:
    """A rollback tag of an earlier clear is no less than another name."""
    app.build(FROM_BASE + STEPS)
    image = commit(engine, BACKEND, FIX)
    engine.docker("tag", FIX, rollback_tag(image))
    assert daemon.ctl("clear", "all", "--dry-run").returncode == 0
    engine.docker("rmi", FIX)
    for _ in range(2):
        clear = daemon.ctl("clear", "all", "--wait", "1s")
        assert names(engine)[rollback_tag(image)] == image
        assert clear.returncode == 3 and rollback_tag(image) in remaining(clear.stdout), clear.stdout


@EACH
def test_over_the_name_of_its_container(engine: Engine, daemon: Daemon, app: App) -> None:
    """The steps have no name any more, and no clear saw it."""
    app.build(FROM_BASE + STEPS)
    image = commit(engine, BACKEND, BACKEND)
    is_kept(engine, daemon, {BACKEND: image})
    assert app.build(FROM_BASE + STEPS).cached == 2


@EACH
@pytest.mark.parametrize("classic", [True, False], ids=["classic", "buildkit"])
def test_that_lost_its_name_to_the_next(engine: Engine, daemon: Daemon, app: App, classic: bool) -> None:
    """The first one is there still, without a name, although clears saw it under one of ours."""
    app.build(FROM_BASE + STEPS, classic=classic)
    first = commit(engine, BACKEND, FIX)
    clear = daemon.ctl("clear", "all", "--wait", "1s")
    assert (clear.returncode == 3) == classic, clear.stdout
    daemon.ctl("rollback")
    second = commit(engine, first, FIX, command="echo other >/other")
    third = commit(engine, second, FIX, command="echo third >/third")
    for _ in range(2):
        clear = daemon.ctl("clear", "all", "--wait", "1s")
        assert (clear.returncode == 3) == classic, clear.stdout
        assert {first, second, third} <= {image["Id"] for image in engine.look("/images/json?all=1")}


@EACH
def test_of_a_commit_over_its_name(engine: Engine, daemon: Daemon, app: App) -> None:
    """No look came between: that the one below is a commit is asked for."""
    app.build(FROM_BASE + STEPS, classic=False)
    first = commit(engine, BACKEND, FIX)
    second = commit(engine, FIX, FIX, command="echo other >/other")
    is_cleared(engine, daemon, second)
    assert first in {image["Id"] for image in engine.look("/images/json?all=1")}
    is_back(engine, daemon, second)


@EACH
def test_next_clear_leaves_its_rollback_tag(engine: Engine, daemon: Daemon, app: App) -> None:
    """That of a release that was built ends then."""
    app.build(FROM_BASE + STEPS, classic=False)
    image = commit(engine, BACKEND, FIX)
    is_cleared(engine, daemon, image)
    for step in ("RUN echo 2 >/2\n", "RUN echo 3 >/3\n"):
        app.build(FROM_BASE + STEPS + step, classic=False)
        clear = daemon.ctl("clear", "all", "--wait", "1s")
        assert clear.returncode == 0 and f"delete {rollback_tag(image)}" not in clear.stdout, clear.stdout
        assert names(engine)[rollback_tag(image)] == image
    assert len([name for name in names(engine) if ":wpcache-rollback-" in name]) == 2, names(engine)


@EACH
def test_base_image_without_a_name(engine: Engine, daemon: Daemon, app: App) -> None:
    """No FROM can name it, so no build reaches the steps."""
    app.build(FROM_BASE + STEPS)
    image = commit(engine, BACKEND, FIX)
    engine.docker("rmi", "--force", "pybase:1")
    is_cleared(engine, daemon, image)
    is_back(engine, daemon, image)


@CONTAINERD
def test_steps_are_gone(engine: Engine, daemon: Daemon, app: App) -> None:
    """On this store docker rmi deletes what an image without a name stands on."""
    app.build(FROM_BASE + STEPS)
    image = commit(engine, BACKEND, FIX)
    engine.docker("rmi", BACKEND)
    is_cleared(engine, daemon, image)
    assert app.build(FROM_BASE + STEPS).cached == 0
    is_back(engine, daemon, image)


# Other names, and other containers

@EACH
@pytest.mark.parametrize("classic", [True, False], ids=["classic", "buildkit"])
def test_under_another_name(engine: Engine, daemon: Daemon, app: App, classic: bool) -> None:
    app.build(FROM_BASE + STEPS, classic=classic)
    image = commit(engine, BACKEND, "hotfix:1")
    clear = daemon.ctl("clear", "all", "--wait", "1s")
    assert names(engine)["hotfix:1"] == image
    if not classic:
        assert clear.returncode == 0 and "hotfix:1" in assumed(clear.stdout), clear.stdout
    else:
        assert clear.returncode == 3 and "hotfix:1" in remaining(clear.stdout), clear.stdout
        assert "docker save" in receipts(daemon)[-1]["remaining"][0]["remedy"]
        assert app.build(FROM_BASE + STEPS).cached == 2


@EACH
@pytest.mark.parametrize("name", [FIX, "hotfix:1"])
def test_release_of_others(engine: Engine, daemon: Daemon, app: App, name: str) -> None:
    """A container of another application's image; the image has its name, and is its base image."""
    app.build(FROM_BASE + "RUN echo other >/other\nCMD [\"/other\"]\n", "other:1")
    app.change()
    app.build(FROM_BASE + STEPS)
    image = commit(engine, "other:1", name)
    clear = daemon.ctl("clear", "all", "--wait", "1s")
    assert clear.returncode == 0, clear.stdout
    assert "other:1" in names(engine) and image in names(engine).values()
    assert app.build(FROM_BASE + STEPS).cached == 0


@EACH
def test_command_is_a_step_of_ours(engine: Engine, daemon: Daemon, app: App) -> None:
    """The container had the settings of a RUN step, so that the builder takes the commit for it."""
    dockerfile = "FROM python:1\nRUN cp /note /copy\nCOPY src /app\n"
    app.build(FROM_BASE + 'ENV PATH=/bin:/usr/bin\nCMD ["/bin/sh"]\n', "python:1")
    app.build(dockerfile)
    image = commit(engine, "python:1", FIX, command="cp /note /copy")
    clear = daemon.ctl("clear", "all", "--wait", "1s")
    assert clear.returncode == 3 and FIX in remaining(clear.stdout), clear.stdout
    assert names(engine)[FIX] == image
    assert app.build(dockerfile).cached == 1
