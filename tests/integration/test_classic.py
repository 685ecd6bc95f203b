"""Builds of the classic builder: their stages, and what they leave without a name."""
from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

import pytest

from engine import Engine, UnixHTTP, rootfs_tar
from helpers import Daemon, Project, images, look, names, on, receipts, untag, wait_until
from policies import hasty, polls, status
from scenarios import BACKEND, Build, count

# No step of the one stage is a step of the other, as with FROM node and FROM nginx.
STAGES = """FROM base/one:1 AS builder
COPY release /app/
RUN cp /app/release /app/bundle
FROM base/two:1
COPY --from=builder /app/bundle /app/bundle
COPY rootfs/unique /app/src
"""
THREE_STAGES = """FROM base/one:1 AS dependencies
COPY release /app/
RUN cp /app/release /app/installed
FROM base/one:1 AS builder
COPY --from=dependencies /app/installed /app/installed
RUN cp /app/installed /app/bundle
FROM base/two:1
COPY --from=builder /app/bundle /app/bundle
"""
SAME_BASE = """FROM scratch AS builder
COPY rootfs /
COPY release /app/
RUN cp /app/release /app/bundle
FROM scratch
COPY rootfs /
COPY --from=builder /app/bundle /app/bundle
"""
# Steps whose history tells no shell, and another shell.
EXEC_FORM = STAGES.replace("RUN cp /app/release /app/bundle", 'RUN ["cp", "/app/release", "/app/bundle"]')
SHELL = STAGES.replace("RUN cp", 'SHELL ["busybox", "sh", "-c"]\nRUN cp')


def bases(engine: Engine) -> None:
    for name in ("base/one:1", "base/two:1"):
        engine.docker("import", "-", name, input=rootfs_tar(name))


def build(project: Project, dockerfile: str, *options: str) -> Build:
    (project.dir / "Dockerfile").write_text(dockerfile)
    (project.dir / "release").write_text("1")
    done = project.engine.docker("build", "--network", "none", *options, str(project.dir),
                                 env={"DOCKER_BUILDKIT": "0"})
    return count(done.stdout + done.stderr)


def test_stages_of_an_ended_build_go(engine: Engine, short_path: Path) -> None:
    """Nothing is waited for, and the next build takes no step from a cache."""
    bases(engine)
    kept = images(engine)
    project = Project(engine, short_path / "project")
    with Daemon(engine.socket, short_path / "daemon") as daemon:
        # the last one takes a step from its own first stage
        for dockerfile, own in ((STAGES, 0), (EXEC_FORM, 0), (SHELL, 0), (THREE_STAGES, 0), (SAME_BASE, 1)):
            assert build(project, dockerfile, "--tag", BACKEND).cached == own
            begin = time.monotonic()
            clear = daemon.ctl("clear", "--target", "all", "--wait", "120s")
            assert clear.returncode == 0, clear.stdout + clear.stderr
            assert time.monotonic() - begin < 30, clear.stdout
            assert images(engine) == kept
            assert build(project, dockerfile, "--tag", BACKEND).cached == own
            assert daemon.ctl("clear", "--target", "all", "--wait", "120s").returncode == 0
        assert sorted(names(engine)) == ["base/one:1", "base/two:1"]


@on("20", "28", "28c")
@pytest.mark.parametrize("events", ["yes", "no"])
def test_releases_before_are_no_build(engine: Engine, short_path: Path, events: str) -> None:
    """An image of ours came after them. The clear takes that one first, and still knows."""
    bases(engine)
    project = Project(engine, short_path / "project")
    with Daemon(engine.socket, short_path / "daemon", f"[poll]\nevents={events}\n") as daemon:
        wait_until(lambda: "observedAt" in daemon.ctl("status", "--json").stdout)
        for release in "12":
            (project.dir / "rootfs/unique").write_text(release)
            build(project, "FROM base/one:1\nCOPY rootfs/unique /app/\n", "--tag", BACKEND)
            time.sleep(1.1)  # the engine tells whole seconds
        begin = time.monotonic()
        clear = daemon.ctl("clear", "--target", "all", "--wait", "120s")
    assert time.monotonic() - begin < 30, clear.stdout
    assert "Waiting" not in clear.stdout, clear.stdout
    if events == "yes":  # they told its name
        assert clear.returncode == 0, clear.stdout
        return
    # wpcached did not see it named, so it may be another application's
    assert clear.returncode == 3, clear.stdout
    left, = receipts(daemon)[-1]["remaining"]
    assert "of unknown origin" in left["reason"]


