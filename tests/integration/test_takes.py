"""Which names a clear takes, what it keeps, and that it can be undone."""
from __future__ import annotations

import sqlite3
import time
import uuid
from contextlib import closing
from pathlib import Path

import pytest

import proxy as proxy_module
from engine import Engine, rootfs
from helpers import Daemon, Project, images, load, names, on, receipts, rollback_name, run, start, tag, untag, wait_until
from proxy import Proxy
from policies import configure
from scenarios import BACKEND, FRONTEND, GRAPH, SLOW, Build, Row, Scenario, count
from test_swarm import make_swarm

proxy = proxy_module.proxy  # the fixture

REPOSITORY = BACKEND.split(":")[0]
BASE = "watchparty-base:latest"


def dry_run(daemon: Daemon) -> str:
    done = daemon.ctl("clear", "--dry-run")
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


# B1: only what may serve, and the current release

def test_older_release_that_serves_no_build_stays(engine: Engine, daemon: Daemon, short_path: Path) -> None:
    """Two that were imported stay by name, however often it is cleared; the newest release goes."""
    older = {f"{REPOSITORY}:{release}": engine.import_base(f"{REPOSITORY}:{release}", release)
             for release in ("40", "41")}
    project = Project(engine, short_path / "project")
    time.sleep(1.1)  # the engine lists seconds
    project.build(release="42")
    newest = names(engine)[BACKEND]
    plan = dry_run(daemon)
    assert f"  untag     {BACKEND} (" in plan
    for name in older:
        assert f"  keep      {name} (kept: serves no build)\n" in plan
    for _ in range(3):
        clear = daemon.ctl("clear")
        assert clear.returncode == 0, clear.stdout + clear.stderr
        assert names(engine) == older | {rollback_name(newest): newest}
        note, = (note for note in receipts(daemon)[-1]["notes"] if note.startswith("kept: "))
        assert note.startswith("kept: serves no build: ") and all(name in note for name in older)
    assert project.build(release="42").cached == 0


def test_older_release_in_use_goes(engine: Engine, daemon: Daemon) -> None:
    """A current release is the newest one, and each that a container has."""
    ids = {}
    for release in ("1", "2", "3"):
        time.sleep(1.1)  # the engine lists seconds
        ids[release] = engine.import_base(f"{REPOSITORY}:{release}", release)
        if release == "1":
            run(engine, f"{REPOSITORY}:1", "web")
    assert daemon.ctl("clear").returncode == 0
    assert names(engine) == {rollback_name(ids["1"]): ids["1"], f"{REPOSITORY}:2": ids["2"],
                             rollback_name(ids["3"]): ids["3"]}
    # the tag on the release that runs does not make it the newest
    assert daemon.ctl("rollback").returncode == 0
    untag(engine, rollback_name(ids["3"]))
    assert "keep      watchparty-backend:2 (" in dry_run(daemon)


# B2: every clear can be undone

@pytest.mark.parametrize("in_use", [False, True], ids=["unused", "in-use"])
def test_current_release_can_be_had_back(engine: Engine, daemon: Daemon, short_path: Path,
                                         in_use: bool) -> None:
    project = Project(engine, short_path / "project")
    project.build(release="one")
    image = names(engine)[BACKEND]
    if in_use:
        run(engine, BACKEND, "web")
    assert f"  tag       {rollback_name(image)}" in dry_run(daemon)
    clear = daemon.ctl("clear")
    assert clear.returncode == 0, clear.stdout + clear.stderr
    assert names(engine) == {rollback_name(image): image}
    assert "cannot be rolled back" not in clear.stdout
    done = daemon.ctl("rollback")
    assert done.returncode == 0, done.stderr
    assert names(engine)[BACKEND] == image
    assert daemon.ctl("clear").returncode == 0
    assert project.build(release="one").cached == 0


def test_release_that_its_tag_would_let_serve_is_deleted(engine: Engine, daemon: Daemon,
                                                         short_path: Path) -> None:
    """The classic builder takes steps from an image whatever its name; one that nothing uses goes for
    good, and that is said beforehand, meanwhile and afterwards."""
    with Scenario(Row("classic", "", classic=True), engine) as scenario:
        scenario.prepare()
        said = f"delete {BACKEND} (cannot be rolled back)"
        assert f"  delete    {BACKEND} (" in (plan := dry_run(daemon)) and "(cannot be rolled back)" in plan
        clear = daemon.ctl("clear")
        assert clear.returncode == 0, clear.stdout + clear.stderr
        assert f"INFO: {said}\n" in clear.stdout and f"NOTE: {said}\n" in clear.stdout
        assert names(engine) == {}
        name, = receipts(daemon)[0]["names"]
        assert name["deleted"]
        assert scenario.rebuild().cached == 0


