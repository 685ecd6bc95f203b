"""Which tags of the form "wpcache-rollback-…" are the janitor's: those in a repository of [images] match."""
from __future__ import annotations

from pathlib import Path

import pytest

from engine import Engine
from helpers import Daemon, load, names, on, tag, wait_until
from policies import configure, polls
from scenarios import BACKEND, GRAPH
from test_foreign import remaining
from test_needed import CHILD, Sources
from test_tag_events import SHORT

APP = "FROM scratch\nCOPY rootfs /\nCOPY requirements.txt /app/\nENV RELEASE=1\n"
INLINE = ("--build-arg", "BUILDKIT_INLINE_CACHE=1")


@pytest.fixture
def sources(engine: Engine, short_path: Path) -> Sources:
    return Sources(engine, short_path / "project")


def build_inline(engine: Engine, sources: Sources, name: str, dockerfile: str = APP, *options: str) -> str:
    (sources.dir / "Dockerfile").write_text(dockerfile)
    done = engine.docker("build", "--progress", "plain", "--network", "none", *INLINE, *options, "--tag", name,
                         str(sources.dir), env={"DOCKER_BUILDKIT": "1"})
    return done.stdout + done.stderr


@on(*GRAPH)
@pytest.mark.parametrize("name", ["other/app:wpcache-rollback-mine", "mirror:wpcache-rollback-012345678901"])
def test_tag_of_others_is_a_source(engine: Engine, daemon: Daemon, sources: Sources, name: str) -> None:
    build_inline(engine, sources, BACKEND)
    tag(engine, BACKEND, *name.split(":"))
    clear = daemon.ctl("clear", "all")
    assert clear.returncode == 3, clear.stdout
    assert name in remaining(clear.stdout), clear.stdout
    assert "CACHED" in build_inline(engine, sources, BACKEND, APP, "--cache-from", name)


def test_policy_leaves_tags_of_others(engine: Engine, short_path: Path) -> None:
    with Daemon(engine.socket, short_path / "daemon", SHORT) as daemon:
        for name in ("other/app:wpcache-rollback-1", "other/app:wpcache-rollback-2", "watchparty-old:1"):
            engine.import_base(name, name)
        polls(daemon, 2)
        daemon.clock.go_on(minutes=2)
        configure(daemon, "mode=observe", "mode=enforce")
        wait_until(lambda: "watchparty-old:1" not in names(engine))
        assert {"other/app:wpcache-rollback-1", "other/app:wpcache-rollback-2"} <= set(names(engine))


def test_a_glob_for_certain_tags(engine: Engine, short_path: Path, sources: Sources) -> None:
    """It names releases; rollback tags in their repository are the janitor's all the same."""
    name = "watchparty-backend:prod-1"
    with Daemon(engine.socket, short_path / "daemon", "[images]\nmatch=watchparty-backend:prod-*\n") as daemon:
        sources.build(name, APP, classic=True)
        engine.docker("run", "--detach", "--network", "none", "--name", "web", name, "/bin/sleep", "1000")
        assert daemon.ctl("clear").returncode == 3
        engine.docker("rm", "--force", "web")
        clear = daemon.ctl("clear")
        assert clear.returncode == 0, clear.stdout
        assert sources.build(name, APP, classic=True).cached == 0


def test_one_rollback_tag_of_a_glob_for_certain_tags(engine: Engine, short_path: Path, sources: Sources) -> None:
    with Daemon(engine.socket, short_path / "daemon", "[images]\nmatch=watchparty-backend:prod-*\n") as daemon:
        for release in range(3):
            sources.change()
            sources.build(f"watchparty-backend:prod-{release}", APP)
            assert daemon.ctl("clear").returncode == 0
        assert len([name for name in names(engine) if ":wpcache-rollback-" in name]) == 1


@on("26", "28", "28c")
def test_one_repository_for_base_and_application(engine: Engine, daemon: Daemon, sources: Sources) -> None:
    """That a build needs one image of a repository says nothing of the others, if it makes one of them."""
    repository = sources.repository
    build_inline(engine, sources, f"{repository}:base")
    for _ in range(2):
        build_inline(engine, sources, f"{repository}:web", CHILD.replace("watchparty-BASE:latest", f"{repository}:base"))
        clear = daemon.ctl("clear", "--target", "images", "--dry-run").stdout
        assert f"{repository}:web (kept" not in clear, clear
        daemon.ctl("clear", "--target", "images")
        assert f"{repository}:web" not in names(engine)
        assert f"{repository}:base" in names(engine)


@on("26", "28", "28c")
def test_image_built_upon_the_one_before(engine: Engine, daemon: Daemon, sources: Sources) -> None:
    """FROM its own name: the image that the build needed has that name no more."""
    name = f"{sources.repository}:latest"
    build_inline(engine, sources, name)
    build_inline(engine, sources, name, f"FROM {name}\nCOPY requirements.txt /hotfix\n")
    daemon.ctl("clear", "--target", "images")
    assert name not in names(engine)


@pytest.mark.parametrize("how", ["load", "import"])
def test_releases_of_one_moment(engine: Engine, daemon: Daemon, how: str) -> None:
    """Each further clear has nothing to take: which release is the newest does not change by a rollback tag."""
    if how == "load":
        load(engine, 3, "watchparty-backend", created="1970-01-01T00:00:00Z")
    else:
        for release in range(3):
            engine.import_base(f"watchparty-backend:{release}", f"release {release}")
    before = names(engine)
    assert daemon.ctl("clear").returncode == 0
    after = names(engine)
    assert len(set(before) & set(after)) == 2, after
    assert len([name for name in after if ":wpcache-rollback-" in name]) == 1, after
    for _ in range(2):
        assert daemon.ctl("clear").returncode == 0
        assert names(engine) == after
    assert daemon.ctl("rollback").returncode == 0
    assert before.items() <= names(engine).items()
