"""Images of others whose Dockerfile is like ours, but not the same: which of them give steps to the next build,
and which are only named among the assumptions."""
from __future__ import annotations

import sqlite3
import subprocess
import time
import uuid
from contextlib import closing
from pathlib import Path

import pytest

from engine import Engine, rootfs
from helpers import ONE, Daemon, on, run, wait_until
from registry import registry
from scenarios import BACKEND, GRAPH, Build, count
from test_foreign import INLINE, assumed, remaining

DEV = "scratchpad:dev"
FROM_BASE = "FROM pybase:1\n"
STEPS = "RUN echo requirements >/installed\nCOPY src /app/src\n"


class App:
    """A directory with a Dockerfile, which both builders build."""

    def __init__(self, engine: Engine, directory: Path):
        self.engine, self.dir = engine, directory
        rootfs(directory / "rootfs")
        (directory / "rootfs/unique").write_text(uuid.uuid4().hex)
        self.change()

    def change(self) -> None:
        (self.dir / "src").write_text(uuid.uuid4().hex)

    def build(self, dockerfile: str, name: str = BACKEND, *options: str, classic: bool = True) -> Build:
        (self.dir / "Dockerfile").write_text(dockerfile)
        done = self.engine.docker("build", "--network", "none", "--tag", name, *options,
                                  *(() if classic else ("--progress", "plain")), str(self.dir),
                                  env={"DOCKER_BUILDKIT": "0" if classic else "1"})
        return count(done.stdout + done.stderr)


@pytest.fixture
def app(engine: Engine, short_path: Path) -> App:
    return App(engine, short_path / "app")


@pytest.fixture
def other(engine: Engine, short_path: Path) -> App:
    return App(engine, short_path / "other")


def serves(daemon: Daemon, name: str = DEV) -> None:
    """The clear names the image. (That it serves is for the test to show: it is for the next build to say.)"""
    clear = daemon.ctl("clear", "all")
    assert clear.returncode == 3, clear.stdout
    assert name in remaining(clear.stdout), clear.stdout


def serves_nothing(daemon: Daemon, name: str = DEV) -> None:
    clear = daemon.ctl("clear", "all")
    assert clear.returncode == 0, clear.stdout
    assert name in assumed(clear.stdout), clear.stdout


# The base image

def newer_base(engine: Engine, app: App) -> None:
    """pybase:1 in a version with more entries in its history."""
    engine.import_base("pybase:next", uuid.uuid4().hex)
    app.build("FROM pybase:next\nENV A=1\nRUN echo newer >/newer\n", "pybase:1")


@pytest.mark.parametrize("ours", ["classic", "buildkit"])
@pytest.mark.parametrize("seen", ["by a look", "not before the clear", "ours removed after a look"])
def test_newer_version_of_the_base(engine: Engine, daemon: Daemon, app: App, other: App, ours: str,
                                   seen: str) -> None:
    engine.import_base("pybase:1", uuid.uuid4().hex)
    app.build(FROM_BASE + STEPS, classic=ours == "classic")
    if seen != "not before the clear":
        assert daemon.ctl("clear", "--dry-run").returncode == 0
    newer_base(engine, other)
    app.change()
    app.build(FROM_BASE + STEPS, DEV)
    if seen == "ours removed after a look":
        engine.docker("rmi", BACKEND)
    serves(daemon)
    assert app.build(FROM_BASE + STEPS).cached == 2


@pytest.mark.parametrize("ours", ["classic", "buildkit"])
def test_another_tag_of_the_base(engine: Engine, daemon: Daemon, app: App, ours: str) -> None:
    """The Dockerfile of the next release may name a newer tag of the base image."""
    engine.import_base("pybase:1", uuid.uuid4().hex)
    engine.import_base("pybase:2", uuid.uuid4().hex)
    app.build("FROM pybase:2\nENV A=1\nRUN echo newer >/newer\n", "pybase:2")
    app.build(FROM_BASE + STEPS, classic=ours == "classic")
    app.build("FROM pybase:2\n" + STEPS, DEV)
    serves(daemon)
    assert app.build("FROM pybase:2\n" + STEPS).cached == 2