@pytest.mark.parametrize("runs", [False, True], ids=["unused", "in-use"])
def test_release_that_an_image_of_others_stands_on(engine: Engine, daemon: Daemon, short_path: Path,
                                                   runs: bool) -> None:
    """It is not deleted, so no text says that it is; and its name can be had back."""
    with Scenario(Row("classic", "", classic=True), engine) as scenario:
        scenario.prepare()
        image = names(engine)[BACKEND]
        upon = short_path / "upon"
        upon.mkdir()
        (upon / "Dockerfile").write_text(f"FROM {BACKEND}\nRUN echo upon >/upon\n")
        engine.docker("build", "--network", "none", "--tag", "other/upon:1", str(upon), env={"DOCKER_BUILDKIT": "0"})
        if runs:
            run(engine, "other/upon:1", "job")
        daemon.clock.go_on(minutes=2)
        plan = dry_run(daemon)
        assert f"  untag     {BACKEND} (" in plan
        clear = daemon.ctl("clear", "--wait", "1s")
        assert clear.returncode == 3, clear.stdout + clear.stderr
        for said in (plan, clear.stdout):
            assert "cannot be rolled back" not in said and "(deleted)" not in said, said
        assert f"INFO: Removing image name {BACKEND}\n" in clear.stdout
        assert "(wpcachectl rollback puts names back)\n" in clear.stdout
        assert BACKEND not in names(engine) and image in images(engine)
        assert not receipts(daemon)[-1]["names"][0].get("deleted")
        assert daemon.ctl("rollback").returncode == 0
        assert names(engine)[BACKEND] == image


def test_rollback_of_all_that_the_clear_kept(engine: Engine, daemon: Daemon, short_path: Path) -> None:
    """What it announced as deleted is no failure: `wpcachectl rollback && docker compose up --no-build` goes on."""
    with Scenario(Row("classic", "", classic=True), engine) as scenario:
        scenario.prepare()
        Project(engine, short_path / "project").build(name="watchparty-frontend:latest")
        kept = names(engine)["watchparty-frontend:latest"]
        assert daemon.ctl("clear").returncode == 0
        done = daemon.ctl("rollback")
        assert done.returncode == 0, done.stdout + done.stderr
        assert f"skipped   {BACKEND}: the clear deleted the image and said so\n" in done.stdout
        assert names(engine)["watchparty-frontend:latest"] == kept and BACKEND not in names(engine)


def test_next_clear_replaces_the_rollback_tag(engine: Engine, daemon: Daemon, short_path: Path) -> None:
    project = Project(engine, short_path / "project")
    made = []
    for release in ("1", "2", "3"):
        project.build(release=release)
        made.append(names(engine)[BACKEND])
        plan = dry_run(daemon)
        clear = daemon.ctl("clear")
        assert clear.returncode == 0, clear.stdout + clear.stderr
        assert names(engine) == {rollback_name(made[-1]): made[-1]}
        replaced = [tag["imageId"] for tag in receipts(daemon)[-1]["replacedTags"]]
        assert replaced == made[-2:-1]
        for image in replaced:
            assert f"delete    {rollback_name(image)} (" in plan
            assert f"NOTE: delete {rollback_name(image)} (cannot be rolled back)\n" in clear.stdout
        assert daemon.ctl("clear").returncode == 0  # takes nothing, and so replaces nothing
        assert names(engine) == {rollback_name(made[-1]): made[-1]}


