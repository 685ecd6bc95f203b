"""The package on a booted Debian: installed, used, upgraded, removed, as an operator would.

One machine for all tests, in their order: each finds what the ones before left. $WPCACHE_PACKAGE is the
package, else the one of build/release; $WPCACHE_SUITES says which Debians to boot, else it is this host's
and those after it.
"""
from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import dropin
from engine import CACHE, Engine
from helpers import names, wait_until
from nspawn import Machine
from scenarios import BACKEND, PINNED, ROWS, Scenario

HOST = platform.freedesktop_os_release().get("VERSION_CODENAME")
SUITES = os.environ.get("WPCACHE_SUITES", "bookworm,trixie" if HOST == "bookworm" else "trixie").split(",")
SOCKET = "/run/wpcache/io.watchparty.Cache"
UNITS = ("wpcached.service", "wpcached.socket", "wpcache-clear@all.service", "wpcache-clear@all.timer")
CONFIG = "/etc/wpcache/wpcached.conf.d/site.conf"
APT = ("apt-get", "-q", "-y", "-o", "Dpkg::Use-Pty=0")


def package() -> Path:
    if given := os.environ.get("WPCACHE_PACKAGE"):
        return Path(given)
    build = Path(__file__).parents[2] / "build/release"
    found = sorted(build.glob("wpcache_*.deb"))
    assert len(found) == 1, f"one package in {build}, please: cmake --build build/release --target package"
    return found[0]


def later(deb: Path, directory: Path) -> Path:
    """The same package with a later version and another default in its configuration file."""
    tree, into = directory / "tree", directory / "later.deb"
    subprocess.run(["dpkg-deb", "--raw-extract", deb, tree], check=True)
    control = tree / "DEBIAN/control"
    text = control.read_text()
    version = re.search(r"^Version: (.*)$", text, re.M)[1]
    control.write_text(text.replace(f"Version: {version}\n", f"Version: {version}+later\n"))
    config = tree / "etc/wpcache/wpcached.conf"
    config.write_text("# of the later version\n" + config.read_text())
    subprocess.run(["dpkg-deb", "--root-owner-group", "-Znone", "--build", tree, into], check=True,
                   stdout=subprocess.DEVNULL)
    shutil.rmtree(tree)
    return into


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    # Not below /tmp, which the service has to itself
    CACHE.mkdir(parents=True, exist_ok=True)
    with (tempfile.TemporaryDirectory(prefix="e-", dir=CACHE) as directory,
          Engine("20", f"{directory}/e") as engine):
        os.chmod(directory, 0o755)
        os.chmod(engine.dir, 0o755)
        yield engine


@pytest.fixture(scope="module", params=SUITES)
def machine(engine: Engine, request: pytest.FixtureRequest) -> Iterator[Machine]:
    """With a Docker engine at the usual place, the packages in /packages, and two users."""
    with (tempfile.TemporaryDirectory(prefix="wpcache-packages-") as directory,
          Machine(request.param, {engine.dir: engine.dir, directory: "/packages"}) as machine):
        os.chmod(directory, 0o755)
        shutil.copy(package(), f"{directory}/wpcache.deb")
        later(package(), Path(directory))
        machine.run("ln", "-s", engine.socket, "/run/docker.sock")
        machine.run("useradd", "ci")
        machine.run("useradd", "other")
        yield machine
        print(machine.run("journalctl", "-b", "-u", "wpcached", "-u", "wpcache-clear@*", "-n", "80",
                          "--no-pager", check=False).stdout)


@pytest.fixture
def scene(engine: Engine, request: pytest.FixtureRequest) -> Iterator[Scenario]:
    """A row of the freshness matrix, prepared on an empty engine."""
    engine.reset()
    with Scenario(ROWS[request.param], engine) as scenario:
        scenario.prepare()
        yield scenario


def scene_of(row: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("scene", [row], indirect=True)


def restart(machine: Machine) -> None:
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "reset-failed", "wpcached.service", check=False)
    machine.run("systemctl", "restart", "wpcached.service")


