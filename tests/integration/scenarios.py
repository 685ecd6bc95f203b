"""The freshness matrix: each row makes a cache in one way; how much of it does the next build take?

A row is data; Scenario plays it on one engine. The sample project has four steps on top of scratch
and is different each time, so that no scenario lives on what another one left.
"""
from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from engine import Engine, EngineError, rootfs

BACKEND = "watchparty-backend:latest"
FRONTEND = "watchparty-frontend:latest"
PROTECTED = "watchparty-protected:1"
OTHER = "other/service:1"
CONTAINER = "CONTAINER"
PINNED = "deploy/backend-pinned:stable"  # outside of what the daemon may touch
LOCAL = "localhost:5000/team/watchparty-backend:latest"
SECOND = "watchparty-backend:previous"
ALL = ("20", "26", "28", "28c")
# The containerd store imports no inline cache of a local image.
GRAPH = ("20", "26", "28")

HEAD = """FROM scratch
COPY rootfs /
COPY requirements.txt /app/
"""
PLAIN = HEAD + """RUN cp /app/requirements.txt /app/installed
COPY src /app/src
"""
MULTI_STAGE = """FROM scratch AS builder
COPY rootfs /
COPY requirements.txt /app/
RUN cp /app/requirements.txt /app/bundle
FROM scratch
COPY rootfs /
COPY --from=builder /app/bundle /app/bundle
COPY src /app/src
"""
# No step of the one stage is one of the other: the classic builder would take it from there.
CLASSIC_STAGES = """FROM scratch AS builder
COPY rootfs /
COPY requirements.txt /app/
RUN cp /app/requirements.txt /app/bundle
FROM scratch
COPY --from=builder /app/bundle /app/bundle
COPY src /app/src
"""
OWN_STAGE = """FROM scratch AS builder
COPY rootfs /
COPY requirements.txt /app/
RUN cp /app/requirements.txt /app/bundle
FROM scratch
COPY --from=builder /app/bundle /app/bundle
COPY src /app/src
"""
CACHE_MOUNT = HEAD + """RUN --mount=type=cache,target=/wheels cp /app/requirements.txt /wheels/
COPY src /app/src
"""
WAIT = "RUN echo in-flight; sleep 6\n"
ON_BASE = """FROM pybase:1
RUN echo pip install >/installed
COPY src /app/src
"""
SAME_FIRST_STEP = """FROM pybase:1
RUN echo pip install >/installed
RUN echo something else >/else
"""
OTHER_STEPS = """FROM pybase:1
RUN echo nginx >/nginx
COPY src /app/src
"""
BASE = "watchparty-base:1"
BASE_DOCKERFILE = """FROM scratch
COPY rootfs /
"""
ON_LOCAL_BASE = f"""FROM {BASE}
COPY requirements.txt /app/
RUN cp /app/requirements.txt /app/installed
COPY src /app/src
"""
REBUILT = "watchparty-rebuilt:1"
TOOLCHAIN = "watchparty-toolchain:1"
TOOLS = "watchparty-tools:1"
ON_REBUILT = ON_LOCAL_BASE.replace(BASE, REBUILT)
ON_TOOLCHAIN = f"""FROM {TOOLCHAIN} AS build
RUN cp /unique /bundle
FROM scratch
COPY --from=build /bundle /bundle
COPY src /app/src
"""
WITH_TOOLS = f"""FROM scratch
COPY --from={TOOLS} /unique /unique
COPY src /app/src
"""
NEWER_BASE = """FROM pybase:1
ENV VERSION=2
RUN echo newer >/newer
"""
FIRST_VALUE = """FROM scratch
ENV RELEASE=1
COPY rootfs /
COPY src /app/src
"""
NEXT_VALUE = FIRST_VALUE.replace("=1", "=2")
FIRST_VERSION = """FROM scratch
WORKDIR /srv/v12
COPY rootfs /
COPY src /app/src
"""
NEXT_VERSION = FIRST_VERSION.replace("v12", "v13")
EXEC_FORM = """FROM pybase:1
RUN ["cp", "/note", "/copy"]
RUN ["cp", "/copy", "/second"]
"""
ON_BUILD = """FROM scratch
ONBUILD COPY . /app
COPY rootfs /
COPY src /app/src
"""
SLOW = PLAIN + WAIT              # all of the sample's steps, and one more
SLOW_BRANCH = HEAD + WAIT + "COPY src /app/src\n"  # the step in flight is not on a tagged image
FAILING = HEAD + "RUN false\n"
CONTEXT = HEAD + """RUN cp /app/requirements.txt /app/installed
COPY . /app/
"""
APP_CACHE = ".next/BUILD_ID"