def test_image_under_two_repositories(engine: Engine, daemon: Daemon, short_path: Path) -> None:
    """Each has a rollback tag of its own; that of the one stays when the other is built and cleared anew. The
    image goes with the last of them, and that is said."""
    frontend = FRONTEND.split(":")[0]
    project = Project(engine, short_path / "project")
    project.build(release="1")
    both = names(engine)[BACKEND]
    for name in ("latest", "1"):
        tag(engine, both, frontend, name)
    tags = {rollback_name(both): both, rollback_name(both, frontend): both}
    plan = dry_run(daemon)
    assert all(f"  tag       {name}" in plan for name in tags)
    assert daemon.ctl("clear").returncode == 0
    assert names(engine) == tags
    assert daemon.ctl("rollback").returncode == 0
    assert names(engine) == tags | {BACKEND: both, FRONTEND: both, f"{frontend}:1": both}
    clear = daemon.ctl("clear")
    assert clear.returncode == 0 and names(engine) == tags, clear.stdout
    assert "(wpcachectl rollback puts names back)\n" in clear.stdout  # by the tags of the clear before

    time.sleep(1.1)  # the engine lists seconds
    project.build(release="2")
    second = names(engine)[BACKEND]
    clear = daemon.ctl("clear")
    assert clear.returncode == 0, clear.stdout + clear.stderr
    assert names(engine) == {rollback_name(both, frontend): both, rollback_name(second): second}
    assert "cannot be rolled back" not in clear.stdout

    time.sleep(1.1)
    project.build(release="3", name=FRONTEND)
    third = names(engine)[FRONTEND]
    clear = daemon.ctl("clear")
    assert clear.returncode == 0, clear.stdout + clear.stderr
    assert names(engine) == {rollback_name(third, frontend): third, rollback_name(second): second}
    assert f"NOTE: delete {rollback_name(both, frontend)} (cannot be rolled back)\n" in clear.stdout


def test_image_that_goes_with_two_rollback_tags(engine: Engine, daemon: Daemon, short_path: Path) -> None:
    """One clear replaces both: the dry run, the progress and a note at the end name them."""
    frontend = FRONTEND.split(":")[0]
    project = Project(engine, short_path / "project")
    project.build(release="1")
    both = names(engine)[BACKEND]
    tag(engine, both, frontend, "latest")
    assert daemon.ctl("clear").returncode == 0
    time.sleep(1.1)  # the engine lists seconds
    project.build(release="2")
    tag(engine, names(engine)[BACKEND], frontend, "latest")
    plan = dry_run(daemon)
    clear = daemon.ctl("clear")
    assert clear.returncode == 0, clear.stdout + clear.stderr
    assert both not in images(engine)
    note, = (line for line in clear.stdout.splitlines() if line.startswith("NOTE: delete "))
    for name in (rollback_name(both), rollback_name(both, frontend)):
        assert f"  delete    {name} (" in plan
        assert f"INFO: delete {name} (cannot be rolled back)\n" in clear.stdout
        assert name in note and note.endswith(" (cannot be rolled back)")


def test_replaced_tag_is_in_the_receipt_before_it_goes(engine: Engine, proxy: Proxy, short_path: Path) -> None:
    """As the names are: a daemon that dies meanwhile leaves a receipt which tells of it."""
    project = Project(engine, short_path / "project")
    stored: list[list[dict[str, object]]] = []

    def look(method: str, path: str) -> None:
        if method == "DELETE" and "wpcache-rollback" in path:
            stored.append(receipts(daemon)[-1]["replacedTags"])

    proxy.before = look
    with Daemon(proxy.socket, short_path / "daemon") as daemon:
        ids = []
        for release in ("1", "2"):
            project.build(release=release)
            ids.append(names(engine)[BACKEND])
            assert daemon.ctl("clear").returncode == 0
        expected = [{"name": rollback_name(ids[0]), "imageId": ids[0], "deleted": True}]
        assert stored == [expected]
        assert receipts(daemon)[-1]["replacedTags"] == expected


def test_rollback_tags_beside_one_in_use(engine: Engine, daemon: Daemon, short_path: Path) -> None:
    """The release that runs has one, and of those that ran before it the newest."""
    project = Project(engine, short_path / "project")
    ids = []
    for release in ("1", "2", "3"):
        time.sleep(1.1)  # the engine lists seconds
        project.build(release=release)
        ids.append(names(engine)[BACKEND])
        engine.docker("rm", "--force", "web", check=False)
        run(engine, BACKEND, "web")
        assert daemon.ctl("clear").returncode == 0
        assert names(engine) == {rollback_name(image): image for image in ids[-2:]}


