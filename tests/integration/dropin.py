"""That the drop-in of `wpcached --print-dropin` is what the shipped unit needs: on a booted Debian."""
from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Protocol

from helpers import wait_until

DROPIN = "/etc/systemd/system/wpcached.service.d/50-apps.conf"
CONFIG = "/etc/wpcache/wpcached.conf.d/50-apps.conf"
REMEDY = (f"f=$(mktemp) && wpcached --print-dropin >$f && install -D -m 644 $f {DROPIN} && "
          "systemctl daemon-reload && systemctl restart wpcached")
# Where each lies, and who owns it.
ROOTS = {
    "frontend": ("/srv/watch-party/frontend", "deploy"),
    "odd": ("/srv/watch party/100% \"odd\", a:b", "deploy"),
    "web": ("/home/deploy/web", "deploy"),
    "odd-web": ("/home/deploy/50%: an odd\\web", "deploy"),
    "root": ("/root/app", "root"),
    "tmp": ("/var/tmp/app", "deploy"),
    "lib": ("/var/lib/party", "deploy"),
    "top": ("/app", "deploy"),
}
WITH_TRASH = {"frontend", "odd"}


class Machine(Protocol):
    """What is asked of nspawn.Machine."""

    def run(self, *args: str | Path, check: bool = True) -> Any: ...

    def write(self, inside: str, text: str) -> None: ...

    def path(self, inside: str | Path) -> Path: ...


def _fill(machine: Machine, root: str, owner: str) -> None:
    machine.run("sh", "-ec", """
        mkdir -p "$1/.next/server" "$1/src"
        echo {} >"$1/package.json"; echo 1 >"$1/.next/BUILD_ID"; echo 2 >"$1/.next/server/page"
        chmod 700 "$1/.next/server"
        chown -R "$2" "$1" """, "sh", root, owner)


def _restart(machine: Machine, command: str = "systemctl daemon-reload; systemctl restart wpcached",
             ) -> None:
    """More often than the unit lets an operator."""
    machine.run("systemctl", "reset-failed", "wpcached.service")
    machine.run("sh", "-ec", command)


def _configure(machine: Machine, roots: dict[str, tuple[str, str]]) -> None:
    for root, owner in roots.values():
        _fill(machine, root, owner)
    machine.run("rm", "-f", DROPIN)
    machine.write(CONFIG, "".join(f"[app {name}]\nroot={root}\ncaches=.next\n"
                                  for name, (root, _) in roots.items()))
    _restart(machine)


def _apps(machine: Machine) -> dict[str, dict[str, Any]]:
    """What is told of each, by a look of now."""
    done = machine.run("wpcachectl", "--json=short", "plan", "--target", "apps")
    return {app["name"]: app for app in json.loads(done.stdout)["plan"]["apps"]}


def _clear(machine: Machine, expect: int) -> dict[str, Any]:
    # no engine is asked which containers have what mounted
    done = machine.run("wpcachectl", "--json=short", "clear", "--target", "apps",
                       "--include-mounted", check=False)
    assert done.returncode == expect, f"exit {done.returncode}\n{done.stdout}{done.stderr}"
    return json.loads(done.stdout)


def _there(machine: Machine, roots: dict[str, tuple[str, str]]) -> set[str]:
    return {name for name, (root, _) in roots.items()
            if machine.run("test", "-e", f"{root}/.next", check=False).returncode == 0}