def fields(machine: Machine, *matches: str) -> list[dict[str, str]]:
    """Records of the journal."""
    machine.run("journalctl", "--sync")
    out = machine.run("journalctl", "-q", "-o", "json", "-u", "wpcached", *matches, check=False).stdout
    return [json.loads(line) for line in out.splitlines()]


# --- installing ---

def test_policy_is_heeded(machine):
    """Where policy-rc.d says no, as in the tree it boots, nothing is started; all else is done."""
    assert machine.path("/usr/sbin/policy-rc.d").exists()
    machine.run(*APT, "install", "/packages/wpcache.deb")
    assert machine.run("systemctl", "is-enabled", *UNITS[:2]).stdout.split() == ["enabled", "enabled"]
    for unit in UNITS[:2]:
        assert machine.show(unit, "ActiveState") == "inactive"
    machine.run(*APT, "purge", "wpcache")
    machine.run("rm", "/usr/sbin/policy-rc.d")


def test_install(machine, engine):
    machine.run(*APT, "install", "/packages/wpcache.deb")
    assert machine.run("systemctl", "is-active", *UNITS[:2]).stdout.split() == ["active", "active"]
    assert machine.run("systemctl", "is-enabled", *UNITS[:2]).stdout.split() == ["enabled", "enabled"]
    assert machine.run("systemctl", "is-enabled", UNITS[3], check=False).stdout == "disabled\n"
    assert machine.run("systemctl", "is-system-running").stdout == "running\n"

    assert machine.run("stat", "-c", "%a %U %G", "/var/lib/wpcache").stdout == "700 wpcache wpcache\n"
    assert machine.run("stat", "-c", "%a %U %F", SOCKET).stdout == "666 root socket\n"
    assert machine.run("id", "-Gn", "wpcache").stdout == "wpcache\n"
    status = machine.path(f"/proc/{machine.show('wpcached', 'MainPID')}/status").read_text()
    gids = [machine.run("getent", "group", name).stdout.split(":")[2] for name in ("wpcache", "docker")]
    uid = machine.run("id", "-u", "wpcache").stdout.strip()
    assert re.search(r"^Uid:\t(.*)$", status, re.M)[1].split() == [uid] * 4
    assert set(re.search(r"^Groups:\t(.*)$", status, re.M)[1].split()) == set(gids)
    assert re.search(r"^CapBnd:\t0+$", status, re.M)

    # As Debian's docker.io has it
    os.chown(engine.socket, 0, int(gids[1]))
    os.chmod(engine.socket, 0o660)
    machine.run("usermod", "--append", "--groups", "wpcache", "ci")
    restart(machine)
    wait_until(lambda: "20.10" in machine.run("wpcachectl", "status", check=False).stdout)


def test_files(machine):
    """Everything is where Debian's tools look for it."""
    for page in ("8 wpcached", "5 wpcached.conf", "1 wpcachectl"):
        assert machine.run("man", "-w", *page.split()).stdout.endswith(".gz\n")
    shown = machine.run("journalctl", "--list-catalog", "65eefb1957ac403f9514bc5911332cab").stdout
    assert "The Docker cache janitor raises an alarm" in shown
    assert machine.run("dpkg-query", "-Wf", "${Conffiles}", "wpcache").stdout.split()[0] == \
        "/etc/wpcache/wpcached.conf"
    assert machine.path("/etc/wpcache/wpcached.conf.d").is_dir()
    assert machine.run("wpcached", "--check-config").stdout.endswith("OK\n")


def test_units_are_in_order(machine):
    units = [f"/usr/lib/systemd/system/{unit.replace('@all', '@')}" for unit in UNITS]
    done = machine.run("systemd-analyze", "verify", *units)
    assert (done.stdout, done.stderr) == ("", "")
    done = machine.run("systemd-analyze", "security", "--no-pager", "wpcached.service")
    # It would do without, in a slower way that shows in nothing else.
    assert {"openat2", "statx"} <= set(machine.show("wpcached", "SystemCallFilter").split())
    exposure = float(re.search(r"Overall exposure level for wpcached.service: ([\d.]+)", done.stdout)[1])
    assert exposure <= 1.5, done.stdout


