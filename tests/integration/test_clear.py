"""What a clear does to an engine and what it leaves alone, what others do meanwhile included."""
from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

import proxy as proxy_module
from engine import Engine
from helpers import (ONE, Daemon, Project, everything, images, load, names, on, receipts, records,
                     rollback_name, run, start, tag, untag, wait_until)
from proxy import Gate, Proxy
from scenarios import BACKEND, GRAPH, HEAD, PINNED, PROTECTED, ROWS, Row, Scenario

proxy = proxy_module.proxy  # the fixture

ALL_DANGLING = "[images]\ndangling=all\n"


def rounds(engine: Engine) -> int:
    """How many images a race is run for: $WPCACHE_ROUNDS, else 300 on engine 20 and 60 on others, of which the
    containerd store takes ten seconds."""
    return int(os.environ.get("WPCACHE_ROUNDS", 300 if engine.name == "20" else 60))


# Others tag an image between the clear's last look at it and its removal

def test_untagged_image_gets_a_tag(engine: Engine, proxy: Proxy, short_path: Path) -> None:
    """Every other one before the trash tag, the rest between that and its removal."""
    ids = load(engine, rounds(engine))
    early = set(ids[::2])

    def race(method: str, path: str) -> None:
        image = "sha256:" + path.partition("wpcache-trash:")[2].partition("?")[0]
        if method == "POST" and "wpcache-trash" in path:
            image = path.split("/")[2]
            if image in early:
                tag(engine, image, "mine", image[7:19])
        elif method == "DELETE" and image not in early:
            tag(engine, image, "mine", image[7:19])

    proxy.before = race
    with Daemon(proxy.socket, short_path / "daemon", ALL_DANGLING) as daemon:
        clear = daemon.ctl("clear", "--target", "all", timeout=600)
    assert clear.returncode == 0, clear.stdout + clear.stderr
    assert len(proxy.sent("DELETE", "wpcache-trash:")) == len(ids)
    assert names(engine) == {f"mine:{image[7:19]}": image for image in ids}