def test_another_base(engine: Engine, daemon: Daemon, app: App, other: App) -> None:
    """The same first step on another base image, which has another history, too."""
    engine.import_base("pybase:1", uuid.uuid4().hex)
    engine.import_base("node:1", uuid.uuid4().hex)
    other.build("FROM node:1\nENV A=1\nRUN echo newer >/newer\nCMD [\"/bin/sh\"]\n", "node:2")
    app.build(FROM_BASE + STEPS)
    other.build("FROM node:2\n" + STEPS, DEV)
    serves_nothing(daemon)
    assert app.build(FROM_BASE + STEPS).cached == 0


def test_others_on_the_same_base(engine: Engine, daemon: Daemon, app: App, other: App) -> None:
    """Applications of others on a pulled base image are the usual case on engine 20."""
    engine.import_base("pybase:1", uuid.uuid4().hex)
    app.build(FROM_BASE + STEPS)
    newer_base(engine, other)
    for i in range(3):
        other.build(FROM_BASE + f"RUN echo {i} >/other\n" + STEPS, f"other/app:{i}")
    clear = daemon.ctl("clear", "all")
    assert clear.returncode == 0, clear.stdout
    assert app.build(FROM_BASE + STEPS).cached == 0


# Values

@pytest.mark.parametrize("instruction", ["ENV RELEASE={}", "LABEL release={} of=us", "ENV RELEASE {} or so",
                                         "ARG RELEASE={}"])
@pytest.mark.parametrize("ours", ["classic", "buildkit"])
def test_first_step_with_another_value(engine: Engine, daemon: Daemon, app: App, instruction: str,
                                       ours: str) -> None:
    def dockerfile(value: str) -> str:
        return f"FROM scratch\n{instruction.format(value)}\nCOPY rootfs /\n"

    app.build(dockerfile("one"), classic=ours == "classic")
    app.build(dockerfile("two"), DEV)
    serves(daemon)
    assert app.build(dockerfile("two")).cached == 2


@pytest.mark.parametrize("ours", ["classic", "buildkit"])
def test_first_step_is_onbuild(engine: Engine, daemon: Daemon, app: App, ours: str) -> None:
    """BuildKit writes no entry for it."""
    dockerfile = "FROM scratch\nONBUILD COPY . /app\nCOPY rootfs /\n"
    app.build(dockerfile, classic=ours == "classic")
    app.build(dockerfile, DEV)
    serves(daemon)
    assert app.build(dockerfile).cached == 2


def test_onbuild_alone_is_a_cached_step(engine: Engine, daemon: Daemon, app: App) -> None:
    app.build("FROM scratch\nONBUILD COPY . /app\nCOPY rootfs /\n")
    app.build("FROM scratch\nONBUILD COPY . /app\nLABEL of=others\n", DEV)
    serves(daemon)
    assert app.build("FROM scratch\nONBUILD COPY . /app\nCOPY rootfs /\n").cached == 1


@pytest.mark.parametrize("ours", ["classic", "buildkit"])
@pytest.mark.parametrize("first,second", [
    ("WORKDIR /srv/v12", "WORKDIR /srv/v13"), ("WORKDIR /srv/v12", "WORKDIR /srv/v13-rc1"),
    ("COPY rootfs /srv/2026-11-30/", "COPY rootfs /srv/2026-12-01/"),
    ("RUN echo 4be1a2c >/version", "RUN echo f00d123 >/version"), ("USER 1000", "USER 1001")])
def test_first_step_of_the_next_version(engine: Engine, daemon: Daemon, app: App, first: str, second: str,
                                        ours: str) -> None:
    """Somebody built what will be the next release, under another name."""
    engine.import_base("pybase:1", uuid.uuid4().hex)
    app.build(f"{FROM_BASE}{first}\nCOPY src /app/src\n", classic=ours == "classic")
    app.build(f"{FROM_BASE}{second}\nCOPY src /app/src\n", DEV)
    serves(daemon)
    assert app.build(f"{FROM_BASE}{second}\nCOPY src /app/src\n").cached == 2


# Releases

def test_release_that_grew_by_its_last_step(engine: Engine, daemon: Daemon, app: App) -> None:
    """The layers of the older release are the beginning of the newer one's, as a base image's are."""
    engine.import_base("pybase:1", uuid.uuid4().hex)
    app.build(FROM_BASE + STEPS, "watchparty-backend:41")
    app.build(FROM_BASE + STEPS + "RUN echo new >/new\n", "watchparty-backend:42")
    clear = daemon.ctl("clear", "all")
    assert clear.returncode == 0, clear.stdout
    assert "kept:" not in clear.stdout, clear.stdout
    assert app.build(FROM_BASE + STEPS).cached == 0