@dataclass(frozen=True)
class Row:
    """One way to make a cache. Where a clear cannot end it, REMAINS is what the clear has to name
    (CONTAINER stands for the name of the container that holds the cache)."""

    name: str
    title: str
    image: str = BACKEND
    dockerfile: str = PLAIN
    classic: bool = False
    inline: bool = False
    also: str = ""  # a second tag on the image
    cache_from: tuple[str, ...] = ()  # what the next build names
    container: str = ""  # "running" or "stopped", made from the image
    building: str = ""  # Dockerfile of a build in flight during the clear
    failing: str = ""  # Dockerfile of a build that failed, the only one so far
    app_cache: bool = False  # the project has one, of an earlier release
    dockerignore: str = ""
    # What is done instead of one build of the image, a step a line: see Scenario._step().
    steps: str = "build IMAGE"
    remains: tuple[str, ...] = ()
    remains_on: tuple[str, ...] = ALL
    engines: tuple[str, ...] = ALL
    assumes: str = ""  # what a clear has to name among its assumptions
    keeps: tuple[str, ...] = ()  # images in scope that it has to leave
    needless: str = ""  # why the next build is fresh although the clear can't say so

    def expect(self, engine: str) -> int:
        """Exit status of an honest and able clear."""
        return 3 if self.remains and engine in self.remains_on else 0