def test_full_disk_leaves_no_rollback_tag(engine: Engine, short_path: Path) -> None:
    unused = engine.import_base(BACKEND, "unused")
    used = engine.import_base("watchparty-web:1", "used")
    run(engine, "watchparty-web:1", "web")
    with Daemon(engine.socket, short_path / "daemon", "[disk]\nmin_free=99%\ntarget_free=99%\n") as daemon:
        plan = dry_run(daemon)
        assert f"  delete    {BACKEND} (" in plan and "no rollback tag" in plan
        clear = daemon.ctl("clear")
        assert clear.returncode == 0, clear.stdout + clear.stderr
        assert "NOTE: the disk has less free than [disk] min_free" in clear.stdout
        assert f"NOTE: delete {BACKEND} (cannot be rolled back)\n" in clear.stdout
    assert names(engine) == {rollback_name(used, "watchparty-web"): used}
    assert unused not in images(engine)


def test_many_names_of_one_image(engine: Engine, daemon: Daemon) -> None:
    """More than one batch of them, and one rollback tag."""
    image, = load(engine, 1, "watchparty-backend")
    for i in range(100):
        tag(engine, image, REPOSITORY, f"release-{i}")
    clear = daemon.ctl("clear")
    assert clear.returncode == 0, clear.stdout + clear.stderr
    assert names(engine) == {rollback_name(image): image}
    assert len(receipts(daemon)[0]["names"]) == 101
    assert daemon.ctl("rollback").returncode == 0
    assert len(names(engine)) == 102


def test_name_moves_before_its_batch(engine: Engine, proxy: Proxy, short_path: Path) -> None:
    """Somebody gives a name to another image between the look and its removal: it is left alone then,
    and judged anew; the receipt has both images."""
    first = engine.import_base(BACKEND, "first")
    second = engine.import_base("other/service:1", "second")
    moved: list[str] = []

    def race(method: str, path: str) -> None:
        if method == "GET" and "filters" in path and "reference" in path and REPOSITORY in path \
                and proxy.sent("POST", "/tag") and not moved:
            moved.append(path)
            time.sleep(1.1)  # the engine tells seconds
            tag(engine, second, REPOSITORY, "latest")

    proxy.before = race
    with Daemon(proxy.socket, short_path / "daemon") as daemon:
        clear = daemon.ctl("clear")
        assert clear.returncode == 0, clear.stdout + clear.stderr
        assert moved
        assert {name["imageId"] for name in receipts(daemon)[0]["names"]} == {second}
    assert names(engine) == {rollback_name(first): first, rollback_name(second): second,
                             "other/service:1": second}


# B3: local base images

BASE_DOCKERFILE = "FROM scratch\nCOPY rootfs /\n"
CHILD = f"FROM {BASE}\nCOPY requirements.txt /app/\nRUN cp /app/requirements.txt /app/installed\n"


def build(engine: Engine, directory: Path, name: str, dockerfile: str, classic: bool = False) -> Build:
    if not directory.exists():
        rootfs(directory / "rootfs")
        (directory / "rootfs/unique").write_text(uuid.uuid4().hex)
        (directory / "requirements.txt").write_text("django\n")
    (directory / "Dockerfile").write_text(dockerfile)
    options = () if classic else ("--progress", "plain")
    done = engine.docker("build", "--network", "none", *options, "--tag", name, str(directory),
                         env={"DOCKER_BUILDKIT": "0" if classic else "1"})
    return count(done.stdout + done.stderr)


@pytest.mark.parametrize("child", [CHILD, f"FROM {BASE}\nENV RELEASE=1\nCMD [\"/app\"]\n"], ids=["layers", "metadata"])
def test_base_image_stays(engine: Engine, daemon: Daemon, short_path: Path, child: str) -> None:
    project = short_path / "project"
    build(engine, project, BASE, BASE_DOCKERFILE)
    build(engine, project, BACKEND, child)
    base, image = names(engine)[BASE], names(engine)[BACKEND]
    assert f"  keep      {BASE} (kept: local base image)\n" in dry_run(daemon)
    for again in range(2):
        clear = daemon.ctl("clear")
        assert clear.returncode == 0, clear.stdout + clear.stderr
        assert names(engine) == {BASE: base, rollback_name(image): image}, again
    assert f"NOTE: kept: local base image: {BASE}\n" in clear.stdout
    assert build(engine, project, BACKEND, child).cached == 0


