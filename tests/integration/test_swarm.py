"""Services of a Docker Swarm: they need their images also while no container shows it."""
from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine import Engine
from helpers import Daemon, images, load, look, names, on, rollback_name, wait_until
from policies import ctl_json, hasty, poll

AGED = "[images]\nkeep_last=0\nmax_age=30d\nmin_age=1h\n"


def make_swarm(engine: Engine) -> None:
    # In its own network namespace the engine has no address but this one.
    subprocess.run(["nsenter", "--target", str(engine.init), "--net", "ip", "link", "set", "lo",
                    "up"], check=True)
    engine.docker("swarm", "init", "--advertise-addr", "127.0.0.1",
                  "--listen-addr", "127.0.0.1:2377")


@pytest.fixture
def swarm(engine: Engine) -> Iterator[Engine]:
    """The engine, whose test makes a swarm of it."""
    yield engine
    engine.docker("swarm", "leave", "--force", check=False)
    wait_until(lambda: not look(engine, "/v1.41/containers/json?all=1"))


def service(engine: Engine, name: str, image: str, replicas: int = 0) -> None:
    engine.docker("service", "create", "--detach", "--no-resolve-image", "--network", "host",
                  "--stop-grace-period", "0s", "--name", name, "--replicas", str(replicas), image,
                  "/bin/sleep", "3600")


def scale(engine: Engine, name: str, replicas: int) -> None:
    """Returns when that many tasks run."""
    def running() -> int:
        return len(look(engine, "/v1.41/containers/json"))

    engine.docker("service", "scale", "--detach", f"{name}={replicas}")
    try:
        wait_until(lambda: running() == replicas)
    except AssertionError:
        tasks = look(engine, "/v1.41/tasks")
        raise AssertionError([task["Status"] for task in tasks]) from None


def go_on(daemon: Daemon, days: int) -> None:
    daemon.clock.go_on(days=days)
    poll(daemon, 3)


def test_service_scaled_to_0_keeps_its_image(swarm: Engine, short_path: Path) -> None:
    """The daemon runs from before there is a swarm until after the service is gone."""
    with hasty(swarm, short_path / "daemon", AGED) as daemon:
        poll(daemon)
        make_swarm(swarm)
        swarm.import_base("watchparty-web:1", "used")
        load(swarm, 1, "watchparty-old")
        service(swarm, "web", "watchparty-web:1", replicas=1)
        wait_until(lambda: look(swarm, "/v1.41/containers/json"))
        scale(swarm, "web", 0)
        wait_until(lambda: not look(swarm, "/v1.41/containers/json?all=1"))
        poll(daemon)
        go_on(daemon, 31)
        wait_until(lambda: "watchparty-old:0" not in names(swarm))
        go_on(daemon, 31)
        assert set(names(swarm)) == {"watchparty-web:1"}
        said = daemon.ctl("explain", "watchparty-web:1").stdout
        assert "in use by service web" in said, said
        scale(swarm, "web", 1)
        swarm.docker("service", "rm", "web")
        wait_until(lambda: not look(swarm, "/v1.41/containers/json?all=1"))
        poll(daemon)
        go_on(daemon, 29)
        assert set(names(swarm)) == {"watchparty-web:1"}, "it was in use until lately"
        go_on(daemon, 2)
        wait_until(lambda: not names(swarm))


def test_previous_spec_of_a_service_keeps_its_image(swarm: Engine, short_path: Path) -> None:
    make_swarm(swarm)
    for tag in "123":
        swarm.import_base(f"watchparty-web:{tag}", tag)
    service(swarm, "web", "watchparty-web:1")
    for tag in "23":
        swarm.docker("service", "update", "--detach", "--no-resolve-image", "--image",
                     f"watchparty-web:{tag}", "web")
    with hasty(swarm, short_path / "daemon", AGED) as daemon:
        poll(daemon)
        go_on(daemon, 31)
        wait_until(lambda: "watchparty-web:1" not in names(swarm))
        go_on(daemon, 31)
        assert set(names(swarm)) == {"watchparty-web:2", "watchparty-web:3"}
        said = daemon.ctl("explain", "watchparty-web:2").stdout
        assert "service web (its previous spec" in said, said
        swarm.docker("service", "rollback", "--detach", "web")
        scale(swarm, "web", 1)
        assert look(swarm, "/v1.41/containers/json")[0]["Image"] == "watchparty-web:2"