def test_named_image_gets_another_name(engine: Engine, proxy: Proxy, short_path: Path) -> None:
    for i, image in enumerate(load(engine, rounds(engine) // 5)):
        tag(engine, image, f"watchparty-{i}", "latest")
    before = names(engine)

    def race(method: str, path: str) -> None:
        name = path.removeprefix("/images/").partition("?")[0]
        if method == "DELETE" and name in before:
            tag(engine, before[name], "mine", before[name][7:19])

    proxy.before = race
    with Daemon(proxy.socket, short_path / "daemon") as daemon:
        clear = daemon.ctl("clear", "--target", "all", timeout=600)
    assert clear.returncode == 0, clear.stdout + clear.stderr
    assert names(engine) == {f"mine:{image[7:19]}": image for image in before.values()} | {
        rollback_name(image, name.split(":")[0]): image for name, image in before.items()}


@ONE
def test_untagged_image_is_used_meanwhile(engine: Engine, proxy: Proxy, short_path: Path) -> None:
    """A container made between look and removal keeps its image, and no trash tag sticks to it."""
    image = engine.docker("import", "-", input=b"\0" * 1024).stdout.strip()

    def race(method: str, path: str) -> None:
        if method == "GET" and path == f"/images/{image}/json" and proxy.sent("GET", "/containers"):
            engine.docker("create", "--name", "late", image, "/nothing", check=False)

    proxy.before = race
    with Daemon(proxy.socket, short_path / "daemon", ALL_DANGLING) as daemon:
        clear = daemon.ctl("clear", "--target", "all")
    assert clear.returncode == 0, clear.stdout + clear.stderr
    assert images(engine) == {image}
    assert names(engine) == {}


# Containers, rollback tags, rollback

def test_running_containers(engine: Engine, daemon: Daemon) -> None:
    """Two images of one repository that run, and one that a stopped container holds."""
    ids = {release: engine.import_base(f"watchparty-backend:{release}", release)
           for release in ("one", "two", "three")}
    for release in ids:
        run(engine, f"watchparty-backend:{release}", release)
    engine.docker("stop", "three")
    state = ("inspect", "--format", "{{.State.Status}} {{.State.StartedAt}} {{.Image}}", *ids)
    before = engine.docker(*state).stdout
    clear = daemon.ctl("clear", "--target", "all")
    assert clear.returncode == 0, clear.stdout + clear.stderr
    assert names(engine) == {rollback_name(image): image for image in ids.values()}
    assert engine.docker(*state).stdout == before
    for release in ids:
        engine.docker("restart", release)
        assert engine.docker("exec", release, "/bin/cat", "/note").stdout == release
    assert {(made["name"], made["imageId"]) for made in receipts(daemon)[0]["rollbackTags"]} == {
        (rollback_name(image), image) for image in ids.values()}


def test_both_releases_can_be_named(engine: Engine, daemon: Daemon, short_path: Path) -> None:
    """Clear, a bad deploy, clear again: either release can be had back."""
    project = Project(engine, short_path / "project")
    ids, clears = {}, {}
    for release in ("good", "bad"):
        ids[release] = project.deploy(release)
        clear = daemon.ctl("clear", "--json")
        assert clear.returncode == 0, clear.stdout + clear.stderr
        clears[release] = json.loads(clear.stdout)["id"]
    assert names(engine) == {rollback_name(image): image for image in ids.values()}
    for release, image in ids.items():
        reading = ("run", "--rm", "--network", "none", rollback_name(image), "/bin/cat")
        assert engine.docker(*reading, "/app/release").stdout == release

    done = daemon.ctl("rollback", clears["good"])
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"restored  {BACKEND} -> {ids['good'][:19]}\n"
    assert names(engine)[BACKEND] == ids["good"]
    # the newest receipt, whose name is another's by now
    done = daemon.ctl("rollback")
    assert done.returncode == 1
    assert f"skipped   {BACKEND}: it names another image by now\n" in done.stdout
    assert f"1 of 1 names of receipt {clears['bad']} not put back" in done.stderr
    assert names(engine)[BACKEND] == ids["good"]
    untag(engine, BACKEND)
    assert daemon.ctl("rollback").returncode == 0
    assert names(engine)[BACKEND] == ids["bad"]
    # and once more: it is where it should be
    assert daemon.ctl("rollback").returncode == 0
    assert names(engine)[BACKEND] == ids["bad"]


@on("26", "28")
def test_release_that_a_rebuild_untagged_at_once(engine: Engine, daemon: Daemon, short_path: Path) -> None:
    """No look saw its name: the engine's events told it."""
    project = Project(engine, short_path / "project")
    for release in range(3):
        project.build(name="watchparty-worker:latest", release=str(release))
    assert daemon.ctl("clear", "all").returncode == 0
    assert images(engine) == {names(engine)[name] for name in names(engine)}


@on("20", "26", "28")
def test_release_that_a_rebuild_untagged(engine: Engine, daemon: Daemon) -> None:
    """The next release is built and not yet up: the one that runs gets a name, too. (The containerd
    store drops such an image at once, under its container.)"""
    ids = []
    for release in ("runs", "built"):
        ids.append(engine.import_base(BACKEND, release))
        if not engine.docker("ps", "--quiet").stdout:
            run(engine, BACKEND, "web")
    assert names(engine) == {BACKEND: ids[1]}
    clear = daemon.ctl("clear", "--target", "all")
    assert clear.returncode == 0, clear.stdout + clear.stderr
    assert names(engine) == {rollback_name(image): image for image in ids}


@ONE
def test_rollback_of_what_is_gone(engine: Engine, daemon: Daemon) -> None:
    done = daemon.ctl("rollback")
    assert done.returncode == 1 and "no receipt took a name away" in done.stderr
    image, = load(engine, 1, "watchparty-backend")
    assert daemon.ctl("clear", "all").returncode == 0
    untag(engine, rollback_name(image))
    done = daemon.ctl("rollback")
    assert done.returncode == 1
    assert done.stdout == "skipped   watchparty-backend:0: the image is gone\n"
    assert names(engine) == {}
    done = daemon.ctl("rollback", "20200101-000000-abcd")
    assert (done.returncode, done.stdout) == (1, "")
    assert "there is no receipt 20200101-000000-abcd" in done.stderr
    for wrong in ("../memory", "x" * 200, "latest"):
        done = daemon.ctl("rollback", wrong)
        assert (done.returncode, done.stdout) == (1, "") and "receipt" in done.stderr


@ONE
def test_rollback_of_what_was_kept_and_is_gone(engine: Engine, daemon: Daemon,
                                               short_path: Path) -> None:
    """One image the clear kept, and somebody removed it since: that is a failure."""
    image = Project(engine, short_path / "project").deploy("one")
    load(engine, 1, "watchparty-frontend")
    receipt = json.loads(daemon.ctl("clear", "all", "--json").stdout)
    told = {name["name"]: name.get("deleted", False) for name in receipt["names"]}
    assert told[BACKEND] is False
    assert daemon.ctl("rollback").returncode == 0
    assert names(engine)[BACKEND] == image
    engine.docker("rm", "--force", "web")
    for name in names(engine):
        untag(engine, name)
    done = daemon.ctl("rollback")
    assert done.returncode == 1 and f"skipped   {BACKEND}: the image is gone\n" in done.stdout
    failed = [gone for gone in told.values() if not gone]
    assert f"{len(failed)} of {len(failed)} names of receipt" in done.stderr


@ONE
def test_rollback_after_the_clock_was_set_back(engine: Engine, daemon: Daemon) -> None:
    """The newest clear is the one that was written last."""
    image, = load(engine, 1, "other/service")
    for release, seconds in (("1", 0), ("2", -86400), ("3", -400 * 86400), ("4", 3600)):
        daemon.clock.move(seconds, 0)
        tag(engine, image, "watchparty-backend", release)
        assert daemon.ctl("clear", "images").returncode == 0
        for _ in range(2):
            done = daemon.ctl("rollback")
            assert done.stdout.startswith(f"restored  watchparty-backend:{release} "), done.stdout
            untag(engine, f"watchparty-backend:{release}")
            daemon.stop()
            daemon.start()
    runs = json.loads(daemon.ctl("history", "--json", "--since", "2000d").stdout)["runs"]
    assert [run["kind"] for run in runs] == ["rollback", "rollback", "clear"] * 4
    assert daemon.ctl("status").stdout.count(runs[2]["id"]) == 1


@ONE
def test_rollback_of_the_newest(engine: Engine, daemon: Daemon) -> None:
    """Of receipts within one second, too, and by a daemon that did not write them."""
    image, = load(engine, 1, "other/service")
    for release in "123456":
        tag(engine, image, "watchparty-backend", release)
        assert daemon.ctl("clear", "images").returncode == 0
        assert daemon.ctl("rollback").stdout.startswith(f"restored  watchparty-backend:{release} ")
        untag(engine, f"watchparty-backend:{release}")
    assert daemon.stop() == 0
    daemon.start()
    assert receipts(daemon)[-1]["id"] in daemon.ctl("status").stdout


# One after the other, and at once

def test_twice(engine: Engine, proxy: Proxy, short_path: Path) -> None:
    """The second has nothing to do, touches nothing, and is as sure."""
    Project(engine, short_path / "project").deploy("one")
    with Daemon(proxy.socket, short_path / "daemon") as daemon:
        assert daemon.ctl("clear", "all").returncode == 0
        before, changes = everything(engine), proxy.changes
        clear = daemon.ctl("clear", "all")
        assert clear.returncode == 0
        assert clear.stdout.splitlines()[-1] == "SUCCESS: Docker build cache cleared"
        second = receipts(daemon)[1]
    assert proxy.changes == changes and everything(engine) == before
    assert second["outcome"] == "fresh" and second["names"] == [] and second["passes"] == 0


@ONE
def test_two_at_once(engine: Engine, proxy: Proxy, short_path: Path) -> None:
    """One that asks in mid-job shares its proof; one that asks during the proof has its own."""
    load(engine, 1, "watchparty-backend")
    removal, proof = Gate("DELETE", "^/images/watchparty"), Gate("GET", "^/system/df")
    proxy.before = removal
    with Daemon(proxy.socket, short_path / "daemon") as daemon:
        first = start(daemon, "clear", "--json")
        removal.wait()
        second = start(daemon, "clear", "--json")
        wait_until(lambda: "joined" in daemon.log)
        proxy.before = proof
        removal.open()
        proof.wait()
        third = start(daemon, "clear", "--json")
        wait_until(lambda: "1 queued" in daemon.ctl("status").stdout)
        proof.open()
        ends = [json.loads(client.communicate()[0]) for client in (first, second, third)]
        assert [client.returncode for client in (first, second, third)] == [0, 0, 0]
    assert [end["fresh"] for end in ends] == [True, True, True]
    assert ends[0] == ends[1] and ends[2]["id"] != ends[0]["id"]


@ONE
def test_different_ones_at_once(engine: Engine, proxy: Proxy, short_path: Path) -> None:
    load(engine, 1, "watchparty-backend")
    proxy.before = gate = Gate("DELETE", "^/images/watchparty")
    others = (("docker",), ("builder",), ("images",), ("all", "--keep-mounts"))
    with Daemon(proxy.socket, short_path / "daemon") as daemon:
        clients = [start(daemon, "clear", "all", "--json")]
        gate.wait()
        busy = daemon.ctl("clear", "docker", "--no-wait")
        assert busy.returncode == 7 and "clear of all" in busy.stderr, busy.stderr
        clients += [start(daemon, "clear", *other, "--json") for other in others]
        wait_until(lambda: "4 queued" in daemon.ctl("status").stdout)
        gate.open()
        ends = [json.loads(client.communicate()[0]) for client in clients]
        assert [client.returncode for client in clients] == [0] * 5
    assert len({end["id"] for end in ends}) == 5
    assert [end["target"] for end in ends] == ["all", *(other[0] for other in others)]
    assert ends[0]["names"] and not any(end["names"] for end in ends[1:])


@ONE
def test_looks_are_waited_for(engine: Engine, proxy: Proxy, short_path: Path) -> None:
    """Even where nothing else is: a look is nobody's work, and ends soon."""
    with Daemon(proxy.socket, short_path / "daemon") as daemon:
        wait_until(lambda: "observedAt" in daemon.ctl("status", "--json").stdout)
        proxy.before = gate = Gate("GET", "^/system/df")
        looking = start(daemon, "plan")
        gate.wait()
        clearing = start(daemon, "clear", "builder", "--no-wait")
        wait_until(lambda: "queued" in daemon.ctl("status").stdout)
        time.sleep(0.2)
        assert clearing.poll() is None
        gate.open()
        assert clearing.wait(60) == 0, clearing.communicate()
        assert looking.wait(60) == 0, looking.communicate()


# Targets and options

def test_dry_run(engine: Engine, proxy: Proxy, short_path: Path) -> None:
    image = Project(engine, short_path / "project").deploy("one")
    dangling, = load(engine, 1)
    before = everything(engine)
    with Daemon(proxy.socket, short_path / "daemon", ALL_DANGLING) as daemon:
        for target in ("all", "docker", "builder", "images"):
            done = daemon.ctl("clear", "--dry-run", target)
            assert (done.returncode, done.stderr) == (0, "")
            for line in (f"untag     {BACKEND} ({image[:19]})", f"tag       {rollback_name(image)}",
                         f"1 untagged image: {dangling[:19]}"):
                assert (line in done.stdout) == (target != "builder"), done.stdout
            wanted = 0 if target == "images" else len(before[2])
            assert f"prune     {wanted} build cache record" in done.stdout
        assert receipts(daemon) == []
    assert proxy.changes == [] and everything(engine) == before


SAID = {
    "builder": "SUCCESS: builder cleared; images were not touched, the next build may be CACHED by "
               "them",
    "images": "SUCCESS: images cleared; Docker's build cache was not touched, the next build may be"
              " CACHED by it",
    "docker": "SUCCESS: Docker build cache cleared",
    "all": "SUCCESS: Docker build cache cleared",
}


@pytest.mark.parametrize("target", SAID)
def test_targets(engine: Engine, daemon: Daemon, short_path: Path, target: str) -> None:
    project = Project(engine, short_path / "project")
    project.build()
    clear = daemon.ctl("clear", target)  # without --target, as the seeds' script did
    assert (clear.returncode, clear.stderr) == (0, "")
    assert clear.stdout.splitlines()[-1] == SAID[target]
    assert (BACKEND in names(engine)) == (target == "builder")
    assert bool(records(engine)) == (target == "images")
    assert ("no application is configured" in clear.stdout) == (target == "all")
    assert ("INFO: Clearing Docker build cache\n" in clear.stdout) == (target != "images")
    if target in ("all", "docker"):
        assert project.build().cached == 0
        assert project.build().cached > 0


@ONE
def test_unknown_target(engine: Engine, daemon: Daemon) -> None:
    clear = daemon.ctl("clear", "frontnd")
    assert (clear.returncode, clear.stdout) == (2, "")
    for known in ("all", "docker", "builder", "images"):
        assert known in clear.stderr
    assert receipts(daemon) == []


COUNTING = HEAD + """RUN --mount=type=cache,target=/wheels \
    echo run >>/wheels/log; cp /wheels/log /app/log
"""
SEEDED = """FROM scratch AS seed
COPY rootfs /
COPY requirements.txt /wheels/
""" + HEAD + """RUN --mount=type=cache,from=seed,source=/wheels,target=/wheels \
    echo run >>/wheels/log; cp /wheels/log /app/log
"""


def test_keep_mounts(engine: Engine, proxy: Proxy, short_path: Path) -> None:
    """The next build has fresh layers and a warm mount."""
    def runs() -> int:
        log = engine.docker("run", "--rm", "--network", "none", BACKEND, "/bin/cat", "/app/log")
        return log.stdout.count("run")

    with (Scenario(Row("keep-mounts", "", dockerfile=COUNTING), engine) as scenario,
          Daemon(proxy.socket, short_path / "daemon") as daemon):
        scenario.prepare()
        for expected in (2, 3):
            clear = daemon.ctl("clear", "--keep-mounts", "all")
            assert clear.returncode == 0, clear.stdout + clear.stderr
            assert "\nKEPT: 1 build cache record" in clear.stdout
            assert scenario.rebuild().cached == 0
            assert runs() == expected
        assert all("cachemount" not in path and "filters" in path
                   for path in proxy.sent("POST", "^/build/prune"))
        assert daemon.ctl("clear", "all").returncode == 0
        assert scenario.rebuild().cached == 0
        assert runs() == 1


def test_keep_mounts_made_from_a_stage(engine: Engine, daemon: Daemon) -> None:
    """Such a mount keeps the steps alive that it was made from."""
    with Scenario(Row("keep-mounts", "", dockerfile=SEEDED), engine) as scenario:
        scenario.prepare()
        clear = daemon.ctl("clear", "--keep-mounts", "all")
        build = scenario.rebuild()
        said = clear.stdout + clear.stderr + build.text
        assert clear.returncode == (3 if build.cached else 0), said
        if engine.name in GRAPH:
            assert clear.returncode == 3 and "clear without --keep-mounts" in clear.stdout, said
        clear = daemon.ctl("clear", "all")
        assert clear.returncode == 0, clear.stdout + clear.stderr
        assert scenario.rebuild().cached == 0


# What remains

@pytest.mark.parametrize("name", ["classic-other-tag", "inline-other-tag"])
def test_what_was_cleared_is_remembered(engine: Engine, daemon: Daemon, name: str) -> None:
    """A clear takes our name from an image that has another one, and so does not know it the next
    time; it serves all the same."""
    row = ROWS[name]
    with Scenario(row, engine) as scenario:
        scenario.prepare()
        for again in range(3):
            clear = daemon.ctl("clear", "all")
            assert clear.returncode == row.expect(engine.name), (again, clear.stdout)
            assert (f"REMAINING: image {PINNED}" in clear.stdout) == (clear.returncode == 3)
            if again == 1:
                assert daemon.stop() == 0
                daemon.start()
        untag(engine, PINNED)
        clear = daemon.ctl("clear", "all")
        assert clear.returncode == 0, clear.stdout
        assert scenario.rebuild().cached == 0


def test_protected_image_with_inline_cache(engine: Engine, daemon: Daemon) -> None:
    """Its name is not ours to take, and a build may name it in cache_from."""
    row = Row("protected", "", image=PROTECTED, inline=True, cache_from=(PROTECTED,),
              remains=(PROTECTED,), remains_on=GRAPH)
    with Scenario(row, engine) as scenario:
        scenario.prepare()
        clear = daemon.ctl("clear", "all")
        assert clear.returncode == row.expect(engine.name), clear.stdout
        assert (f"REMAINING: image {PROTECTED}" in clear.stdout) == (clear.returncode == 3)
        assert PROTECTED in names(engine)
        assert bool(scenario.rebuild().cached) == (clear.returncode == 3)


@on(*GRAPH)
def test_foreign_image_with_inline_cache(engine: Engine, daemon: Daemon, short_path: Path) -> None:
    """That no build names it is assumed, and said."""
    Project(engine, short_path / "project").build(
        "--build-arg", "BUILDKIT_INLINE_CACHE=1", name="ci/cache:main")
    clear = daemon.ctl("clear", "all")
    assert clear.returncode == 0, clear.stdout
    assert any(line.startswith("ASSUMES: ") and "ci/cache:main" in line
               for line in clear.stdout.splitlines())


@ONE
def test_builder_of_buildx(engine: Engine, short_path: Path) -> None:
    """A docker-container builder has a cache that no engine tells of."""
    engine.import_base("other/service:1")
    engine.docker("create", "--name", "buildx_buildkit_ci0", "other/service:1", "/bin/true")
    with Daemon(engine.socket, short_path / "daemon") as daemon:
        for target, status in (("all", 3), ("builder", 3), ("images", 0)):
            clear = daemon.ctl("clear", target)
            assert clear.returncode == status, clear.stdout
            assert ("REMAINING: builder buildx_buildkit_ci0" in clear.stdout) == (status == 3)
            assert ("docker buildx prune --builder ci -af" in clear.stdout) == (status == 3)
    with Daemon(engine.socket, short_path / "daemon",
                "[builder]\nexternal_builders=ignore\n") as daemon:
        assert daemon.ctl("clear", "all").returncode == 0