def test_base_image_of_the_classic_builder_remains(engine: Engine, daemon: Daemon, short_path: Path) -> None:
    """Its steps would serve, so the host is not fresh, but nothing breaks the next build."""
    project = short_path / "project"
    build(engine, project, BASE, BASE_DOCKERFILE, classic=True)
    build(engine, project, BACKEND, CHILD, classic=True)
    base = names(engine)[BASE]
    plan = dry_run(daemon)
    assert f"  keep      {BASE} (kept: local base image)\n" in plan and f"docker rmi {BASE}" in plan
    assert "was cleared" not in plan
    clear = daemon.ctl("clear")
    assert clear.returncode == 3, clear.stdout + clear.stderr
    assert f"REMAINING: image {BASE}: a local base image, which the classic builder takes" in clear.stdout
    assert f"docker rmi {BASE}, then clear again" in clear.stdout
    assert names(engine) == {BASE: base}
    assert build(engine, project, BACKEND, CHILD, classic=True).cached == 0


@pytest.mark.parametrize("child", ["classic", "buildkit"])
def test_base_image_that_is_named_in_base_after_a_clear(engine: Engine, daemon: Daemon, short_path: Path,
                                                        child: str) -> None:
    """The remedy, typed once."""
    project = short_path / "project"
    build(engine, project, BASE, BASE_DOCKERFILE + "RUN cp /unique /copied\n", classic=True)
    build(engine, project, BACKEND, CHILD, classic=child == "classic")
    clear = daemon.ctl("clear")
    assert clear.returncode == 3 and "add it to [images] base" in clear.stdout, clear.stdout
    base = names(engine)[BASE]
    configure(daemon, "[images]\n", "[images]\nbase=watchparty-base\n")
    for _ in range(2):
        clear = daemon.ctl("clear")
        assert clear.returncode == 0, clear.stdout
    assert names(engine)[BASE] == base
    for classic in (True, False):
        assert build(engine, project, BACKEND, CHILD, classic).cached == 0


def test_base_that_a_container_used_is_a_release(engine: Engine, daemon: Daemon, short_path: Path) -> None:
    project = short_path / "project"
    build(engine, project, BASE, BASE_DOCKERFILE)
    build(engine, project, BACKEND, CHILD)
    base, image = names(engine)[BASE], names(engine)[BACKEND]
    run(engine, BASE, "web")
    assert daemon.ctl("clear").returncode == 0
    assert names(engine) == {rollback_name(base, "watchparty-base"): base, rollback_name(image): image}


@pytest.mark.parametrize("classic", [False, True], ids=["buildkit", "classic"])
def test_release_that_lost_its_last_instruction_is_no_base(engine: Engine, daemon: Daemon, short_path: Path,
                                                          classic: bool) -> None:
    """Its layers are the beginning of the release before it, as those of a base image would be."""
    project = short_path / "project"
    dockerfile = BASE_DOCKERFILE + "COPY requirements.txt /app/\nRUN cp /app/requirements.txt /app/installed\n"
    build(engine, project, BACKEND, dockerfile, classic)
    assert BACKEND in dry_run(daemon)  # this image is known to have that name
    assert build(engine, project, BACKEND, dockerfile[:dockerfile.index("RUN")], classic).cached == 2
    image = names(engine)[BACKEND]
    daemon.clock.go_on(minutes=2)  # the release before it could be a step of a build under way for a minute
    clear = daemon.ctl("clear")
    assert clear.returncode == 0, clear.stdout + clear.stderr
    assert names(engine) == ({} if classic else {rollback_name(image): image})


# B10: dangling images of this application

@on(*GRAPH)
def test_releases_that_rebuilds_untagged_go(engine: Engine, daemon: Daemon, short_path: Path) -> None:
    project = Project(engine, short_path / "project")
    others = load(engine, 1)
    ids = []
    for release in ("1", "2", "3"):
        project.build(release=release)
        ids.append(names(engine)[BACKEND])
        assert daemon.ctl("explain", ids[-1]).returncode == 0  # which makes wpcached look, and remember
    assert set(ids) <= images(engine)
    assert "2 untagged images: " in dry_run(daemon)
    clear = daemon.ctl("clear")
    assert clear.returncode == 0, clear.stdout + clear.stderr
    assert images(engine) == {*others, ids[-1]}


# B11: images made after the clear was asked for