@on("20", "28", "28c")
def test_images_of_others_are_no_stages(engine: Engine, daemon: Daemon, short_path: Path) -> None:
    """What docker commit made, and a release of another application that a rebuild left without a name: a
    build of ours that came next claims neither."""
    bases(engine)
    engine.docker("run", "--name", "db", "--network", "none", "base/one:1", "/bin/sh", "-c", "echo precious >/data")
    committed = engine.docker("commit", "db").stdout.strip()
    engine.docker("rm", "db")
    ours, other = Project(engine, short_path / "project"), Project(engine, short_path / "other")
    build(other, "FROM base/one:1\nRUN echo 1 >/release\n", "--tag", "other/web:1")
    released = names(engine)["other/web:1"]
    build(ours, STAGES, "--tag", BACKEND)
    build(other, "FROM base/one:1\nRUN echo 2 >/release\n", "--tag", "other/web:1")
    clear = daemon.ctl("clear", "--target", "all", "--wait", "1s")
    assert clear.returncode in (0, 3), clear.stdout
    assert committed in images(engine)
    assert released in images(engine) or engine.name == "28c"  # which drops it itself when it is rebuilt


@on("20", "28")
def test_release_of_others_on_a_shared_step_stays(engine: Engine, daemon: Daemon, short_path: Path) -> None:
    """Both applications begin with the same step on the same base image. The step goes with the clear as far as
    it can; a release of the other one that a rebuild left without a name is named, and not taken."""
    bases(engine)
    ours, other = Project(engine, short_path / "project"), Project(engine, short_path / "other")
    for release in "12":
        (other.dir / "rootfs/unique").write_text(release)
        build(other, "FROM base/one:1\nWORKDIR /app\nCOPY rootfs/unique /app/\n", "--tag", "other/web:1")
        if release == "1":
            released = names(engine)["other/web:1"]
    build(ours, "FROM base/one:1\nWORKDIR /app\nCOPY release /app/\n", "--tag", BACKEND)
    assert BACKEND in names(engine) and released in images(engine)
    daemon.clock.go_on(minutes=2)  # the release could be a step of a build under way for a minute
    for _ in range(2):  # the second one knows the step as cleared
        clear = daemon.ctl("clear", "--target", "all", "--wait", "1s")
        assert clear.returncode == 3, clear.stdout
        assert BACKEND not in names(engine) and released in images(engine)
        left = {left["object"]: left["reason"] for left in receipts(daemon)[-1]["remaining"]}
        assert "other/web:1" in left and "stands on a step of an image of this application" in left[released]


@on("20", "28", "28c")
@pytest.mark.parametrize("options", [(), ("--message", "a backup")], ids=["plain", "with-comment"])
def test_unnamed_commit_is_no_build(engine: Engine, daemon: Daemon, short_path: Path,
                                    options: tuple[str, ...]) -> None:
    """Where BuildKit alone builds, a clear neither waits for it nor takes it."""
    bases(engine)
    Project(engine, short_path / "project").build()
    engine.docker("run", "--name", "db", "--network", "none", "base/one:1", "/bin/sh", "-c", "echo precious >/data")
    committed = engine.docker("commit", *options, "db").stdout.strip()
    engine.docker("rm", "db")
    begin = time.monotonic()
    clear = daemon.ctl("clear", "--target", "all", "--wait", "120s")
    assert time.monotonic() - begin < 30, clear.stdout
    assert clear.returncode == 0, clear.stdout + clear.stderr
    assert "of a classic build" not in clear.stdout
    assert committed[:19] in assumed(clear.stdout)
    assert committed in images(engine)