# Stages

STAGES = """FROM scratch AS deps
COPY rootfs /
FROM deps AS builder
COPY src /app/src
RUN cp /app/src /app/bundle
FROM scratch
COPY --from=builder /app/bundle /app/bundle
"""


@pytest.mark.parametrize("order", ["ours first", "the stage first", "two stages first", "seen and ours removed",
                                   "remembered and changed"])
def test_stage_under_another_name(engine: Engine, daemon: Daemon, app: App, order: str) -> None:
    """No step of the stage is told by the history of our final image."""
    if order == "two stages first":
        app.build(STAGES, "ci/deps:1", "--target", "deps")
    if "first" in order and order != "ours first":
        app.build(STAGES, DEV, "--target", "builder")
    app.build(STAGES)
    if order in ("ours first", "seen and ours removed", "remembered and changed"):
        app.build(STAGES, DEV, "--target", "builder")
    if order == "two stages first":
        engine.docker("rmi", DEV)  # whose steps serve without a name
    if order == "seen and ours removed":
        assert daemon.ctl("clear", "--dry-run").returncode == 0
        engine.docker("rmi", BACKEND)
    if order == "remembered and changed":
        serves(daemon)
        engine.docker("rmi", DEV)
        assert daemon.ctl("clear", "all").returncode == 0
        app.change()
        app.build(STAGES, DEV, "--target", "builder")
    serves(daemon, "ci/deps:1" if order == "two stages first" else DEV)
    assert app.build(STAGES).cached > 0


def test_two_stages_under_other_names(engine: Engine, daemon: Daemon, app: App) -> None:
    app.build(STAGES)
    app.build(STAGES, DEV, "--target", "builder")
    app.build(STAGES, "ci/deps:1", "--target", "deps")
    serves(daemon)
    engine.docker("rmi", DEV)
    serves(daemon, "ci/deps:1")
    engine.docker("rmi", "ci/deps:1")
    assert daemon.ctl("clear", "all").returncode == 0
    assert app.build(STAGES).cached == 0


def let_time_pass() -> None:
    """Longer than from the last step of a stage to the next step of the same build."""
    time.sleep(11)


# Both stages copy files of one directory; they share no instruction.
COPYING = """FROM pybase:1 AS {stage}
RUN echo tools >/tools
COPY src /app/src
COPY Dockerfile /app/
{end}
FROM scratch
COPY src /srv/src
COPY Dockerfile /srv/Dockerfile
"""


@pytest.mark.parametrize("stage,end", [("builder", ""), ("dev", 'CMD ["/bin/true"]')])
@pytest.mark.parametrize("gone", [False, True])
def test_stage_that_copied_what_ours_copied(engine: Engine, daemon: Daemon, app: App, stage: str, end: str,
                                            gone: bool) -> None:
    """Whenever it was made, and also where it ends with CMD as an application does."""
    engine.import_base("pybase:1", uuid.uuid4().hex)
    dockerfile = COPYING.format(stage=stage, end=end)
    app.build(dockerfile, DEV, "--target", stage)
    let_time_pass()
    app.build(dockerfile)
    if gone:
        assert daemon.ctl("clear", "--dry-run").returncode == 0
        engine.docker("rmi", BACKEND)
    serves(daemon)
    assert app.build(dockerfile).cached >= 3


def test_application_with_a_file_of_ours(engine: Engine, daemon: Daemon, app: App) -> None:
    """A script that several applications have is no sign that one is a stage of the other."""
    engine.import_base("pybase:1", uuid.uuid4().hex)
    app.build(f'{FROM_BASE}RUN echo other >/other\nCOPY src /srv/\nCMD ["/bin/true"]\n', DEV)
    app.build(FROM_BASE + STEPS)
    serves_nothing(daemon)
    assert app.build(FROM_BASE + STEPS).cached == 0


@pytest.mark.parametrize("gone", [False, True])
def test_stage_that_ours_was_built_upon(engine: Engine, daemon: Daemon, app: App, gone: bool) -> None:
    """It is the first step of a build FROM scratch; a stage of ours without a name stands on it."""
    app.build(STAGES, "ci/deps:1", "--target", "deps")
    let_time_pass()
    app.build(STAGES)
    if gone:
        assert daemon.ctl("clear", "--dry-run").returncode == 0
        engine.docker("rmi", BACKEND)
        engine.docker("image", "prune", "--force")
    serves(daemon, "ci/deps:1")
    assert app.build(STAGES).cached > 0