ROWS = {row.name: row for row in (
    Row("plain", "plain build, image present"),
    Row("inline", "inline cache + `cache_from`", inline=True, cache_from=(BACKEND,)),
    Row("inline-running", "… and a running container", inline=True, cache_from=(BACKEND,),
        container="running"),
    Row("inline-stopped", "… and a stopped container", inline=True, cache_from=(BACKEND,),
        container="stopped"),
    Row("inline-second-tag", "… and a second tag in `cache_from`", inline=True, also=SECOND,
        cache_from=(BACKEND, SECOND)),
    Row("inline-other-tag", "… and a tag of another repository in `cache_from`", inline=True,
        also=PINNED, cache_from=(BACKEND, PINNED), remains=(PINNED,), remains_on=GRAPH),
    Row("multi-stage", "multi-stage build", image=FRONTEND, dockerfile=MULTI_STAGE),
    Row("cache-mount", "cache mount", dockerfile=CACHE_MOUNT),
    Row("building", "a build running meanwhile", building=SLOW),
    Row("classic", "classic builder", classic=True),
    Row("classic-multi-stage", "classic builder, multi-stage build", image=FRONTEND,
        dockerfile=CLASSIC_STAGES, classic=True),
    Row("classic-running", "classic builder, running container", classic=True, container="running",
        remains=(CONTAINER,)),
    Row("classic-failed", "classic builder, a failed build's stopped container", classic=True,
        failing=FAILING, remains=(CONTAINER,)),
    Row("classic-other-tag", "classic builder, image also tagged under another repository",
        classic=True, also=PINNED, remains=(PINNED,)),
    Row("classic-building", "classic builder, a build running meanwhile", classic=True,
        building=SLOW_BRANCH),
    Row("classic-building-on-tag", "… whose step runs on the tagged image", classic=True,
        building=SLOW),
    Row("registry-name", "image named `localhost:5000/team/watchparty-backend`", image=LOCAL,
        inline=True, cache_from=(LOCAL,)),
    Row("foreign-only", "classic image of others, the same Dockerfile; none of ours was ever there",
        classic=True, steps="build scratchpad:dev", remains=("scratchpad:dev",)),
    Row("foreign-removed", "… ours was removed by hand", classic=True,
        steps="build IMAGE\ntag scratchpad:dev\nrmi IMAGE", remains=("scratchpad:dev",)),
    Row("foreign-changed", "… ours has older code", classic=True,
        steps="build IMAGE\nchange\nbuild scratchpad:dev", remains=("scratchpad:dev",)),
    Row("foreign-cleared", "… ours was cleared before and is gone", classic=True,
        steps="build IMAGE\nclear\nchange\nbuild scratchpad:dev", remains=("scratchpad:dev",)),
    Row("foreign-buildkit", "… ours was built by BuildKit", classic=True,
        steps="buildkit IMAGE\nbuild scratchpad:dev", remains=("scratchpad:dev",)),
    Row("foreign-stage", "classic stage of ours (`--target`) under another name", classic=True,
        image=FRONTEND, dockerfile=MULTI_STAGE, steps="build IMAGE\nstage builder stage:dev",
        remains=("stage:dev",)),
    Row("foreign-own-stage", "… whose steps the final image does not tell; ours was cleared before",
        classic=True, image=FRONTEND, dockerfile=OWN_STAGE,
        steps="build IMAGE\nclear\nchange\nstage builder stage:dev", remains=("stage:dev",)),
    Row("foreign-later-stage", "… tagged right after the build of ours", classic=True, image=FRONTEND,
        dockerfile=OWN_STAGE, steps="build IMAGE\nstage builder stage:dev", remains=("stage:dev",)),
    Row("foreign-earlier-stage", "… tagged right before the build of ours", classic=True, image=FRONTEND,
        dockerfile=OWN_STAGE, steps="stage builder stage:dev\nbuild IMAGE", remains=("stage:dev",)),
    Row("foreign-stage-buildkit", "… ours was built by BuildKit", classic=True, image=FRONTEND,
        dockerfile=OWN_STAGE, steps="buildkit IMAGE\nstage builder stage:dev", remains=("stage:dev",),
        engines=("26", "28", "28c")),
    Row("foreign-newer-base", "classic image of others on a newer version of the base image", classic=True,
        dockerfile=ON_BASE, steps="base\nbuild IMAGE\nother NEWER_BASE pybase:1\nchange\n"
        "build scratchpad:dev", remains=("scratchpad:dev",)),
    Row("foreign-value", "… whose first step sets another value", classic=True, dockerfile=NEXT_VALUE,
        steps="other FIRST_VALUE IMAGE\nbuild scratchpad:dev", remains=("scratchpad:dev",)),
    Row("foreign-version", "… whose first step names another version", classic=True,
        dockerfile=NEXT_VERSION, steps="other FIRST_VERSION IMAGE\nbuild scratchpad:dev",
        remains=("scratchpad:dev",)),
    Row("foreign-onbuild", "… whose first step is ONBUILD; ours was built by BuildKit", classic=True,
        dockerfile=ON_BUILD, steps="buildkit IMAGE\nbuild scratchpad:dev", remains=("scratchpad:dev",)),
    Row("foreign-first-step", "classic image of another application, the same base and first step",
        classic=True, dockerfile=ON_BASE, steps="base\nbuild IMAGE\nother SAME_FIRST_STEP scratchpad:dev",
        remains=("scratchpad:dev",)),
    Row("foreign-other-steps", "… the same base and other steps", classic=True, dockerfile=ON_BASE,
        steps="base\nbuild IMAGE\nother OTHER_STEPS scratchpad:dev", assumes="scratchpad:dev"),
    Row("foreign-loaded", "classic image of ours, loaded under another name and named in `cache_from`",
        classic=True, cache_from=("scratchpad:dev",),
        steps="build IMAGE\ntag scratchpad:dev\nsave scratchpad:dev\nrmi scratchpad:dev\n"
              "clear\nload scratchpad:dev",
        # The containerd store fails such a build: "moby-dangling… already exists".
        remains=("scratchpad:dev",), engines=GRAPH),
    Row("foreign-exec-form", "… of `RUN [\"cp\", …]` steps alone", classic=True, dockerfile=EXEC_FORM,
        cache_from=("scratchpad:dev",),
        steps="base\nbuild IMAGE\ntag scratchpad:dev\nsave scratchpad:dev\nrmi scratchpad:dev\n"
              "clear\nload scratchpad:dev",
        remains=("scratchpad:dev",), engines=GRAPH),
    Row("loaded-running", "classic image of ours, saved, removed, loaded, and running", classic=True,
        steps="build IMAGE\nsave IMAGE\nrmi IMAGE\nload IMAGE", container="running"),
    Row("foreign-inline", "inline cache, loaded under another name after a clear and named in "
        "`cache_from`", inline=True, cache_from=("scratchpad:dev",),
        steps="build IMAGE\ntag scratchpad:dev\nsave scratchpad:dev\nrmi scratchpad:dev\n"
              "clear\nload scratchpad:dev",
        remains=("scratchpad:dev",), remains_on=GRAPH),
    Row("foreign-inline-first-step", "inline image of another application, the same base and first step, "
        "named in `cache_from`", inline=True, dockerfile=ON_BASE, cache_from=("scratchpad:dev",),
        steps="base\nbuild IMAGE\nother SAME_FIRST_STEP scratchpad:dev",
        remains=("scratchpad:dev",), remains_on=GRAPH),
    Row("foreign-inline-other-steps", "… the same base and other steps", inline=True,
        dockerfile=ON_BASE, cache_from=("scratchpad:dev",),
        steps="base\nbuild IMAGE\nother OTHER_STEPS scratchpad:dev"),
    Row("foreign-inline-changed", "… ours with older code", inline=True, dockerfile=ON_BASE,
        cache_from=("scratchpad:dev",),
        steps="base\nbuild IMAGE\nchange\nbuild scratchpad:dev",
        remains=("scratchpad:dev",), remains_on=GRAPH),
    Row("foreign-inline-rebuilt", "… the same files with other times", inline=True,
        cache_from=("scratchpad:dev",),
        steps="build scratchpad:dev\nsave scratchpad:dev\nrmi scratchpad:dev\nprune\nbuild IMAGE\nload scratchpad:dev",
        remains=("scratchpad:dev",), remains_on=GRAPH),
    Row("older-release", "an older release made by `docker import`", keeps=(SECOND,),
        steps=f"import {SECOND}\nbuild IMAGE"),
    Row("committed", "a container's image, made by `docker commit` under a name of ours",
        steps=f"build IMAGE\ncommit {SECOND}"),
    Row("classic-committed", "… from an image of the classic builder", classic=True, keeps=(SECOND,),
        steps=f"build IMAGE\ncommit {SECOND}", remains=(SECOND,)),
    Row("local-base", "built on a local base image of ours", dockerfile=ON_LOCAL_BASE, keeps=(BASE,),
        steps=f"other BASE_DOCKERFILE {BASE}\nbuild IMAGE"),
    Row("classic-local-base", "… by the classic builder", dockerfile=ON_LOCAL_BASE, classic=True,
        steps=f"other BASE_DOCKERFILE {BASE}\nbuild IMAGE", keeps=(BASE,), remains=(BASE,),
        needless="the base image would serve a build of its own Dockerfile"),
    Row("local-base-rebuilt", "… and that was built anew since", dockerfile=ON_REBUILT, keeps=(REBUILT,),
        steps=f"other BASE_DOCKERFILE {REBUILT}\nbuild IMAGE\nchange\nother BASE_DOCKERFILE {REBUILT}"),
    # Engine 20 does not tell which image a stage or COPY --from named.
    Row("local-base-stage", "an earlier stage built on one", dockerfile=ON_TOOLCHAIN, keeps=(TOOLCHAIN,),
        steps=f"other BASE_DOCKERFILE {TOOLCHAIN}\nbuild IMAGE", engines=("26", "28", "28c")),
    Row("local-image-copied", "`COPY --from` a local image of ours", dockerfile=WITH_TOOLS, keeps=(TOOLS,),
        steps=f"other BASE_DOCKERFILE {TOOLS}\nbuild IMAGE", engines=("26", "28", "28c")),
    Row("builder-state", "a buildx builder's volume, its container removed (`--keep-state`)",
        steps="volume buildx_buildkit_ci0_state\nbuild IMAGE", remains=("buildx_buildkit_ci0_state",),
        needless="a builder made again under that name has the cache"),
    # Engine 20 keeps no record that tells what the stages of a build did.
    Row("foreign-inline-stage", "… a stage of ours (`--target`)", inline=True, image=FRONTEND,
        dockerfile=OWN_STAGE, cache_from=("stage:dev",), steps="build IMAGE\nstage builder stage:dev",
        remains=("stage:dev",), engines=("26", "28")),
    Row("app-cache", "app cache copied in by the build context", image=FRONTEND, dockerfile=CONTEXT,
        app_cache=True),
    Row("app-cache-ignored", "… and excluded by `.dockerignore`", image=FRONTEND, dockerfile=CONTEXT,
        app_cache=True, dockerignore=".next\n"),
)}