# --- using ---

def test_socket_activation(machine):
    """The first call starts it, and is answered."""
    machine.run("systemctl", "stop", "wpcached.service")
    assert machine.show("wpcached", "ActiveState") == "inactive"
    assert machine.show("wpcached.socket", "SubState") == "listening"
    assert "wpcached" in machine.run("wpcachectl", "version").stdout
    assert machine.show("wpcached", "ActiveState") == "active"
    assert machine.show("wpcached.socket", "SubState") == "running"


@scene_of("inline-running")
def test_clear_by_group(machine, engine, scene):
    """Who is in group wpcache may clear and is in no other group; who is not, may not."""
    assert machine.run("id", "-Gn", "ci").stdout == "ci wpcache\n"
    assert machine.run("test", "-w", "/run/docker.sock", user="ci", check=False).returncode == 1
    before = names(engine)
    refused = machine.run("wpcachectl", "clear", "--target", "all", user="other", check=False)
    assert refused.returncode == 4 and names(engine) == before, refused.stderr
    done = machine.run("wpcachectl", "clear", "--target", "all", user="ci", check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert BACKEND not in names(engine)
    assert scene.rebuild().cached == 0
    assert scene.rebuild().cached == 4

    receipt = re.search(r"^Receipt: (\S+)", done.stdout, re.M)[1]
    record, = fields(machine, "WPCACHE_OUTCOME=fresh", f"WPCACHE_RECEIPT={receipt}")
    assert (record["WPCACHE_JOB"], record["WPCACHE_TARGET"]) == ("clear", "all")
    assert record["_SYSTEMD_UNIT"] == "wpcached.service" and record["_COMM"] == "wpcached"


@scene_of("inline-other-tag")
def test_timer(machine, engine, scene):
    """It clears, and a clear that is not fresh is a unit that failed."""
    machine.write("/etc/systemd/system/wpcache-clear@all.timer.d/soon.conf",
                  "[Timer]\nOnCalendar=\nOnActiveSec=1s\nRandomizedDelaySec=0\nAccuracySec=10ms\n")
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "enable", "--now", UNITS[3])
    wait_until(lambda: machine.show(UNITS[2], "ActiveState") == "failed")
    said = machine.run("journalctl", "-u", UNITS[2], "-o", "cat").stdout
    assert machine.show(UNITS[2], "ExecMainStatus") == "3", said
    assert BACKEND not in names(engine), said
    assert f"REMAINING: image {PINNED}" in said

    engine.docker("rmi", PINNED)
    machine.run("systemctl", "restart", UNITS[3])
    wait_until(lambda: machine.show(UNITS[2], "Result") == "success")
    wait_until(lambda: machine.show(UNITS[2], "ActiveState") == "inactive")
    who = json.loads(machine.run("wpcachectl", "--json=short", "history").stdout)["runs"][0]
    assert "wpcache" in json.dumps(who["who"])
    assert scene.rebuild().cached == 0


def test_reload(machine):
    """systemctl says when the configuration is in force, and fails where it has a mistake."""
    machine.write(CONFIG, "[poll]\ninterval=7s\n")
    pid = machine.show("wpcached", "MainPID")
    n = len(fields(machine, "MESSAGE=Configuration reloaded"))
    machine.run("systemctl", "reload", "wpcached")
    assert len(fields(machine, "MESSAGE=Configuration reloaded")) == n + 1
    machine.write(CONFIG, "[poll]\ninterva=7s\n")
    failed = machine.run("systemctl", "reload", "wpcached", check=False)
    assert failed.returncode == 1 and "Job for wpcached.service failed" in failed.stderr
    assert f"{CONFIG}:2" in machine.run("wpcachectl", "status", check=False).stdout
    assert machine.show("wpcached", "ActiveState") == "active"
    assert machine.show("wpcached", "MainPID") == pid
    machine.path(CONFIG).unlink()
    machine.run("systemctl", "reload", "wpcached")


