"""A clear that ends 3 names all that has to go: who does what its remedies say, and nothing else, and clears again
has a fresh one."""
from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from engine import Engine, rootfs_tar
from helpers import Daemon, Project, on, run
from scenarios import BACKEND, PINNED, PROTECTED, count
from test_foreign import assumed, remaining
from test_image_mounts import mount

CHILD, APP, JOB = "other/child:1", "other/app:1", "other/job:1"
STEPS = "RUN echo 1 >/1\nRUN echo 2 >/2\n"
OURS = f"FROM base/one:1\n{STEPS}COPY release /app/\n"


class Site:
    """A host on which the classic builder builds."""

    def __init__(self, engine: Engine, directory: Path):
        self.engine, self.project = engine, Project(engine, directory)
        (self.project.dir / "release").write_text("1")
        engine.docker("import", "-", "base/one:1", input=rootfs_tar("base/one:1"))

    def build(self, dockerfile: str, name: str = BACKEND, *options: str, check: bool = True) -> int:
        (self.project.dir / "Dockerfile").write_text(dockerfile)
        done = self.engine.docker("build", "--network", "none", *(("--tag", name) if name else ()), *options,
                                  str(self.project.dir), check=check, env={"DOCKER_BUILDKIT": "0"})
        return count(done.stdout + done.stderr).cached

    def upon(self, below: str, name: str, *commands: str) -> None:
        self.build(f"FROM {below}\n" + "".join(f"RUN {command}\n" for command in commands or (f"echo {name} >/upon",)),
                   name)

    def parent(self, image: str) -> str:
        return json.loads(self.engine.docker("image", "inspect", image).stdout)[0]["Parent"]

    def hold(self, image: str, name: str, running: bool = True) -> None:
        run(self.engine, image, name)
        if not running:
            self.engine.docker("stop", name)


@pytest.fixture
def site(engine: Engine, short_path: Path) -> Site:
    return Site(engine, short_path / "project")


def commands(clear: str) -> list[list[str]]:
    """The docker commands of the remedies, in their order."""
    return [command.split() for line in clear.splitlines() if line.startswith("           end it: ")
            for command in re.findall(r"docker (?:rmi?) [^,;&(]+", line)]


def carry_out(engine: Engine, clear: str) -> None:
    for command in commands(clear):
        done = engine.docker(*command[1:], check=False)
        assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}\n{clear}"


def follow(engine: Engine, daemon: Daemon) -> str:
    """What the one clear says that it takes to have the next one fresh."""
    clear = daemon.ctl("clear", "--target", "all", "--wait", "1s")
    assert clear.returncode == 3, clear.stdout + clear.stderr
    objects = [word for command in commands(clear.stdout) for word in command[2:] if word != "-f"]
    assert len(objects) == len(set(objects)), clear.stdout
    for line in remaining(clear.stdout).splitlines():
        assert line.split()[2].removesuffix(":") not in assumed(clear.stdout).replace(",", "").split(), clear.stdout
    carry_out(engine, clear.stdout)
    again = daemon.ctl("clear", "--target", "all", "--wait", "1s")
    assert again.returncode == 0, f"{clear.stdout}\nafter {commands(clear.stdout)}:\n{again.stdout}{again.stderr}"
    return clear.stdout


def child_of_ours(site: Site) -> None:
    site.build(OURS)
    site.upon(BACKEND, CHILD)
    site.hold(CHILD, "job")


def child_of_ours_that_runs(site: Site) -> None:
    child_of_ours(site)
    site.hold(BACKEND, "web")
    site.hold(BACKEND, "web-before", running=False)


def child_of_a_child(site: Site) -> None:
    child_of_ours(site)
    site.upon(CHILD, APP)
    site.hold(APP, "app")


def two_upon_a_step(site: Site) -> None:
    site.build(OURS)
    for name in (APP, JOB):
        site.build(f"FROM base/one:1\n{STEPS}RUN echo {name} >/own\n", name)
    site.hold(JOB, "job", running=False)


def two_upon_a_step_that_is_held(site: Site) -> None:
    two_upon_a_step(site)
    for image, name in ((site.parent(APP), "debug"), (site.parent(site.parent(APP)), "debug-before")):
        site.hold(image, name, running=name != "debug")


def chain_of_others(site: Site) -> None:
    site.build(OURS)
    site.build("FROM base/one:1\nRUN echo 1 >/1\n", CHILD)
    site.upon(CHILD, APP, "echo 2 >/2")
    site.upon(APP, JOB)


def chain_of_others_that_runs(site: Site) -> None:
    chain_of_others(site)
    for name in (CHILD, APP, JOB):
        site.hold(name, name.split("/")[1].split(":")[0])
    site.hold(JOB, "job-before", running=False)


def child_that_runs(site: Site) -> None:
    site.build(OURS)
    site.upon(BACKEND, "watchparty-web:1")
    site.hold("watchparty-web:1", "web")


def child_that_runs_on_a_pinned_image(site: Site) -> None:
    child_that_runs(site)
    site.engine.docker("tag", BACKEND, PINNED)
    site.hold(PINNED, "pinned")


def containers_of_steps(site: Site) -> None:
    site.build(OURS, BACKEND, "--rm=false")


def containers_of_steps_of_others(site: Site) -> None:
    site.build(OURS)
    site.build("FROM base/one:1\nRUN echo 1 >/1\nRUN echo other >/other\nRUN echo 3 >/3\n", APP, "--rm=false")


def failed_build(site: Site) -> None:
    site.build(OURS)
    site.build("FROM base/one:1\nRUN echo other >/other\nRUN echo 2 >/2\nRUN false\n", "", check=False)


