"""Local images that the next build needs: a clear keeps them, or says what it took."""
from __future__ import annotations

import re
import subprocess
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from engine import Engine, rootfs
from helpers import Daemon, names, on, rollback_name, run, untag
from scenarios import BACKEND, Build, count

BASE = "watchparty-BASE:latest"  # in Dockerfiles; each test has another name, since engines remember builds
BASE_DOCKERFILE = "FROM scratch\nCOPY rootfs /\nENV BASE=1\n"
# No step of a child is one of the base's.
CHILD = f"FROM {BASE}\nCOPY requirements.txt /app/\nRUN cp /app/requirements.txt /app/installed\n"
STAGE = f"""FROM {BASE} AS build
RUN cp /unique /bundle
FROM scratch
COPY --from=build /bundle /bundle
COPY requirements.txt /app/
"""
COPY_FROM = f"FROM scratch\nCOPY requirements.txt /app/\nCOPY --from={BASE} /unique /unique\n"
MOUNT_FROM = f"""FROM scratch
COPY rootfs /
RUN --mount=type=bind,from={BASE},target=/tools cp /tools/unique /copied
"""
METADATA = f"FROM {BASE}\nENV RELEASE=1\nCMD [\"/app\"]\n"
NEW = ("26", "28", "28c")  # these keep records of builds
ALL = ("20", *NEW)


class Sources:
    """A directory that images are built from."""

    def __init__(self, engine: Engine, directory: Path):
        self.engine, self.dir = engine, directory
        self.repository = f"watchparty-{uuid.uuid4().hex[:8]}"
        self.name = f"{self.repository}:latest"  # of the base image
        rootfs(directory / "rootfs")
        (directory / "requirements.txt").write_text("django\n")
        self.change()

    def change(self) -> None:
        (self.dir / "rootfs/unique").write_text(uuid.uuid4().hex)

    def build(self, name: str, dockerfile: str, classic: bool = False, check: bool = True) -> Build:
        (self.dir / "Dockerfile").write_text(dockerfile.replace(BASE, self.name))
        options = () if classic else ("--progress", "plain")
        done = self.engine.docker("build", "--network", "none", *options, "--tag", name, str(self.dir),
                                  env={"DOCKER_BUILDKIT": "0" if classic else "1"}, check=check)
        return count(done.stdout + done.stderr)

    def base(self, classic: bool = False) -> str:
        self.build(self.name, BASE_DOCKERFILE, classic)
        return names(self.engine)[self.name]

    @property
    def kept(self) -> str:
        """What a dry run says of the base image."""
        return f"  keep      {self.name} (kept: local base image)\n"


@pytest.fixture
def sources(engine: Engine, short_path: Path) -> Sources:
    return Sources(engine, short_path / "project")


def dry_run(daemon: Daemon) -> str:
    done = daemon.ctl("clear", "--dry-run")
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def clear(daemon: Daemon, status: int = 0) -> str:
    done = daemon.ctl("clear")
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout


def never_run(text: str) -> set[str]:
    """The images of which a clear says that no container was ever seen."""
    lists = re.findall(r"^NOTE: no container was ever seen of (.*?)(?: \(deleted\))?: if a Dockerfile", text, re.M)
    return {name for names in lists for name in names.split(", ")}


def rebuilt(sources: Sources, classic: bool) -> None:
    sources.base(classic)
    sources.build(BACKEND, CHILD, classic)
    sources.change()
    sources.base(classic)


def stage(sources: Sources, classic: bool) -> None:
    sources.base(classic)
    sources.build(BACKEND, STAGE, classic)


def copied(sources: Sources, classic: bool) -> None:
    sources.base(classic)
    sources.build(BACKEND, COPY_FROM, classic)


def mounted(sources: Sources, classic: bool) -> None:
    sources.base(classic)
    sources.build(BACKEND, MOUNT_FROM, classic)


def metadata(sources: Sources, classic: bool) -> None:
    sources.base(classic)
    sources.build(BACKEND, METADATA, classic)


def child_removed(sources: Sources, classic: bool) -> None:
    sources.base(classic)
    sources.build(BACKEND, CHILD, classic)
    sources.engine.docker("rmi", BACKEND)


def child_failed(sources: Sources, classic: bool) -> None:
    sources.base(classic)
    sources.build(BACKEND, CHILD + "RUN false\n", classic, check=False)


@dataclass(frozen=True)
class Case:
    prepare: Callable[[Sources, bool], None]
    child: str
    classic: bool = True  # whether something tells where the classic builder made both