@on("20", "28", "28c")
def test_base_that_the_classic_builder_made(engine: Engine, short_path: Path) -> None:
    """Nothing tells an image of others that ours is FROM and a stage of ours that others named apart: it is
    remaining, until [images] base names it. No clear says that it cleared it."""
    bases(engine)
    team, ours = Project(engine, short_path / "team"), Project(engine, short_path / "project")
    build(team, "FROM base/one:1\nRUN echo 1 >/1\nRUN echo 2 >/2\n", "--tag", "team/python:1")
    dockerfile = "FROM team/python:1\nRUN echo 3 >/3\nRUN echo 4 >/4\n"
    for base, expected in (("", 3), ("[images]\nbase=team/*\n", 0)):
        build(ours, dockerfile, "--tag", BACKEND)
        with Daemon(engine.socket, short_path / "daemon", base) as daemon:
            clear = daemon.ctl("clear", "--target", "all", "--wait", "120s")
        assert clear.returncode == expected, clear.stdout + clear.stderr
        left = [line for line in clear.stdout.splitlines() if line.startswith("REMAINING: ")]
        assert len(left) == (1 if expected else 0)
        if expected:
            assert left[0].startswith("REMAINING: image team/python:1: an image of this application was built upon ")
            assert "if a FROM names it, add it to [images] base; if not, docker rmi team/python:1" in clear.stdout
        assert build(ours, dockerfile, "--tag", BACKEND).cached == 0
        assert "team/python:1" in names(engine)


@on("20", "28c")
def test_build_without_a_tag(engine: Engine, short_path: Path) -> None:
    """Its last image looks like the newest step of a build under way: left alone for a minute. Then it is
    named, since its origin is unknown; and goes once a build of ours has ended after it."""
    bases(engine)
    project = Project(engine, short_path / "project")
    with Daemon(engine.socket, short_path / "daemon") as daemon:
        assert build(project, STAGES).cached == 0
        before = images(engine)
        clear = daemon.ctl("clear", "--target", "all", "--wait", "1s")
        assert clear.returncode == 3, clear.stdout + clear.stderr
        assert images(engine) == before
        assert {left["kind"] for left in receipts(daemon)[-1]["remaining"]} >= {"build"}
        daemon.clock.go_on(minutes=2)
        clear = daemon.ctl("clear", "--target", "all", "--wait", "1s")
        assert clear.returncode == 3, clear.stdout + clear.stderr
        assert "an untagged image of unknown origin" in clear.stdout
        assert images(engine) == before
        build(project, STAGES, "--tag", BACKEND)
        clear = daemon.ctl("clear", "--target", "all", "--wait", "120s")
        assert clear.returncode == 0, clear.stdout + clear.stderr
        assert build(project, STAGES, "--tag", BACKEND).cached == 0


@on("20", "28c")
def test_stage_of_a_build_under_way_stays(engine: Engine, short_path: Path) -> None:
    """An image of ours that is older than the stage tells nothing of its build."""
    bases(engine)
    project = Project(engine, short_path / "project")
    with Daemon(engine.socket, short_path / "daemon") as daemon:
        build(project, STAGES, "--tag", BACKEND)
        time.sleep(1.1)  # the engine tells whole seconds
        engine.docker("build", "--network", "none", "--target", "builder", str(project.dir), "--tag",
                      "other/stage:1", "--build-arg", "NEW=1", env={"DOCKER_BUILDKIT": "0"})
        untagged = build(project, STAGES.replace("base/one:1", "base/two:1"), "--target", "builder")
        assert untagged.cached == 0
        before = images(engine)
        clear = daemon.ctl("clear", "--target", "all", "--wait", "1s")
        assert clear.returncode == 3, clear.stdout + clear.stderr
        assert images(engine) == before and BACKEND in names(engine)