def test_base_of_the_stage_that_ours_was_built_upon(engine: Engine, daemon: Daemon, app: App) -> None:
    engine.import_base("pybase:1", uuid.uuid4().hex)
    dockerfile = """FROM pybase:1 AS deps
RUN echo requirements >/installed
FROM deps AS builder
COPY src /app/src
FROM builder
RUN cp /app/src /app/bundle
"""
    app.build(dockerfile, "ci/deps:1", "--target", "deps")
    app.build(dockerfile, DEV, "--target", "builder")
    let_time_pass()
    app.build(dockerfile)
    serves(daemon)
    engine.docker("rmi", DEV)
    serves(daemon, "ci/deps:1")
    engine.docker("rmi", "ci/deps:1")
    assert daemon.ctl("clear", "all").returncode == 0
    assert app.build(dockerfile).cached == 0


def facts_of_ours(daemon: Daemon) -> int:
    with closing(sqlite3.connect(f"{(daemon.state / 'wpcache.db').absolute().as_uri()}?mode=ro", uri=True)) as store:
        return store.execute("SELECT count(*) FROM image_facts WHERE ours AND n_history > 0").fetchone()[0]


def test_stage_that_only_polls_saw(engine: Engine, app: App, short_path: Path) -> None:
    """Its instructions are remembered, though it was gone at the first clear."""
    engine.import_base("pybase:1", uuid.uuid4().hex)
    dockerfile = STAGES.replace("FROM scratch\nCOPY --from", "FROM pybase:1\nCOPY --from")
    with Daemon(engine.socket, short_path / "daemon", "[poll]\ninterval=5s\n") as daemon:
        app.build(dockerfile)
        wait_until(lambda: facts_of_ours(daemon) == 2)
        engine.docker("rmi", BACKEND)
        engine.docker("image", "prune", "--force")
        app.change()
        app.build(dockerfile, DEV, "--target", "builder")
        serves(daemon)
    assert app.build(dockerfile).cached > 0


def test_application_built_before_ours(engine: Engine, daemon: Daemon, app: App, other: App) -> None:
    """An application of others ends with CMD or ENTRYPOINT, a stage does not."""
    engine.import_base("pybase:1", uuid.uuid4().hex)
    for i, end in enumerate(('CMD ["/bin/true"]', 'ENTRYPOINT ["/bin/true"]')):
        other.build(f"{FROM_BASE}RUN echo {i} >/other\n{end}\n", f"other/app:{i}")
    engine.docker("run", "--network", "none", "--name", "other", "other/app:0")
    engine.docker("commit", "other", DEV)
    engine.docker("rm", "other")
    app.build(FROM_BASE + STEPS)
    serves_nothing(daemon)
    assert app.build(FROM_BASE + STEPS).cached == 0


def test_application_tagged_after_ours(engine: Engine, daemon: Daemon, app: App, other: App) -> None:
    """A later name does not make an application of others a stage of ours, nor what is built from it."""
    engine.import_base("pybase:1", uuid.uuid4().hex)
    dockerfile = FROM_BASE + "RUN echo other >/other\nCMD [\"/bin/true\"]\n"
    other.build(dockerfile, "other/app:1")
    app.build(FROM_BASE + STEPS)
    engine.docker("tag", "other/app:1", DEV)
    serves_nothing(daemon)
    other.build(dockerfile.replace("CMD", "LABEL of=others\nCMD"), "other/app:2")
    app.build(FROM_BASE + STEPS)
    serves_nothing(daemon, "other/app:2")
    assert app.build(FROM_BASE + STEPS).cached == 0


def test_application_built_after_ours(engine: Engine, daemon: Daemon, app: App, other: App) -> None:
    engine.import_base("pybase:1", uuid.uuid4().hex)
    app.build(FROM_BASE + STEPS)
    for i in range(3):
        other.build(f"{FROM_BASE}RUN echo {i} >/other\n", f"other/app:{i}")
    serves_nothing(daemon, "other/app:2")
    assert app.build(FROM_BASE + STEPS).cached == 0


# Images that were pushed

ON_DEPS = """FROM pybase:1 AS deps
RUN echo requirements >/installed
FROM deps
COPY src /app/src
"""