CASES = {
    "rebuilt": Case(rebuilt, CHILD),
    "stage": Case(stage, STAGE),
    "copied": Case(copied, COPY_FROM, classic=False),
    "mounted": Case(mounted, MOUNT_FROM),
    "metadata": Case(metadata, METADATA),
    "child-removed": Case(child_removed, CHILD, classic=False),
    "child-failed": Case(child_failed, CHILD, classic=False),
}


@pytest.mark.parametrize("case", CASES)
def test_image_that_a_build_needs_stays(engine: Engine, daemon: Daemon, sources: Sources, case: str) -> None:
    CASES[case].prepare(sources, False)
    base = names(engine)[sources.name]
    assert sources.kept in dry_run(daemon)
    for again in range(2):  # by what is remembered, since the build cache is gone
        said = clear(daemon)
        assert names(engine)[sources.name] == base, again
        assert f"NOTE: kept: local base image: {sources.name}\n" in said
        assert sources.name not in never_run(said)
    build = sources.build(BACKEND, CASES[case].child)
    assert build.cached == 0, build.text


@pytest.mark.parametrize("case", [name for name, case in CASES.items() if case.classic and name != "mounted"])
def test_image_that_a_classic_build_needs_remains(engine: Engine, daemon: Daemon, sources: Sources,
                                                  case: str) -> None:
    """Its steps would serve a build of its own Dockerfile, so the host is not fresh, and nothing breaks the next
    build."""
    CASES[case].prepare(sources, True)
    daemon.clock.go_on(minutes=2)  # an untagged step could be one of a build under way for a minute
    base = names(engine)[sources.name]
    assert sources.kept in dry_run(daemon)
    said = clear(daemon, 3)
    assert f"REMAINING: image {sources.name}: a local base image, which the classic builder takes" in said
    assert names(engine)[sources.name] == base
    build = sources.build(BACKEND, CASES[case].child, classic=True)
    assert build.cached == 0, build.text


@pytest.mark.parametrize("case", ["copied", "child-removed"])
def test_image_that_nothing_tells_of_is_named(engine: Engine, daemon: Daemon, sources: Sources, case: str) -> None:
    """The classic builder leaves no trace of COPY --from, nor of a child that is gone."""
    CASES[case].prepare(sources, True)
    daemon.clock.go_on(minutes=2)
    assert sources.name in never_run(dry_run(daemon))
    assert sources.name in never_run(clear(daemon)) and sources.name not in names(engine)


def test_base_that_nothing_was_built_on_is_named(engine: Engine, daemon: Daemon, sources: Sources) -> None:
    """It can be had back, and the clear after that keeps it, once [images] base names it."""
    base = sources.base()
    assert never_run(dry_run(daemon)) == {sources.name}
    assert never_run(clear(daemon)) == {sources.name}
    assert names(engine) == {rollback_name(base, sources.repository): base}
    assert daemon.ctl("rollback").returncode == 0
    build = sources.build(BACKEND, CHILD)
    assert build.cached == 0 < build.steps
    assert f"NOTE: kept: local base image: {sources.name}\n" in clear(daemon)
    assert names(engine)[sources.name] == base


def test_note_leaves_out_what_runs(engine: Engine, daemon: Daemon, sources: Sources) -> None:
    """Also of a release that was built anew since: containers are made from images of its repository."""
    sources.build(BACKEND, BASE_DOCKERFILE)
    run(engine, BACKEND, "web")
    sources.change()
    sources.build(BACKEND, BASE_DOCKERFILE)
    assert not never_run(dry_run(daemon))
    assert not never_run(clear(daemon))


@on(*NEW)
@pytest.mark.parametrize("case", ["rebuilt", "stage", "copied", "mounted", "child-removed", "child-failed"])
def test_build_cache_was_pruned_before(engine: Engine, daemon: Daemon, sources: Sources, case: str) -> None:
    """The engine's records of builds outlive its build cache."""
    CASES[case].prepare(sources, False)
    engine.docker("builder", "prune", "--all", "--force")
    base = names(engine)[sources.name]
    clear(daemon)
    assert names(engine)[sources.name] == base
    assert sources.build(BACKEND, CASES[case].child).cached == 0


def test_child_was_cleared_before(engine: Engine, daemon: Daemon, sources: Sources) -> None:
    """What a build needed is remembered when its image is gone, and goes for an image that is built anew."""
    base = sources.base()
    image = sources.build(BACKEND, STAGE) and names(engine)[BACKEND]
    clear(daemon)
    untag(engine, rollback_name(image))
    sources.change()
    assert sources.base() != base
    base = names(engine)[sources.name]
    clear(daemon)
    assert names(engine) == {sources.name: base}