def test_start_with_a_mistake(machine):
    """It is tried again and again, and comes back once it is mended, whoever asked meanwhile."""
    machine.write(CONFIG, "[poll]\ninterva=7s\n")
    failed = machine.run("systemctl", "restart", "wpcached", check=False)
    assert failed.returncode == 1 and "Job for wpcached.service failed" in failed.stderr
    meanwhile = machine.start("wpcachectl", "status")
    wait_until(lambda: machine.show("wpcached", "NRestarts") == "1")
    machine.path(CONFIG).unlink()
    wait_until(lambda: machine.show("wpcached", "ActiveState") == "active")
    out, err = meanwhile.communicate(timeout=10)
    assert meanwhile.returncode in (0, 5), out + err
    assert machine.run("wpcachectl", "status", check=False).returncode == 0


def test_alarm(machine):
    """Its command runs in the sandbox, and its record has a text in the catalog."""
    config = ("[docker]\nhost=unix:///run/{}\n[poll]\ninterval=1s\n[alarm]\n"
              'command=logger -t hook "$WPCACHE_ALARM_STATE $WPCACHE_ALARM"\n')
    hook = ("journalctl", "-q", "-o", "cat", "-t", "hook")
    machine.write(CONFIG, config.format("none.sock"))
    machine.run("systemctl", "reload", "wpcached")
    wait_until(lambda: machine.run(*hook).stdout == "raised engineUnavailable\n")
    machine.write(CONFIG, config.format("docker.sock"))
    machine.run("systemctl", "reload", "wpcached")
    wait_until(lambda: machine.run(*hook).stdout == "raised engineUnavailable\ncleared engineUnavailable\n")
    record, = fields(machine, "WPCACHE_ALARM=engineUnavailable",
                     "MESSAGE_ID=65eefb1957ac403f9514bc5911332cab")
    assert record["WPCACHE_ALARM_REMEDY"] == "systemctl status docker"
    shown = machine.run("journalctl", "-u", "wpcached", "-x", "MESSAGE_ID=65eefb1957ac403f9514bc5911332cab").stdout
    assert "What would end it: systemctl status docker" in shown
    machine.path(CONFIG).unlink()
    machine.run("systemctl", "reload", "wpcached")


def test_watchdog(machine):
    """One that no longer moves is ended and started again."""
    limit = 2
    assert machine.show("wpcached", "WatchdogUSec") == "30s"
    dropin = "/etc/systemd/system/wpcached.service.d/watchdog.conf"
    machine.write(dropin, f"[Service]\nWatchdogSec={limit}s\nRestartSec=0\n")
    restart(machine)
    pid = machine.show("wpcached", "MainPID")
    time.sleep(2 * limit)
    assert machine.show("wpcached", "MainPID") == pid, "it is alive, and says so"
    stopped = time.monotonic()
    machine.run("sh", "-c", f"kill -STOP {pid}")
    wait_until(lambda: machine.show("wpcached", "MainPID") not in (pid, "0"), timeout=3 * limit)
    took = time.monotonic() - stopped
    assert took < 2 * limit, took
    assert machine.show("wpcached", "NRestarts") == "1"
    assert machine.run("wpcachectl", "status", check=False).returncode == 0
    machine.run("rm", dropin)
    restart(machine)


def test_dropin(machine):
    """What --print-dropin writes is what the shipped unit needs, and status says when it is missing."""
    dropin.prove(machine)