def test_services_by_digest_and_by_id_keep_their_images(swarm: Engine, short_path: Path) -> None:
    make_swarm(swarm)
    used = swarm.import_base("watchparty-web:1", "used")
    unused = swarm.import_base("watchparty-web:2", "unused")
    references = {"byid": used}
    if swarm.name == "28c":  # the others give an image a digest when it is pushed or pulled
        references["bydigest"] = f"docker.io/library/watchparty-web:2@{used}"
    for name, image in references.items():
        service(swarm, name, image)
    with hasty(swarm, short_path / "daemon", AGED + "dangling=all\n") as daemon:
        poll(daemon)
        go_on(daemon, 31)
        wait_until(lambda: unused not in images(swarm))
        go_on(daemon, 31)
        assert images(swarm) == {used}
        scale(swarm, [*references][-1], 1)


@on("20", "28")  # the containerd store lists no image without a name
def test_untagged_image_of_a_service_stays(swarm: Engine, short_path: Path) -> None:
    make_swarm(swarm)
    used, unused = swarm.import_base("", "used"), swarm.import_base("", "unused")
    service(swarm, "web", used)
    with hasty(swarm, short_path / "daemon", AGED + "dangling=all\n") as daemon:
        poll(daemon)
        go_on(daemon, 31)
        wait_until(lambda: unused not in images(swarm))
        go_on(daemon, 31)
        assert images(swarm) == {used}
        scale(swarm, "web", 1)


def test_clear_names_services_that_wait_for_their_image(swarm: Engine, short_path: Path) -> None:
    make_swarm(swarm)
    image = swarm.import_base("watchparty-web:1", "used")
    load(swarm, 1, "other/thing")
    service(swarm, "web", "watchparty-web:1")
    service(swarm, "other", "other/thing:0")
    service(swarm, "elsewhere", "watchparty-remote:1")  # another node's image
    note = "service web cannot start a task until watchparty-web:1 is named again: wpcachectl rollback"
    with Daemon(swarm.socket, short_path / "daemon") as daemon:
        dry = daemon.ctl("clear", "--target", "all", "--dry-run")
        assert note in dry.stdout, dry.stdout
        done = daemon.ctl("clear", "--target", "all")
        assert done.returncode == 0, done.stdout + done.stderr
        assert note in done.stdout and "service other" not in done.stdout, done.stdout
        assert "elsewhere" not in done.stdout, done.stdout
        assert names(swarm) == {rollback_name(image, "watchparty-web"): image,
                                "other/thing:0": names(swarm)["other/thing:0"]}
        swarm.docker("service", "scale", "--detach", "web=1")
        wait_until(lambda: any("No such image" in task["Status"].get("Err", "")
                               for task in look(swarm, "/v1.41/tasks")))
        assert daemon.ctl("rollback").returncode == 0
        scale(swarm, "web", 1)


def test_locked_manager_keeps_every_image(swarm: Engine, short_path: Path) -> None:
    """A manager that cannot tell its services: they may need any image."""
    make_swarm(swarm)
    swarm.docker("swarm", "update", "--autolock")
    key = swarm.docker("swarm", "unlock-key", "--quiet").stdout
    swarm.import_base("watchparty-web:1", "used")
    service(swarm, "web", "watchparty-web:1")
    load(swarm, 1, "watchparty-old")
    with hasty(swarm, short_path / "daemon", AGED) as daemon:
        poll(daemon)
        swarm.restart()
        assert "locked" in json.loads(swarm.api("GET", "/info")[1])["Swarm"]["LocalNodeState"]
        poll(daemon)
        go_on(daemon, 31)
        assert set(names(swarm)) == {"watchparty-web:1", "watchparty-old:0"}
        said = daemon.ctl("explain", "watchparty-old:0").stdout
        assert "cannot be read" in said, said
        plan = ctl_json(daemon, "plan")["policy"]
        assert not any(image["remove"] for image in plan["images"])
        swarm.docker("swarm", "unlock", input=key.encode())
        wait_until(lambda: "watchparty-old:0" not in names(swarm), 60)
        poll(daemon)
        assert set(names(swarm)) == {"watchparty-web:1"}