def test_needed_image_that_serves_remains(engine: Engine, daemon: Daemon, sources: Sources) -> None:
    """It is judged as any other: with inline cache metadata it serves on the graphdriver store."""
    (sources.dir / "Dockerfile").write_text(BASE_DOCKERFILE)
    engine.docker("build", "--network", "none", "--build-arg", "BUILDKIT_INLINE_CACHE=1", "--tag", sources.name,
                  str(sources.dir), env={"DOCKER_BUILDKIT": "1"})
    sources.build(BACKEND, COPY_FROM)
    if engine.name == "20":  # which tells but the number of its layers
        assert sources.name in never_run(clear(daemon)) and sources.name not in names(engine)
    elif engine.name == "28c":
        clear(daemon)
        assert sources.name in names(engine)
    else:
        assert f"REMAINING: image {sources.name}: a local base image, which carries inline" in clear(daemon, 3)
        assert sources.name in names(engine)


def test_other_tag_of_a_base(engine: Engine, daemon: Daemon, sources: Sources) -> None:
    """The next version of a base, on which nothing was built yet, belongs to the same repository."""
    sources.base()
    sources.build(BACKEND, STAGE)
    sources.change()
    sources.build(f"{sources.repository}:2", BASE_DOCKERFILE)
    clear(daemon)
    assert {sources.name, f"{sources.repository}:2"} <= set(names(engine))


def test_one_repository_for_all(engine: Engine, daemon: Daemon, sources: Sources) -> None:
    """Where the base image and the application share a repository, the application's releases go."""
    app = f"{sources.repository}:web"
    dockerfile = STAGE.replace("FROM scratch\n", f"FROM {BASE}\n")
    sources.base()
    sources.build(app, dockerfile)
    run(engine, app, "web")
    sources.build(app, dockerfile + "ENV A=1\n")
    clear(daemon)
    assert sources.name in names(engine) and app not in names(engine)


def test_cache_from_is_no_need(engine: Engine, daemon: Daemon, sources: Sources) -> None:
    """A build that only takes cached steps from an image does not need it."""
    inline = ("--build-arg", "BUILDKIT_INLINE_CACHE=1")
    (sources.dir / "Dockerfile").write_text(BASE_DOCKERFILE)

    def build(*options: str) -> subprocess.CompletedProcess[str]:
        return engine.docker("build", "--network", "none", *inline, *options, "--tag", BACKEND, str(sources.dir),
                             env={"DOCKER_BUILDKIT": "1"})

    build()
    engine.docker("builder", "prune", "--all", "--force")
    build("--cache-from", BACKEND)
    clear(daemon)
    assert BACKEND not in names(engine)


@on(*NEW)
@pytest.mark.parametrize("child", [STAGE, COPY_FROM], ids=["stage", "copied"])
def test_classic_image_that_buildkit_needs(engine: Engine, daemon: Daemon, sources: Sources, child: str) -> None:
    sources.base(classic=True)
    sources.build(BACKEND, child)
    base = names(engine)[sources.name]
    assert f"REMAINING: image {sources.name}: a local base image, which the classic builder" in clear(daemon, 3)
    assert names(engine)[sources.name] == base
    assert sources.build(BACKEND, child).cached == 0


def test_image_that_a_classic_stage_needs_serves_nothing(engine: Engine, daemon: Daemon, sources: Sources) -> None:
    """BuildKit made the base image, so that it is kept and the host is fresh."""
    base = sources.base()
    sources.build(BACKEND, STAGE, classic=True)
    daemon.clock.go_on(minutes=2)
    clear(daemon)
    assert names(engine)[sources.name] == base
    assert sources.build(BACKEND, STAGE, classic=True).cached == 0


def test_release_known_by_its_rollback_tag_alone(engine: Engine, sources: Sources, short_path: Path) -> None:
    """After the daemon's memory was lost, and its Dockerfile has become shorter: no base image of the release
    before."""
    with Daemon(engine.socket, short_path / "before") as daemon:
        sources.build(BACKEND, BASE_DOCKERFILE + "COPY requirements.txt /app/\n")
        release = names(engine)[BACKEND]
        clear(daemon)
        assert rollback_name(release) in names(engine)
    sources.change()
    with Daemon(engine.socket, short_path / "after") as daemon:
        daemon.ctl("plan")  # looks at images
        sources.build(BACKEND, BASE_DOCKERFILE)
        said = clear(daemon)
        assert "kept: local base image" not in said, said
        assert BACKEND not in names(engine)