def base_image_of_others(site: Site) -> None:
    """Ours was built upon it, and images of others, which are not ours to name one by one if it is a base."""
    site.upon("base/one:1", CHILD, "echo python >/python")
    site.build(f"FROM {CHILD}\n{STEPS}")
    site.upon(CHILD, APP)
    site.upon(APP, JOB)
    site.hold(JOB, "job")


def base_images_of_others(site: Site) -> None:
    base_image_of_others(site)
    site.upon("base/one:1", "other/os:1", "echo os >/os")
    site.upon("other/os:1", "other/python:1", "echo python >/python")
    site.build(f"FROM other/python:1\n{STEPS}", "watchparty-web:1")
    site.upon("other/os:1", "other/db:1")
    site.hold("other/db:1", "db")


def base_image_of_ours(site: Site) -> None:
    site.build(OURS, "watchparty-base:1")
    site.build(f"FROM watchparty-base:1\n{STEPS}")
    site.hold(BACKEND, "web")
    site.upon("watchparty-base:1", CHILD)
    site.hold(CHILD, "job")


def release_of_others_without_a_name(site: Site) -> None:
    for release in ("1", "2"):
        site.build(f"FROM base/one:1\n{STEPS}RUN echo {release} >/release\n", APP)
        site.hold(APP, f"app-{release}")
    site.build(OURS)


def commits(site: Site) -> None:
    site.build(OURS)
    site.hold(BACKEND, "web")
    committed = site.engine.docker("commit", "web").stdout.strip()
    site.hold(committed, "restored")
    site.engine.docker("commit", "web", CHILD)
    site.upon(CHILD, APP)


def stages_of_others(site: Site) -> None:
    stages = f"FROM base/one:1 AS builder\n{STEPS}FROM base/one:1\nCOPY --from=builder /1 /\nCOPY release /app/\n"
    site.build(stages, "other/builder:1", "--target", "builder")
    site.build(stages)
    site.upon("other/builder:1", CHILD)
    site.hold(CHILD, "job")
    site.hold("other/builder:1", "builder", running=False)


def more_names(site: Site) -> None:
    child_of_a_child(site)
    for name in (PINNED, "deploy/backend-pinned:old"):
        site.engine.docker("tag", BACKEND, name)
    for name in ("other/app:2", "watchparty-app:1"):
        site.engine.docker("tag", APP, name)
    site.upon(CHILD, JOB)


HOSTS = [child_of_ours, child_of_ours_that_runs, child_of_a_child, two_upon_a_step, two_upon_a_step_that_is_held,
         chain_of_others, chain_of_others_that_runs, child_that_runs, child_that_runs_on_a_pinned_image,
         containers_of_steps, containers_of_steps_of_others, failed_build, base_image_of_others,
         base_images_of_others, base_image_of_ours, release_of_others_without_a_name, commits, stages_of_others,
         more_names]


@on("20", "28", "28c")
@pytest.mark.parametrize("host", HOSTS, ids=lambda host: host.__name__)
def test_one_clear_names_all(engine: Engine, daemon: Daemon, site: Site, host: Callable[[Site], None]) -> None:
    host(site)
    daemon.clock.go_on(minutes=11)  # no container is a step of a build under way any more
    follow(engine, daemon)


@on("20", "28", "28c")
def test_more_containers_than_a_command_lists(engine: Engine, daemon: Daemon, site: Site) -> None:
    """No name goes before the last container: each clear says what works, and that there is more."""
    site.build(OURS, CHILD)
    for number in range(18):
        engine.docker("create", "--name", f"job-{number}", CHILD, "/bin/sleep", "1")
    daemon.clock.go_on(minutes=11)
    clear = daemon.ctl("clear", "--target", "all", "--wait", "1s")
    assert clear.returncode == 3 and " (the next clear lists more containers), then clear again" in clear.stdout, clear
    assert [len(command) for command in commands(clear.stdout)] == [2 + 16], clear.stdout
    carry_out(engine, clear.stdout)
    assert f" && docker rmi {CHILD}, then clear again" in follow(engine, daemon)


@on("20", "28", "28c")
def test_protected_image_that_runs(engine: Engine, daemon: Daemon, site: Site) -> None:
    """What else keeps it is named at once with the name that is protected."""
    site.build(OURS, PROTECTED)
    site.engine.docker("tag", PROTECTED, APP)
    site.hold(PROTECTED, "web")
    site.hold(APP, "app", running=False)
    site.upon(PROTECTED, JOB)
    daemon.clock.go_on(minutes=11)
    clear = daemon.ctl("clear", "--target", "all", "--wait", "1s")
    assert clear.returncode == 3 and "take it out of [images] protect, docker rm -f " in clear.stdout, clear
    carry_out(engine, clear.stdout)
    daemon.config.write_text(daemon.config.read_text().replace("protect=watchparty-protected\n", ""))
    assert daemon.ctl("reload").returncode == 0
    again = daemon.ctl("clear", "--target", "all", "--wait", "1s")
    assert again.returncode == 0, f"{clear.stdout}\nafter {commands(clear.stdout)}:\n{again.stdout}{again.stderr}"


@on("28", "28c")
def test_container_that_may_have_any_step_mounted(engine: Engine, short_path: Path, site: Site) -> None:
    """By a name that moved before the daemon saw it: it is removed once, and the steps go along."""
    site.build(OURS)
    mount(engine, "tools", BACKEND, running=True)
    site.build("FROM base/one:1\nRUN echo 1 >/1\nRUN echo later >/later\n")
    with Daemon(engine.socket, short_path / "daemon") as daemon:
        daemon.clock.go_on(minutes=11)
        assert "container tools: " in remaining(follow(engine, daemon))