def test_step_of_the_exec_form_under_way(engine: Engine, daemon: Daemon, short_path: Path) -> None:
    """Its image alone shows that a build goes on, and nothing in its history does."""
    bases(engine)
    project = Project(engine, short_path / "project")
    build(project, EXEC_FORM, "--target", "builder")
    before = images(engine)
    clear = daemon.ctl("clear", "--target", "all", "--wait", "1s")
    assert clear.returncode == 3 and "of a classic build is" in clear.stdout, clear.stdout
    assert images(engine) == before


@on("20", "28", "28c")
def test_step_made_in_the_second_of_an_image(engine: Engine, short_path: Path) -> None:
    """One build of compose follows another within a second, which is all that the list of images tells:
    the first step of the second build is not taken for a stage of the first."""
    bases(engine)
    first, second = (Project(engine, short_path / name) for name in ("first", "second"))
    stage = "FROM base/two:1\nCOPY release /app/\n"
    with Daemon(engine.socket, short_path / "daemon") as daemon:
        for _ in range(20):
            build(first, stage, "--tag", BACKEND)
            build(second, stage.replace("/app/", "/other/"))
            listed = {image["Id"]: image for image in look(engine, "/v1.41/images/json?all=1")}
            named = listed[names(engine)[BACKEND]]["Created"]
            step, = (image["Created"] for id, image in listed.items()
                     if image["RepoTags"] in (None, [], ["<none>:<none>"])
                     and image["Created"] >= named)
            if step == named:
                break
            untag(engine, BACKEND)
            engine.docker("image", "prune", "--force")
        else:
            pytest.skip("no two builds within one second")
        before = images(engine)
        clear = daemon.ctl("clear", "--target", "all", "--wait", "1s")
        assert clear.returncode == 3, clear.stdout + clear.stderr
        assert images(engine) == before and BACKEND in names(engine)


# Untagged images of others, and of unknown origin

ONE_STAGE = "FROM base/two:1\nLABEL of=others\nCOPY rootfs/unique /app/\nCMD [\"/app/unique\"]\n"
# Steps that are none of ours.
THEIR_STAGES = """FROM base/one:1 AS build
WORKDIR /theirs
RUN echo built >/theirs/built
FROM base/two:1
WORKDIR /web
COPY --from=build /theirs/built /web/
CMD ["/web/built"]
"""
WEB = "other/web:1"


def assumed(clear: str) -> str:
    return "".join(line for line in clear.splitlines() if line.startswith("ASSUMES: no build of this application"))


def untagged(engine: Engine) -> set[str]:
    """Untagged images without children."""
    listed = look(engine, "/v1.41/images/json?all=1")
    parents = {image["ParentId"] for image in listed}
    return {image["Id"] for image in listed if image["RepoTags"] in (None, [], ["<none>:<none>"])
            and image["RepoDigests"] in (None, [], ["<none>@<none>"]) and image["Id"] not in parents}


NEVER = "never with its name"


@on("20", "28", "28c")
@pytest.mark.parametrize(("seen", "alike"), [("by a look", False), ("by events", False), (NEVER, False),
                                             ("by a look", True), ("by events", True)])