@dataclass
class Build:
    """What a build did: steps taken from a cache, all steps, its output, and whether the image has
    the project's stale app cache."""
    cached: int
    steps: int
    text: str
    app_cache: bool = False

    @property
    def fresh(self) -> bool:
        return self.cached == 0 and not self.app_cache


def count(text: str) -> Build:
    """Reads a build's output, of BuildKit (--progress plain) or of the classic builder."""
    if "#1 [internal]" in text:
        steps = set(re.findall(r"^(#\d+) \[(?:\S+ )?\d+/\d+\] (?!FROM)", text, re.M))
        cached = steps & set(re.findall(r"^(#\d+) CACHED", text, re.M))
        return Build(len(cached), len(steps), text)
    return Build(len(re.findall(r"^ ---> Using cache", text, re.M)),
                 len(re.findall(r"^Step \d+/\d+ : (?!FROM)", text, re.M)), text)


class Scenario:
    """A row on an engine. `with` it: prepare(), clear, land(), rebuild() as often as wanted."""

    def __init__(self, row: Row, engine: Engine):
        self.row, self.engine = row, engine
        self.container = ""  # the one that holds the cache, if any
        self._flight: subprocess.Popen[bytes] | None = None
        self._temporary = tempfile.TemporaryDirectory(prefix="wpcache-row-")
        self._log = Path(self._temporary.name) / "flight.log"
        self._project = Path(self._temporary.name) / "project"
        self._release = uuid.uuid4().hex
        self.clear: Callable[[], object] = lambda: None  # for steps that need one
        self._saved = b""
        self.config = ""  # what wpcached needs to know of the project
        if row.app_cache:
            self.config = f"[app frontend]\nroot={self._project}\ncaches=.next\n"

    def __enter__(self) -> Scenario:
        return self

    def __exit__(self, *_: object) -> None:
        if self._flight:
            self._flight.kill()
            self._flight.wait()
        self._temporary.cleanup()

    def prepare(self) -> None:
        """Makes the cache; where a build is in flight, returns while its last step runs."""
        shutil.rmtree(self._project, ignore_errors=True)  # of a scenario that is played again
        rootfs(self._project / "rootfs")
        (self._project / "rootfs/unique").write_text(uuid.uuid4().hex)
        (self._project / "src").mkdir()
        (self._project / "src/app.py").write_text("print('watch party')\n")
        (self._project / "requirements.txt").write_text("django\n")
        if self.row.app_cache:
            (self._project / APP_CACHE).parent.mkdir()
            (self._project / APP_CACHE).write_text(self._release)
        if self.row.dockerignore:
            (self._project / ".dockerignore").write_text(self.row.dockerignore)
        if self.row.failing:
            return self._fail()
        for step in self.row.steps.splitlines():
            first = self._step(*step.replace("IMAGE", self.row.image).split())
            if first and step == "build IMAGE" and first.cached == first.steps:
                raise EngineError(f"row {self.row.name} began with a cache:\n{first.text}")
        if self.row.also:
            self.engine.docker("tag", self.row.image, self.row.also)
        if self.row.container:
            self._deploy()
        if self.row.building:
            self._take_off()

    def _step(self, verb: str, *args: str) -> Build | None:
        """One of a row's steps; what it did if it was a build."""
        docker, project = self.engine.docker, self._project
        match verb:
            case "build" | "buildkit":  # NAME: of the row's Dockerfile
                return self._build(self.row.dockerfile, name=args[0],
                                   classic=self.row.classic and verb == "build")
            case "stage":  # STAGE NAME
                return self._build(self.row.dockerfile, name=args[1], options=("--target", args[0]))
            case "other":  # DOCKERFILE NAME
                return self._build(globals()[args[0]], name=args[1])
            case "base":
                self.engine.import_base("pybase:1", uuid.uuid4().hex)
            case "import":
                self.engine.import_base(args[0], uuid.uuid4().hex)
                time.sleep(1.1)  # the engine lists seconds
            case "volume":
                docker("volume", "create", args[0])
            case "change":
                (project / "src/app.py").write_text(uuid.uuid4().hex)
                (project / "requirements.txt").write_text(uuid.uuid4().hex)
                (project / "rootfs/unique").write_text(uuid.uuid4().hex)
            case "tag":
                docker("tag", self.row.image, args[0])
            case "commit":  # a container of the image
                docker("run", "--name", "changed", "--network", "none", self.row.image, "/bin/sh", "-c", "echo 1 >/changed")
                docker("commit", "changed", args[0])
                docker("rm", "changed")
            case "rmi":
                docker("rmi", args[0])
            case "save":
                self._saved = subprocess.run([self.engine.cli, "save", args[0]], check=True,
                                             env=self.engine.env, capture_output=True).stdout
            case "load":
                docker("load", "--quiet", input=self._saved)
                docker("image", "inspect", args[0])
            case "prune":
                docker("builder", "prune", "--all", "--force")
            case "clear":
                self.clear()
            case _:
                raise ValueError(verb)
        return None

    def land(self) -> bool:
        """Waits for the build in flight, if any; false if it came to harm."""
        return not self._flight or self._flight.wait(timeout=120) == 0

    @property
    def flight_log(self) -> str:
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    @property
    def engine_race(self) -> bool:
        """The build in flight fell to a race of the engine's own: on the containerd store a build that
        takes a tag from another image can lose the layers both share to the garbage collector while
        it unpacks. Without anything else going on, 4 of 78 builds on a loaded machine (28.5.2)."""
        return (self.engine.name == "28c" and "failed to prepare extraction snapshot"
                in self.flight_log and "parent snapshot" in self.flight_log)

    def rebuild(self) -> Build:
        build = self._build(self.row.dockerfile, self.row.cache_from)
        if self.row.app_cache:
            read = self.engine.docker("run", "--rm", "--network", "none", self.row.image, "/bin/sh",
                                      "-c", f"! [ -e /app/{APP_CACHE} ] || cat /app/{APP_CACHE}")
            build.app_cache = read.stdout == self._release
        return build

    def _command(self, dockerfile: str, cache_from: tuple[str, ...] = (), name: str = "",
                 classic: bool | None = None, options: tuple[str, ...] = ()) -> list[str]:
        (self._project / "Dockerfile").write_text(dockerfile)
        command = ["build", "--network", "none", "--tag", name or self.row.image, *options]
        command += [f"--cache-from={image}" for image in cache_from]
        if not (self.row.classic if classic is None else classic):
            command += ["--progress", "plain"]
        if self.row.inline:
            command += ["--build-arg", "BUILDKIT_INLINE_CACHE=1"]
        return [*command, str(self._project)]

    def _env(self, classic: bool | None = None) -> dict[str, str]:
        classic = self.row.classic if classic is None else classic
        return {"DOCKER_BUILDKIT": "0" if classic else "1"}

    def _build(self, dockerfile: str, cache_from: tuple[str, ...] = (), check: bool = True,
               name: str = "", classic: bool | None = None, options: tuple[str, ...] = (),
               ) -> Build:
        command = self._command(dockerfile, cache_from, name, classic, options)
        done = self.engine.docker(*command, env=self._env(classic), check=check)
        return count(done.stdout + done.stderr)

    def _containers(self) -> set[str]:
        return set(self.engine.docker("ps", "--all", "--format", "{{.Names}}").stdout.split())

    def _fail(self) -> None:
        """A build that fails, and leaves the container of its last step."""
        before = self._containers()
        self._build(self.row.failing, check=False)
        self.container, = self._containers() - before

    def _deploy(self) -> None:
        self.container = "deployed"
        script = "exec sleep 3600" if self.row.container == "running" else "exit 0"
        self.engine.docker("run", "--detach", "--network", "none", "--name", self.container,
                           self.row.image, "/bin/sh", "-c", script)
        if self.row.container == "stopped":
            self.engine.docker("wait", self.container)

    def _take_off(self) -> None:
        before = self._containers()
        with open(self._log, "wb") as log:
            self._flight = subprocess.Popen(
                [self.engine.cli, *self._command(self.row.building)], stdin=subprocess.DEVNULL,
                env=self.engine.env | self._env(), stdout=log, stderr=log)
        until = time.monotonic() + 60
        while not re.search(r"^(#\d+ [\d.]+ )?in-flight", text := self._log.read_text(), re.M):
            if self._flight.poll() is not None or time.monotonic() > until:
                raise EngineError(f"no build in flight:\n{text}")
            time.sleep(0.05)
        self.container = "".join(self._containers() - before)  # BuildKit's steps show none


