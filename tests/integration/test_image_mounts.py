"""Images that a container has mounted (`docker run --mount type=image`, Engine 28) are in use."""
from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from engine import Engine, UnixHTTP, rootfs_tar
from helpers import Daemon, images, load, names, on, rollback_name, wait_until
from policies import ctl_json, hasty, poll, status

pytestmark = on("28", "28c")
AGED = "[images]\nkeep_last=0\nmax_age=30d\nmin_age=1h\ndangling_max_age=1d\n"
WEB = "watchparty-web:1"


def mount(engine: Engine, container: str, reference: str, running: bool = False) -> None:
    """A container of another image that has REFERENCE mounted. Debian 12's client knows no such mounts."""
    engine.import_base("other/tools:1")
    connection = UnixHTTP(engine.socket, 60)
    connection.request("POST", f"/v1.48/containers/create?name={container}", json.dumps({
        "Image": "other/tools:1", "Cmd": ["/bin/sleep", "3600"], "StopTimeout": 0,
        "HostConfig": {"NetworkMode": "none", "Mounts": [
            {"Type": "image", "Source": reference, "Target": "/mounted"}]}}),
        {"Content-Type": "application/json"})
    answer = connection.getresponse()
    assert answer.status == 201, answer.read()
    connection.close()
    if running:
        engine.docker("start", container)


def import_as(engine: Engine, name: str, note: str) -> str:
    return engine.docker("import", "-", name, input=rootfs_tar(note)).stdout.strip()


def go_on(daemon: Daemon, days: int) -> None:
    daemon.clock.go_on(days=days)
    poll(daemon, 3)


def alarms(daemon: Daemon) -> list[Any]:
    return status(daemon)["alarms"]


def test_mounted_image_stays(engine: Engine, short_path: Path) -> None:
    """However the container names it. Policy takes it once the container, which never runs, is gone."""
    how = ["name", "full-name", "second-name", "id", "short-id"]
    if engine.name == "28c":  # the others give an image a digest when it is pushed or pulled
        how.append("digest")
    used = {}
    for reference in how:
        repository = f"watchparty-{reference}"
        used[reference] = image = import_as(engine, f"{repository}:1", reference)
        engine.docker("tag", f"{repository}:1", f"{repository}:latest")
        mount(engine, reference, {
            "name": f"{repository}:1", "full-name": f"docker.io/library/{repository}:1",
            "second-name": repository, "id": image, "short-id": image[7:19],
            "digest": f"{repository}@{image}"}[reference])
    load(engine, 1, "watchparty-old")
    with hasty(engine, short_path / "daemon", AGED) as daemon:
        poll(daemon)
        go_on(daemon, 31)
        wait_until(lambda: "watchparty-old:0" not in names(engine))
        go_on(daemon, 31)
        for reference in how:
            assert {f"watchparty-{reference}:1", f"watchparty-{reference}:latest"} <= set(names(engine))
            said = daemon.ctl("explain", f"watchparty-{reference}:1").stdout
            assert f"container {reference} (created) uses it" in said, said
        assert alarms(daemon) == []
        engine.docker("rm", *how)
        poll(daemon)
        assert set(used.values()) <= images(engine), "they were in use until lately"
        go_on(daemon, 31)
        wait_until(lambda: not set(used.values()) & images(engine))


def test_name_moved_since(engine: Engine, short_path: Path) -> None:
    """The container keeps the image that had the name, and the engine does not tell which that is. What
    may be it stays; what was made later, or was never of that repository, goes."""
    mounted = import_as(engine, WEB, "mounted")
    kept = import_as(engine, "watchparty-web:0", "may be mounted")
    mount(engine, "tools", WEB, running=True)
    unrelated = import_as(engine, "watchparty-api:1", "unrelated")
    time.sleep(1.1)  # the engine lists seconds
    later = import_as(engine, WEB, "later")
    with hasty(engine, short_path / "daemon", AGED) as daemon:
        poll(daemon)
        newest = import_as(engine, WEB, "newest")
        poll(daemon)
        assert later in images(engine)
        go_on(daemon, 31)
        wait_until(lambda: unrelated not in images(engine) and later not in images(engine))
        go_on(daemon, 31)
        assert {mounted, kept, newest} <= images(engine)
        assert alarms(daemon) == []
        assert not any("wpcache-trash" in name for name in names(engine))
        said = daemon.ctl("explain", mounted[7:19]).stdout
        assert "container tools (running) may have it mounted" in said, said
        assert "container tools (running) uses it" in daemon.ctl("explain", WEB).stdout
        assert engine.docker("exec", "tools", "/bin/cat", "/mounted/note").stdout == "mounted"
        engine.docker("rm", "--force", "tools")
        poll(daemon)
        go_on(daemon, 31)
        # The daemon never saw a name of the mounted image, and leaves it alone.
        wait_until(lambda: not images(engine) & {kept, newest})