def test_release_of_others_before(engine: Engine, short_path: Path, seen: str, alike: bool) -> None:
    """It lost its name to a build with other steps. Nothing is waited for. It is remaining if it begins like ours, or
    if nobody saw whose name it bore, and is never taken."""
    bases(engine)
    ours, other = Project(engine, short_path / "project"), Project(engine, short_path / "other")
    dockerfile = "FROM base/one:1\nRUN echo ours >/first\n"
    with Daemon(engine.socket, short_path / "daemon") as daemon:
        if seen == NEVER:
            daemon.stop()
        else:
            wait_until(lambda: status(daemon).get("policy", {}).get("events"))
        build(other, dockerfile.replace("ours", "ours" if alike else "theirs") + "COPY rootfs/unique /app/\n"
              'CMD ["/app/unique"]\n', "--tag", WEB)
        released = names(engine)[WEB]
        if seen == "by a look":
            assert daemon.ctl("plan").returncode == 0
        build(other, ONE_STAGE, "--tag", WEB)
        assert untagged(engine) == {released}
        if seen == NEVER:
            daemon.start()
        build(ours, dockerfile, "--tag", BACKEND)
        begin = time.monotonic()
        clear = daemon.ctl("clear", "--target", "all", "--wait", "120s")
        assert time.monotonic() - begin < 30, clear.stdout
        remains = alike or seen == NEVER
        assert clear.returncode == (3 if remains else 0), clear.stdout + clear.stderr
        assert released in images(engine)
        if remains:
            assert released in {left["object"] for left in receipts(daemon)[-1]["remaining"]}
        else:
            assert released[:19] in assumed(clear.stdout)
        assert build(ours, dockerfile, "--tag", BACKEND).cached == (1 if alike else 0)


@on("20", "28", "28c")
def test_stages_of_others(engine: Engine, daemon: Daemon, short_path: Path) -> None:
    """They never bore a name, as what a build of ours leaves that failed never did, and nothing tells the two
    apart. They are named until they go, and not taken."""
    bases(engine)
    ours, other = Project(engine, short_path / "project"), Project(engine, short_path / "other")
    build(other, THEIR_STAGES, "--tag", WEB)
    stage, = untagged(engine)
    build(ours, STAGES, "--tag", BACKEND)
    daemon.clock.go_on(minutes=2)
    clear = daemon.ctl("clear", "--target", "all", "--wait", "1s")
    assert clear.returncode == 3 and stage in images(engine), clear.stdout + clear.stderr
    left, = receipts(daemon)[-1]["remaining"]
    assert left["object"] == stage and "of unknown origin" in left["reason"]
    assert left["remedy"].startswith(f"docker rmi {stage[:19]}, then clear again")
    engine.docker("rmi", stage)
    clear = daemon.ctl("clear", "--target", "all", "--wait", "1s")
    assert clear.returncode == 0 and WEB in names(engine), clear.stdout + clear.stderr
    assert build(ours, STAGES, "--tag", BACKEND).cached == 0


NEW = "watchparty-new:1"


@on("20", "28", "28c")
@pytest.mark.parametrize("then", ["nothing", "a build of others"])
@pytest.mark.parametrize("how", ["failed in COPY", "failed in RUN", "target", "no name", "removed", "replaced"])
def test_build_of_ours_that_no_look_saw_named(engine: Engine, daemon: Daemon, short_path: Path, how: str,
                                              then: str) -> None:
    """An image of ours is known, with other steps. A build of a new Dockerfile of ours failed or got no name, or
    its image lost it at once. What it left serves the next build, also if a build of others followed."""
    bases(engine)
    ours, other = Project(engine, short_path / "project"), Project(engine, short_path / "other")
    build(ours, "FROM base/one:1\nRUN echo known >/known\n", "--tag", BACKEND)
    assert daemon.ctl("plan").returncode == 0
    end = {"failed in COPY": "COPY missing /\n", "failed in RUN": "RUN false\n"}.get(how, "")
    options = {"target": ("--target", "builder"), "removed": ("--tag", NEW), "replaced": ("--tag", NEW)}.get(how, ())
    (ours.dir / "Dockerfile").write_text(STAGES + end)
    (ours.dir / "release").write_text("1")
    engine.docker("build", "--network", "none", *options, str(ours.dir), check=False, env={"DOCKER_BUILDKIT": "0"})
    if how == "replaced":
        build(ours, "FROM base/one:1\nRUN echo other >/other\n", *options)
    if how == "removed":
        untag(engine, NEW)
    if then != "nothing":
        build(other, ONE_STAGE, "--tag", WEB)
    for container in look(engine, "/v1.41/containers/json?all=1"):  # of RUN that failed
        engine.docker("rm", container["Id"])
    daemon.clock.go_on(minutes=2)
    clear = daemon.ctl("clear", "--target", "all", "--wait", "1s")
    assert clear.returncode in (0, 3), clear.stdout + clear.stderr
    cached = build(ours, STAGES, "--tag", BACKEND).cached
    assert clear.returncode == 3 or cached == 0, clear.stdout
    if how not in ("removed", "replaced"):
        assert cached >= 2