class Bystanders:
    """What belongs to others on the same host, and must outlive every clear."""

    def __init__(self, engine: Engine):
        self.engine = engine

    def create(self) -> None:
        engine, base = self.engine, self.engine.import_base
        self.images = {"dangling image": base("", "dangling"), OTHER: base(OTHER, "other"),
                       PROTECTED: base(PROTECTED, "protected")}
        engine.post("/volumes/create", Name="bystander-data")
        engine.post("/networks/create", Name="bystander-net", Driver="bridge")
        volume = ["bystander-data:/data"]
        engine.run("bystander-stopped", OTHER, "/bin/sh", "-c", "echo kept >/data/file", Binds=volume)
        engine.post("/containers/bystander-stopped/wait")
        engine.run("bystander-running", OTHER, "/bin/sleep", "3600", Binds=volume)

    def harmed(self) -> list[str]:
        """What is not as it was; empty when all is well."""
        look = self.engine.look
        images = look("/images/json?all=1")
        there = {image["Id"] for image in images}
        lost = [what for what, image in self.images.items() if image not in there]
        names = {name for image in images for name in image["RepoTags"] or ()}
        lost += [f"image {name}" for name in (OTHER, PROTECTED) if name not in names]
        if "bystander-data" not in {volume["Name"] for volume in look("/volumes")["Volumes"] or ()}:
            lost.append("volume bystander-data")
        if "bystander-net" not in {network["Name"] for network in look("/networks")}:
            lost.append("network bystander-net")
        states = {container["Names"][0]: container["Status"] for container in look("/containers/json?all=1")}
        for name, state in (("bystander-stopped", "Exited (0)"), ("bystander-running", "Up")):
            if not states.get(f"/{name}", "").startswith(state):
                lost.append(f"container {name}")
        if not lost:  # and all of it still works
            read = ("exec", "bystander-running", "/bin/cat", "/note", "/data/file")
            if self.engine.docker(*read, check=False).stdout != "otherkept\n":
                lost.append("what bystander-running sees of its image and volume")
        return lost