def test_name_moved_before_the_daemons_eyes(engine: Engine, short_path: Path) -> None:
    """What the container has mounted was known before: that alone stays, after a clear and a rebuild, too."""
    other = import_as(engine, "watchparty-web:0", "not mounted")
    mounted = import_as(engine, WEB, "mounted")
    untagged = import_as(engine, "watchparty-api:1", "untagged")
    time.sleep(1.1)  # the engine lists seconds
    mount(engine, "tools", WEB)
    with hasty(engine, short_path / "daemon", AGED) as daemon:
        poll(daemon)
        import_as(engine, "watchparty-api:1", "newer")
        for _ in range(2):
            done = daemon.ctl("clear", "--target", "all")
            assert done.returncode == 0, done.stdout + done.stderr
            assert WEB not in names(engine) and mounted in images(engine)
        import_as(engine, WEB, "newer")
        poll(daemon)
        go_on(daemon, 31)
        wait_until(lambda: not {other, untagged} & images(engine))
        go_on(daemon, 31)
        assert mounted in images(engine) and alarms(daemon) == []


@pytest.mark.parametrize("running", [False, True], ids=["stopped", "running"])
def test_clear_keeps_a_mounted_image(engine: Engine, daemon: Daemon, running: bool) -> None:
    """Its names go behind a rollback tag, however often it is cleared, and come back."""
    older = import_as(engine, "watchparty-web:0", "older")
    time.sleep(1.1)  # the engine lists seconds
    image = import_as(engine, WEB, "mounted")
    mount(engine, "tools", WEB, running)
    dry = daemon.ctl("clear", "--dry-run")
    assert "cannot be rolled back" not in dry.stdout and rollback_name(image, "watchparty-web") in dry.stdout
    for _ in range(3):
        done = daemon.ctl("clear", "--target", "all")
        assert done.returncode == 0, done.stdout + done.stderr
        assert "cannot be rolled back" not in done.stdout and "REMAINING" not in done.stdout
        assert images(engine) >= {image, older} and WEB not in names(engine)
        engine.docker("restart", "--time", "0", "tools")
    assert daemon.ctl("rollback").returncode == 0
    assert names(engine)[WEB] == image
    assert engine.docker("exec", "tools", "/bin/cat", "/mounted/note").stdout == "mounted"


@pytest.mark.parametrize("containers", [("tools",), ("tools", "more")], ids=["one", "two"])
def test_mounted_image_of_the_classic_builder(engine: Engine, daemon: Daemon, short_path: Path,
                                              containers: tuple[str, ...]) -> None:
    """It serves the next build as long as a container holds it: each is named."""
    (short_path / "project").mkdir()
    (short_path / "project/Dockerfile").write_text("FROM other/base:1\nRUN echo 1 >/release\n")
    engine.import_base("other/base:1")
    engine.docker("build", "--network", "none", "--tag", WEB, str(short_path / "project"),
                  env={"DOCKER_BUILDKIT": "0"})
    image = names(engine)[WEB]
    if len(containers) > 1:
        time.sleep(1.1)  # the engine tells seconds: a container as old as the tag may have mounted another image
    for container in containers:
        mount(engine, container, WEB)
    for target in (("--dry-run",), ()):
        done = daemon.ctl("clear", *target)
        assert "cannot be rolled back" not in done.stdout, done.stdout
    assert done.returncode == 3, done.stdout + done.stderr
    assert "the created container" in done.stdout, done.stdout
    removed, = (line.split("docker rm ")[1].split(" && ")[0] for line in done.stdout.splitlines()
                if "end it: docker rm " in line)
    assert set(removed.split()) == set(containers), done.stdout
    assert image in images(engine)
    engine.docker("rm", *containers)
    done = daemon.ctl("clear")
    assert done.returncode == 0, done.stdout + done.stderr
    assert image not in images(engine)


def test_mount_of_another_container(engine: Engine, short_path: Path) -> None:
    """--volumes-from hands an image on, too."""
    image = import_as(engine, WEB, "mounted")
    mount(engine, "first", WEB)
    engine.docker("create", "--name", "second", "--network", "none", "--volumes-from", "first",
                  "other/tools:1", "/bin/true")
    engine.docker("rm", "first", check=False)
    with hasty(engine, short_path / "daemon", AGED) as daemon:
        poll(daemon)
        go_on(daemon, 31)
        assert image in images(engine) and alarms(daemon) == []
        plan = ctl_json(daemon, "plan")["policy"]
        assert not any(entry["remove"] for entry in plan["images"])