# What docker commit made

@on("20", "28", "28c")
@pytest.mark.parametrize("options", [(), ("--message", "a backup"), ("--change", 'CMD ["/bin/true"]'),
                                     ("--change", "LABEL a=b")],
                         ids=["plain", "with-comment", "with-command", "with-label"])
def test_unnamed_commit_of_ours_is_kept(engine: Engine, daemon: Daemon, short_path: Path,
                                        options: tuple[str, ...]) -> None:
    """A person made it, and its data is nowhere else. The steps of ours that it stands on serve, until it goes."""
    bases(engine)
    project = Project(engine, short_path / "project")
    dockerfile = "FROM base/one:1\nRUN echo 1 >/1\nRUN echo 2 >/2\n"
    build(project, dockerfile, "--label", "com.docker.compose.project=watchparty", "--tag", BACKEND)
    engine.docker("run", "--name", "db", "--network", "none", BACKEND, "/bin/sh", "-c", "echo precious >/data")
    committed = engine.docker("commit", *options, "db").stdout.strip()
    engine.docker("rm", "db")
    for _ in range(2):
        begin = time.monotonic()
        clear = daemon.ctl("clear", "--target", "all", "--wait", "120s")
        assert time.monotonic() - begin < 30, clear.stdout
        assert clear.returncode == 3 and committed in images(engine), clear.stdout + clear.stderr
        left, = receipts(daemon)[-1]["remaining"]
        assert left["object"] == committed and "docker commit made it" in left["reason"]
    assert f"docker rmi {committed}" in left["remedy"]
    engine.docker("rmi", committed)
    clear = daemon.ctl("clear", "--target", "all", "--wait", "120s")
    assert clear.returncode == 0, clear.stdout + clear.stderr
    assert build(project, dockerfile, "--tag", BACKEND).cached == 0


@on("20", "28c")
@pytest.mark.parametrize("classic", [True, False], ids=["classic", "buildkit"])
def test_policy_keeps_an_unnamed_commit(engine: Engine, short_path: Path, classic: bool) -> None:
    """However old, and although it has the label of our compose project. Policy does not try it again and again."""
    bases(engine)
    project = Project(engine, short_path / "project")
    (project.dir / "Dockerfile").write_text("FROM base/one:1\nRUN echo 1 >/1\n")
    engine.docker("build", "--network", "none", "--label", "com.docker.compose.project=watchparty", "--tag", BACKEND,
                  str(project.dir), env={"DOCKER_BUILDKIT": "0" if classic else "1"})
    engine.docker("run", "--name", "db", "--network", "none", BACKEND, "/bin/sh", "-c", "echo precious >/data")
    committed = engine.docker("commit", "--message", "a backup", "db").stdout.strip()
    engine.docker("rm", "db")
    with hasty(engine, short_path / "daemon", "[images]\nkeep_last=0\nmax_age=off\ndangling_max_age=1min\nmin_age=1min\n") as daemon:
        for _ in range(3):
            polls(daemon, 2)
            daemon.clock.go_on(days=10)
        polls(daemon, 2)
        assert committed in images(engine)
        assert "policy" in status(daemon) and status(daemon)["policy"]["images"] == 0
        assert daemon.log.count("Policy: ") <= 1


