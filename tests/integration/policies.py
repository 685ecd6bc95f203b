"""What tests of the policy have in common: daemons in a hurry, and images of any age."""
from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from daemon import Daemon as AnyDaemon
from engine import Engine
from helpers import Daemon, Project, look, run, wait_until
from varlink_client import call

# Acts as soon as it may, on what the test makes alone: the disk of a test machine may be any.
HASTY = """[poll]
interval=1s
share=50%
[policy]
grace=0
quiet=0
[disk]
min_free=off
min_free_inodes=off
"""


def hasty(engine: Engine, directory: Path, extra: str = "", socket: str = "") -> Daemon:
    """SOCKET: of a proxy before the engine."""
    # Where it hears events it looks at a containerd store five times less often.
    events = "[poll]\nevents=no\n" if engine.name == "28c" else ""
    return Daemon(socket or engine.socket, directory, HASTY + events + extra)


def configure(daemon: AnyDaemon, old: str, new: str) -> None:
    """Another configuration, by reload."""
    text = daemon.config.read_text()
    assert old in text
    daemon.config.write_text(text.replace(old, new, 1))
    reload = daemon.ctl("reload")
    assert reload.returncode == 0, reload.stderr


def status(daemon: AnyDaemon) -> dict[str, Any]:
    """By the socket, without wpcachectl: tests ask for it many times a second."""
    return call(daemon.socket, "GetStatus")["parameters"]["status"]


def ctl_json(daemon: AnyDaemon, *arguments: str) -> Any:
    done = daemon.ctl("--json=short", *arguments)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def n_polls(daemon: AnyDaemon) -> int:
    """How many polls have ended well."""
    text = call(daemon.socket, "GetMetrics")["parameters"]["text"]
    ended, failed = (int(re.search(rf"^wpcache_{name}_total (\d+)$", text, re.M)[1])
                     for name in ("polls", "poll_failures"))
    return ended - failed


def polls(daemon: AnyDaemon, amount: int = 3) -> None:
    """Returns after that many further polls, each in its time, and no job is in progress."""
    until = n_polls(daemon) + amount
    wait_until(lambda: n_polls(daemon) >= until)
    wait_until(lambda: "job" not in status(daemon))


def poll(daemon: AnyDaemon, amount: int = 3) -> None:
    """The same at once: a reload begins each poll. It also ends the pause after a pass that removed nothing."""
    for _ in range(amount):
        before = n_polls(daemon)
        assert "error" not in call(daemon.socket, "Reload")
        wait_until(lambda: n_polls(daemon) > before, pause=0.01)
    wait_until(lambda: "job" not in status(daemon))


def use(engine: Engine, image: str, container: str, running: bool) -> None:
    if running:
        run(engine, image, container)
    else:
        engine.docker("create", "--network", "none", "--name", container, image, "/bin/true")


def fill(engine: Engine, directory: Path, steps: int = 8, megabytes: int = 1) -> None:
    """Build cache that no image shares: a build of that many steps whose result nothing names."""
    project = Project(engine, directory)
    lines = ["FROM scratch", "COPY rootfs /"]
    lines += [f"RUN dd if=/dev/urandom of=/f{i} bs=1M count={megabytes}" for i in range(steps)]
    (directory / "Dockerfile").write_text("\n".join([*lines, "RUN false"]))
    done = engine.docker("build", "--network", "none", "--progress", "plain", str(project.dir),
                         check=False, env={"DOCKER_BUILDKIT": "1"})
    assert done.returncode, "the last step fails, so that there is no image"
    wait_until(lambda: not any(record["InUse"] for record in
                               look(engine, "/v1.41/system/df")["BuildCache"]))


def private_bytes(engine: Engine) -> int:
    """Build cache not shared with an image, by the engine."""
    return sum(record["Size"] for record in look(engine, "/v1.41/system/df")["BuildCache"] or ()
               if not record["Shared"])