@on(*GRAPH)
def test_pushed_stage_is_no_common_base(engine: Engine, daemon: Daemon, app: App) -> None:
    """What was pushed from here has a digest, as what was pulled has."""
    engine.import_base("pybase:1", uuid.uuid4().hex)
    app.build(ON_DEPS, BACKEND, *INLINE, classic=False)
    with registry(engine) as address:
        app.build(ON_DEPS, f"{address}/ci/deps:1", "--target", "deps", classic=False)
        engine.docker("push", f"{address}/ci/deps:1")
    app.change()
    app.build(ON_DEPS, DEV, *INLINE, classic=False)
    serves(daemon)
    assert app.build(ON_DEPS, BACKEND, "--cache-from", DEV, classic=False).cached > 0


@on(*GRAPH)
def test_pulled_image_is_a_common_base(engine: Engine, daemon: Daemon, app: App, other: App) -> None:
    engine.import_base("pybase:1", uuid.uuid4().hex)
    with registry(engine) as address:
        base = f"{address}/library/python:3"
        app.build("FROM pybase:1\nRUN echo python >/python\n", base, classic=False)
        engine.docker("push", base)
        engine.docker("rmi", base)
        engine.docker("builder", "prune", "--all", "--force")
        engine.docker("pull", base)
        app.build(f"FROM {base}\n{STEPS}", classic=False)
        other.build(f"FROM {base}\nCOPY src /other\n", DEV, *INLINE, classic=False)
    serves_nothing(daemon)


# Stages of BuildKit

@on("26", "28", "28c")
@pytest.mark.parametrize("base", ["scratch", "pybase"])
def test_stage_of_an_image_by_buildkit(engine: Engine, daemon: Daemon, app: App, base: str) -> None:
    """BuildKit's record of our build tells the instructions of all stages."""
    engine.import_base("pybase:1", uuid.uuid4().hex)
    dockerfile = STAGES if base == "scratch" else STAGES.replace("FROM scratch", "FROM pybase:1")
    app.build(dockerfile, classic=False)
    app.build(dockerfile, DEV, "--target", "builder")
    serves(daemon)
    assert app.build(dockerfile).cached > 0


@on("26", "28")
def test_stage_with_inline_cache(engine: Engine, daemon: Daemon, app: App, other: App) -> None:
    app.build(STAGES, BACKEND, *INLINE, classic=False)
    app.build(STAGES, DEV, *INLINE, "--target", "builder", classic=False)
    other.build(STAGES.replace("/app", "/other"), "other/app:1", *INLINE, classic=False)
    serves(daemon)
    engine.docker("rmi", DEV)
    serves_nothing(daemon, "other/app:1")


@on("26", "28", "28c")
def test_application_like_no_stage_of_ours(engine: Engine, daemon: Daemon, app: App, other: App) -> None:
    engine.import_base("pybase:1", uuid.uuid4().hex)
    app.build(STAGES.replace("FROM scratch", "FROM pybase:1"), classic=False)
    other.build(FROM_BASE + "RUN echo other >/other\nRUN echo two >/two\nCOPY src /app/src\n", DEV)
    serves_nothing(daemon)


# The state an image of others is in

@on(*GRAPH)
def test_newer_base_loaded_and_named_in_cache_from(engine: Engine, daemon: Daemon, app: App, other: App) -> None:
    engine.import_base("pybase:1", uuid.uuid4().hex)
    app.build(FROM_BASE + STEPS)
    assert daemon.ctl("clear", "--dry-run").returncode == 0
    newer_base(engine, other)
    app.build(FROM_BASE + STEPS, DEV)
    saved = subprocess.run([engine.cli, "save", DEV], check=True, env=engine.env, capture_output=True).stdout
    engine.docker("rmi", DEV, BACKEND)
    engine.docker("load", "--quiet", input=saved)
    serves(daemon)
    assert app.build(FROM_BASE + STEPS, BACKEND, "--cache-from", DEV).cached == 2


def test_stage_in_use(engine: Engine, daemon: Daemon, app: App) -> None:
    app.build(STAGES)
    app.build(STAGES, DEV, "--target", "builder")
    run(engine, DEV, "debugging")
    clear = daemon.ctl("clear", "all")
    assert clear.returncode == 3, clear.stdout
    assert "container debugging" in remaining(clear.stdout), clear.stdout
    assert engine.docker("inspect", "--format", "{{.State.Running}}", "debugging").stdout == "true\n"
    assert app.build(STAGES).cached > 0