def test_app_root(machine):
    """Caches of an application need a drop-in: without it they are named, with it they go."""
    cache = machine.path("/srv/site/app/.next")
    machine.run("mkdir", "-p", "/srv/site/app/.next/cache")
    machine.run("sh", "-c", "echo {} >/srv/site/app/package.json; echo old >/srv/site/app/.next/BUILD_ID")
    machine.run("chown", "-R", "other:", "/srv/site/app")
    machine.write(CONFIG, "[app web]\nroot=/srv/site/app\ncaches=.next\n")
    machine.run("systemctl", "reload", "wpcached")
    refused = machine.run("wpcachectl", "clear", "web", check=False)
    assert refused.returncode == 3 and cache.is_dir(), refused.stdout + refused.stderr
    assert "REMAINING: app web: /srv/site/app is mounted read-only" in refused.stdout

    # The parent: root, trash and all that lies between have to be on one mount.
    machine.write("/etc/systemd/system/wpcached.service.d/apps.conf",
                  "[Service]\nReadWritePaths=/srv/site\nCapabilityBoundingSet=CAP_DAC_OVERRIDE\n"
                  "AmbientCapabilities=CAP_DAC_OVERRIDE\n")
    restart(machine)
    done = machine.run("wpcachectl", "clear", "web", user="ci", check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not cache.exists() and machine.path("/srv/site/app/package.json").exists()
    assert machine.path("/srv/site/.wpcache-trash").is_dir()
    assert not list(machine.path("/srv/site/.wpcache-trash").iterdir())


# --- upgrading and removing ---

@scene_of("building")
def test_upgrade_while_a_clear_runs(machine, engine, scene):
    """The clear ends as interrupted and is on record as such; configuration and history are kept."""
    runs = len(json.loads(machine.run("wpcachectl", "--json=short", "history").stdout)["runs"])
    machine.run("mkdir", "/srv/site/app/.next")
    clear = machine.start("wpcachectl", "clear", "--target", "all", user="ci")
    wait_until(lambda: not machine.path("/srv/site/app/.next").exists())
    pid = machine.show("wpcached", "MainPID")
    machine.write("/etc/wpcache/wpcached.conf", "[images]\nmax_age=29d\n")
    machine.run(*APT, "-o", "Dpkg::Options::=--force-confold", "install", "/packages/later.deb")
    out, err = clear.communicate(timeout=30)
    assert clear.returncode == 1, out + err
    assert machine.show("wpcached", "MainPID") != pid
    assert machine.run("systemctl", "is-active", *UNITS[:2]).stdout.split() == ["active", "active"]
    assert machine.path("/etc/wpcache/wpcached.conf").read_text() == "[images]\nmax_age=29d\n"
    assert machine.run("wpcached", "--check-config").returncode == 0
    assert machine.path(CONFIG).exists()

    history = json.loads(machine.run("wpcachectl", "--json=short", "history").stdout)["runs"]
    assert len(history) == runs + 1 and history[0]["outcome"] == "interrupted", history
    assert fields(machine, "WPCACHE_OUTCOME=interrupted")
    assert scene.land()
    assert machine.run("wpcachectl", "clear", "--target", "all", user="ci").returncode == 0
    assert scene.rebuild().cached == 0


def test_remove(machine):
    machine.run(*APT, "remove", "wpcache")
    assert machine.run("systemctl", "list-units", "--no-legend", "--plain", "wpcache*").stdout == ""
    assert not machine.path(SOCKET).exists()
    comms = (path.read_text() for path in machine.path("/proc").glob("[0-9]*/comm"))
    assert "wpcached\n" not in comms
    assert machine.path("/etc/wpcache/wpcached.conf").exists()
    assert machine.path("/var/lib/wpcache/wpcache.db").exists()


def test_purge(machine):
    """Nothing is left but the user, whose id is not to be given to somebody else."""
    machine.run(*APT, "purge", "wpcache")
    left = machine.run("find", "/etc", "/var", "/run", "/usr", "-xdev", "(", "-path", CACHE, "-o",
                       "-path", "/var/cache/man", ")", "-prune", "-o", "-iname", "*wpcache*", "-print")
    assert left.stdout == ""
    assert machine.run("id", "-Gn", "wpcache").stdout == "wpcache\n"
    assert machine.run("systemctl", "is-system-running", check=False).stdout == "running\n"