# Containers of steps

@on("20", "28", "28c")
def test_container_of_an_id_without_a_log_is_no_step(engine: Engine, daemon: Daemon, short_path: Path) -> None:
    """One that docker run made, with or without a health check, is none. What a program made with the very
    settings of the builder is, until it was not started for ten minutes."""
    bases(engine)
    image = engine.docker("image", "inspect", "--format", "{{.Id}}", "base/one:1").stdout.strip()
    options = ("--detach", "--log-driver", "none", "--network", "none")
    for more in ((), ("--no-healthcheck",), ("--entrypoint", "")):
        engine.docker("run", *options, *more, image, "/bin/sleep", "900")
    clear = daemon.ctl("clear", "--target", "all", "--wait", "1s")
    assert clear.returncode == 0, clear.stdout + clear.stderr
    settings = {"Image": image, "Cmd": ["/bin/true"], "Healthcheck": {"Test": ["NONE"]},
                "HostConfig": {"LogConfig": {"Type": "none"}, "NetworkMode": "none"}}
    connection = UnixHTTP(engine.socket, 60)
    connection.request("POST", "/containers/create", json.dumps(settings), {"Content-Type": "application/json"})
    assert connection.getresponse().status == 201
    connection.close()
    clear = daemon.ctl("clear", "--target", "all", "--wait", "1s")
    assert clear.returncode == 3 and "runs a step of a classic build" in clear.stdout, clear.stdout
    daemon.clock.go_on(minutes=11)
    clear = daemon.ctl("clear", "--target", "all", "--wait", "1s")
    assert clear.returncode == 0, clear.stdout + clear.stderr


@on("20", "28", "28c")
def test_running_step_is_a_build(engine: Engine, daemon: Daemon, short_path: Path) -> None:
    bases(engine)
    project = Project(engine, short_path / "project")
    (project.dir / "Dockerfile").write_text("FROM base/one:1\nRUN sleep 900\n")
    with subprocess.Popen([engine.cli, "build", "--network", "none", project.dir],
                          env=engine.env | {"DOCKER_BUILDKIT": "0"}, stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL) as building:
        wait_until(lambda: look(engine, "/v1.41/containers/json"))
        clear = daemon.ctl("clear", "--target", "all", "--wait", "1s")
        building.terminate()
    assert clear.returncode == 3 and "runs a step of a classic build" in clear.stdout, clear.stdout


@on("20", "28", "28c")
def test_containers_that_a_build_kept(engine: Engine, daemon: Daemon, short_path: Path) -> None:
    """--rm=false. Each was committed, so no build is waited for, however often it is cleared; those that hold a
    step of ours are named."""
    bases(engine)
    project = Project(engine, short_path / "project")
    dockerfile = "FROM base/one:1\nRUN echo 1 >/1\nENV A=1\nRUN echo 2 >/2\n"
    build(project, dockerfile, "--rm=false", "--tag", BACKEND)
    assert {container["State"] for container in look(engine, "/v1.41/containers/json?all=1")} == {"exited", "created"}
    for _ in range(2):
        begin = time.monotonic()
        clear = daemon.ctl("clear", "--target", "all", "--wait", "120s")
        assert time.monotonic() - begin < 30, clear.stdout
        assert clear.returncode == 3 and BACKEND not in names(engine), clear.stdout + clear.stderr
        remaining = receipts(daemon)[-1]["remaining"]
        assert len(remaining) > 1
        assert all(left["kind"] == "container" and "docker rm " in left["remedy"] for left in remaining)
    for left in remaining:
        engine.docker("rm", left["object"])
    clear = daemon.ctl("clear", "--target", "all", "--wait", "120s")
    assert clear.returncode == 0, clear.stdout + clear.stderr
    assert build(project, dockerfile, "--tag", BACKEND).cached == 0