@ONE
def test_stage_that_is_a_base_image(engine: Engine, short_path: Path, app: App) -> None:
    """[images] base exempts."""
    app.build(STAGES)
    app.build(STAGES, DEV, "--target", "builder")
    with Daemon(engine.socket, short_path / "daemon", "[images]\nbase=scratchpad\n") as daemon:
        clear = daemon.ctl("clear", "all")
    assert clear.returncode == 0, clear.stdout
    assert DEV not in clear.stdout


@on("20", "28")
@pytest.mark.parametrize("looked", [True, False], ids=["looked", "not-looked"])
def test_release_below_a_base_image(engine: Engine, short_path: Path, app: App, other: App, looked: bool) -> None:
    """What others built upon a release of ours keeps it. Whoever names that in [images] base can't know."""
    engine.import_base("pybase:1", uuid.uuid4().hex)
    with Daemon(engine.socket, short_path / "daemon", "[images]\nbase=child\n") as daemon:
        wait_until(lambda: "observedAt" in daemon.ctl("status", "--json").stdout)
        app.build(FROM_BASE + STEPS)
        if looked:
            assert daemon.ctl("explain", BACKEND).returncode == 0
        other.build(f"FROM {BACKEND}\nRUN echo child >/child\n", "child:1")
        app.build(FROM_BASE + STEPS, classic=False)
        assert daemon.ctl("clear", "all").returncode == 3
    assert app.build(FROM_BASE + STEPS).cached == 2


@on("20", "28", "28c")
def test_base_of_a_base_image(engine: Engine, short_path: Path, app: App) -> None:
    engine.import_base("pybase:1", uuid.uuid4().hex)
    app.build(FROM_BASE + "RUN echo os >/os\n", "team-os:1")
    app.build("FROM team-os:1\nRUN echo runtime >/runtime\n", "team-runtime:1")
    app.build("FROM team-runtime:1\n" + STEPS)
    with Daemon(engine.socket, short_path / "daemon", "[images]\nbase=team-runtime\n") as daemon:
        clear = daemon.ctl("clear", "all")
        assert clear.returncode == 0, clear.stdout
    assert app.build("FROM team-runtime:1\n" + STEPS).cached == 0


@pytest.mark.parametrize("project", ["watchparty", "party", "other"])
def test_service_that_never_had_a_name_of_ours(engine: Engine, daemon: Daemon, app: App, other: App,
                                               project: str) -> None:
    """Compose labels what it builds with its project."""
    label = ("--label", f"com.docker.compose.project={project}")
    engine.import_base("pybase:1", uuid.uuid4().hex)
    app.build(FROM_BASE + STEPS, BACKEND, "--label", "com.docker.compose.project=party")
    dockerfile = FROM_BASE + "RUN echo frontend >/frontend\nCMD [\"/bin/sh\"]\n"
    other.build(dockerfile, DEV, *label)
    if project == "other":
        serves_nothing(daemon)
    else:
        serves(daemon)
        assert other.build(dockerfile, "watchparty-frontend:latest").cached == 2


# What a clear tells to do

@pytest.mark.parametrize("inline", [True, False], ids=["inline", "classic"])
def test_remedy_ends_all_names_and_containers(engine: Engine, daemon: Daemon, app: App, inline: bool) -> None:
    """It is typed as it is told, once."""
    if inline and engine.name not in GRAPH:
        pytest.skip("the containerd store imports no cache from a local image")
    dockerfile = "FROM scratch\nCOPY rootfs /\nCOPY src /src\n"
    app.build(dockerfile, DEV, *INLINE * inline, classic=not inline)
    for name in ("review/backend:pr7", "scratchpad:2"):
        engine.docker("tag", DEV, name)
    run(engine, DEV, "first")
    engine.docker("create", "--name", "second", "--network", "none", "review/backend:pr7", "/bin/true")
    app.build(dockerfile, classic=False)
    clear = daemon.ctl("clear", "all")
    assert clear.returncode == 3 and len(remaining(clear.stdout).splitlines()) == 1, clear.stdout
    remedy = clear.stdout.split("end it: ", 1)[1].split(", then clear again")[0]
    done = subprocess.run(["sh", "-c", f'docker() {{ "{engine.cli}" "$@"; }}; {remedy}'], env=engine.env,
                          capture_output=True, text=True)
    assert done.returncode == 0, remedy + done.stderr
    clear = daemon.ctl("clear", "all")
    assert clear.returncode == 0, clear.stdout