def test_build_that_the_clear_waited_for_can_be_had_back(engine: Engine, daemon: Daemon) -> None:
    """So can the release that it took the name from."""
    with Scenario(Row("building", "", building=SLOW), engine) as scenario:
        scenario.prepare()
        before = names(engine)[BACKEND]
        clear = daemon.ctl("clear")
        assert scenario.land() or scenario.engine_race
        assert clear.returncode == 0, clear.stdout + clear.stderr
        left = names(engine)
        made, = set(left.values()) - {before}
        assert left[rollback_name(made)] == made and BACKEND not in left
        assert daemon.ctl("rollback").returncode == 0
        assert names(engine)[BACKEND] == made


@on(*GRAPH)
def test_build_from_the_cache_can_be_had_back(engine: Engine, daemon: Daemon, short_path: Path) -> None:
    """One that ends while the clear waits, and gives an older release the name that it has already."""
    inline = ("--build-arg", "BUILDKIT_INLINE_CACHE=1")
    older = f"{REPOSITORY}:1"
    Project(engine, short_path / "older").build(*inline, name=older, release="1")
    image = names(engine)[older]
    with Scenario(Row("building", "", building=SLOW.replace("sleep 6", "sleep 10")), engine) as scenario:
        scenario.prepare()
        assert daemon.ctl("explain", older).returncode == 0  # which makes wpcached look, and remember
        assert f"  delete    {older} (" in dry_run(daemon)
        clear = start(daemon, "clear")
        time.sleep(1.5)  # the engine tells seconds
        tagged = int(time.time())
        tag(engine, image, REPOSITORY, "1")
        assert scenario.land() or scenario.engine_race
        assert clear.wait(60) == 0, clear.communicate()
        assert names(engine)[rollback_name(image)] == image
        # When it got that name is remembered, although the rollback tag came before the next look.
        with closing(sqlite3.connect(daemon.state / "wpcache.db", timeout=10)) as store:
            wait_until(lambda: store.execute("SELECT tag_mark FROM seen WHERE id = ?", [image]).fetchone()[0] >= tagged)


def test_two_services(engine: Engine, daemon: Daemon, short_path: Path) -> None:
    """As compose builds them, one repository each, one of them up."""
    ids = {}
    for service in ("backend", "frontend"):
        name = f"watchparty-{service}"
        ids[name] = Project(engine, short_path / service)
        ids[name].build(name=f"{name}:latest", release=service)
    run(engine, "watchparty-backend:latest", "backend")
    before = names(engine)
    clear = daemon.ctl("clear")
    assert clear.returncode == 0, clear.stdout + clear.stderr
    assert names(engine) == {rollback_name(image, name.split(":")[0]): image for name, image in before.items()}
    assert daemon.ctl("rollback").returncode == 0
    for name in ("backend", "frontend"):
        engine.docker("rm", "--force", "up", check=False)
        run(engine, f"watchparty-{name}:latest", "up")


# B8: names that services of a swarm use

def test_service_scaled_to_nothing_can_be_had_back(engine: Engine, daemon: Daemon) -> None:
    image = engine.import_base(BACKEND, "service")
    engine.import_base("watchparty-backend:next", "next")
    make_swarm(engine)
    try:
        engine.docker("service", "create", "--detach", "--name", "web", "--replicas", "0", "--no-resolve-image",
                      "--network", "host", BACKEND, "/bin/sleep", "3600")
        clear = daemon.ctl("clear")
        assert clear.returncode == 0, clear.stdout + clear.stderr
        assert names(engine)[rollback_name(image)] == image and BACKEND not in names(engine)
        assert f"service web cannot start a task until {BACKEND} is named again: wpcachectl rollback\n" in clear.stdout
        assert daemon.ctl("rollback").returncode == 0
        assert names(engine)[BACKEND] == image
    finally:
        engine.docker("swarm", "leave", "--force")


# What is in scope

@on("20")
@pytest.mark.parametrize("scope,said", [
    ("match=watchparty-*, shop-*\n", "[images] match=watchparty-*, shop-*: "),
    ("match=\nproject=shop\n", "[images] project=shop: "),
    ("match=shop-*\nproject=shop\n", "[images] match=shop-* or project=shop: ")])
def test_scope_that_never_matched_is_named(engine: Engine, short_path: Path, scope: str, said: str) -> None:
    engine.import_base("other/thing:1")
    with Daemon(engine.socket, short_path / "daemon", f"[images]\n{scope}") as daemon:
        for options in (("--dry-run",), ()):
            done = daemon.ctl("clear", *options)
            assert done.returncode == 0, done.stdout + done.stderr
            assert f"NO IMAGE EVER MATCHED {said}" in done.stdout, done.stdout