def _prove_of_others(machine: Machine) -> None:
    """Without it nothing can be cleared, and status says what to do; after that, all is."""
    machine.run("sh", "-ec", "id deploy 2>/dev/null || useradd --create-home deploy; "
                             "chmod 700 /home/deploy; mkdir -p '/srv/watch party'")
    _configure(machine, ROOTS)
    before = _apps(machine)
    for name, app in before.items():
        assert app["state"] in ("missing", "unreadable", "readOnly"), (name, app)
        assert app["remedy"] == REMEDY, (name, app)
    wait_until(lambda: machine.run("wpcachectl", "status", check=False).stdout.count(
        f"     end it: {REMEDY}\n") == len(ROOTS))
    receipt = _clear(machine, 3)
    assert {left["object"]: left["remedy"] for left in receipt["remaining"]} == {
        name: REMEDY for name in ROOTS}, receipt["remaining"]
    assert _there(machine, ROOTS) == set(ROOTS)

    _restart(machine, before["frontend"]["remedy"])
    text = machine.path(DROPIN).read_text()
    for line in ("ReadWritePaths=-/srv/watch-party", 'ReadWritePaths="-/srv/watch party"',
                 "BindPaths=-/home/deploy/web"):
        assert f"\n{line}\n" in text, text
    told = _apps(machine)
    assert {name: app["state"] for name, app in told.items()} == dict.fromkeys(ROOTS, "ok"), told
    receipt = _clear(machine, 0)
    assert receipt["outcome"] == "cleared" and not receipt["remaining"], receipt
    assert {cache["app"] for cache in receipt["caches"]} == set(ROOTS), receipt["caches"]
    for name in ROOTS:
        in_place = any(note.startswith(f"{name}: caches were removed where they lay")
                       for note in receipt["notes"])
        assert in_place == (name not in WITH_TRASH), (name, receipt["notes"])
    assert _there(machine, ROOTS) == set()
    for root, _ in ROOTS.values():
        machine.run("test", "-e", f"{root}/package.json")
    for place in ("/srv/watch-party", "/srv/watch party"):
        assert machine.run("ls", "-A", f"{place}/.wpcache-trash").stdout == "", place
    # and nothing more can be seen or written
    inside = "exec nsenter --target $(systemctl show --value -p MainPID wpcached) --mount --wd=/ "
    assert machine.run("sh", "-c", f"{inside} ls -A /home/deploy /root").stdout.split("\n") == [
        "/home/deploy:", *sorted(Path(root).name for root, _ in ROOTS.values()
                                 if root.startswith("/home/")), "", "/root:", "app", ""]
    for path in ("/etc", "/usr", "/var", "/var/lib", "/opt", "/srv", "/"):
        done = machine.run("sh", "-c", f"{inside} touch {path}/wpcache-test", check=False)
        assert done.returncode != 0 and "Read-only file system" in done.stderr, (path, done)


def _prove_of_its_own(machine: Machine) -> None:
    """No capability, but a trash that root made."""
    roots = {"own": ("/srv/its own/app", "wpcache")}
    _configure(machine, roots)
    assert _apps(machine)["own"]["state"] == "readOnly"
    _restart(machine, REMEDY)
    text = machine.path(DROPIN).read_text()
    assert "CAP_" not in text and "# d \"/srv/its own/.wpcache-trash\" 0700 wpcache wpcache\n" in text, text
    receipt = _clear(machine, 0)
    assert any("removed where they lay" in note for note in receipt["notes"]), receipt
    _fill(machine, *roots["own"])
    machine.write("/etc/tmpfiles.d/wpcache-apps.conf",
                  "".join(f"{line[2:]}\n" for line in text.splitlines() if line.startswith("# d ")))
    machine.run("systemd-tmpfiles", "--create", "/etc/tmpfiles.d/wpcache-apps.conf")
    receipt = _clear(machine, 0)
    assert not any("where they lay" in note for note in receipt["notes"]), receipt
    assert _there(machine, roots) == set()
    _restart(machine, REMEDY)
    assert "# d " not in machine.path(DROPIN).read_text()


def prove(machine: Machine) -> None:
    """On a machine with wpcached of the package; its configuration has no application, and has none
    again afterwards."""
    try:
        _prove_of_others(machine)
        _prove_of_its_own(machine)
    finally:
        machine.run("rm", "-rf", DROPIN, CONFIG, "/etc/tmpfiles.d/wpcache-apps.conf")
        _restart(machine)
