"""`wpcached --print-dropin`, and that status says when it is missing."""
from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from apps import (CACHES, POLLING, app, caches, clear, project, remaining, section, tmpfs,
                  wait_for_state, without_engine)
from daemon import BUILD
from dropin import REMEDY
from helpers import wait_until
from test_apps_user import SOMEBODY, USER, daemon_of_user, own

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root sees what others may write")

HEAD = """\
# By wpcached --print-dropin, of {config}; to /etc/systemd/system/wpcached.service.d/50-apps.conf,
# then: systemctl daemon-reload && systemctl restart wpcached
[Service]
"""
CAPABILITY = """\
AmbientCapabilities=CAP_DAC_OVERRIDE
CapabilityBoundingSet=CAP_DAC_OVERRIDE
"""
ALONE = "#   no trash, so that caches are removed where they lie: "
UNIT = """[Service]
Type=notify
ExecStart=/bin/true
User=root
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
NoNewPrivileges=yes
CapabilityBoundingSet=
"""


class Host:
    """A host of its own for each call: /srv and /home are empty, and wpcache is a user, or not."""

    def __init__(self, directory: Path):
        self.dir = directory
        self.config = directory / "wpcached.conf"
        shutil.copy(BUILD / "wpcached", directory)  # what it is in may be hidden there
        for name, line in (("passwd", f"wpcache:x:{USER}:{USER}::/nonexistent:/usr/sbin/nologin"),
                           ("group", f"wpcache:x:{USER}:")):
            others = Path(f"/etc/{name}").read_text().splitlines()
            (directory / name).write_text("".join(
                f"{other}\n" for other in (*others, line) if other == line
                or not other.startswith("wpcache:")))
            (directory / f"{name}-without").write_text("".join(
                f"{other}\n" for other in others if not other.startswith("wpcache:")))

    def run(self, config: str, script: str = "", *options: str, user: bool = True,
            become: str = "") -> subprocess.CompletedProcess[str]:
        """SCRIPT puts the trees there: `app PATH [OWNER]` makes one."""
        self.config.write_text(config)
        suffix = "" if user else "-without"
        return subprocess.run(["unshare", "--mount", "sh", "-ec", f"""
            app() {{
                mkdir -p "$1/.next/server"; echo >"$1/package.json"
                chown -R "${{2:-{SOMEBODY}}}" "$1"
            }}
            for place in /srv /home; do mount -t tmpfs -o mode=755 wpcache-test $place; done
            for file in passwd group; do mount --bind {self.dir}/$file{suffix} /etc/$file; done
            cd {shlex.quote(str(self.dir))}
            {script}
            exec {become} ./wpcached --config {shlex.quote(str(self.config))} --print-dropin """ +
            shlex.join(options)], stdin=subprocess.DEVNULL, capture_output=True, text=True)

    def dropin(self, config: str, script: str, user: bool = True) -> str:
        """What stands below its head."""
        done = self.run(config, script, user=user)
        assert done.returncode == 0, done
        assert all(": note: " in line for line in done.stderr.splitlines()), done
        self.verify(done.stdout)
        head = HEAD.format(config=self.config)
        assert done.stdout.startswith(head), done.stdout
        return done.stdout.removeprefix(head)

    def verify(self, text: str) -> None:
        """systemd understands every line."""
        unit = self.dir / "units/wpcached.service"
        unit.with_name("wpcached.service.d").mkdir(parents=True, exist_ok=True)
        unit.write_text(UNIT)
        unit.with_name("wpcached.service.d").joinpath("50-apps.conf").write_text(text)
        done = subprocess.run(["systemd-analyze", "verify", unit], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), (text, done)


@pytest.fixture
def host(short_path: Path) -> Host:
    return Host(short_path)


def test_two_below_one(host: Host) -> None:
    config = (section("/srv/watch-party/frontend") + section("/srv/watch-party/backend", "backend") +
              section("/srv/alone", "alone", caches=".next"))
    assert host.dropin(config, "app /srv/watch-party/frontend; app /srv/watch-party/backend;"
                               f"app /srv/alone {USER}") == f"""\
# [app alone] /srv/alone
# [app frontend] /srv/watch-party/frontend
# [app backend] /srv/watch-party/backend
ReadWritePaths=-/srv
# [app frontend] wpcache may not write /srv/watch-party/frontend
# [app backend] wpcache may not write /srv/watch-party/backend
{CAPABILITY}"""


def test_the_nearest(host: Host) -> None:
    """Above the root, but for a project and what somebody builds."""
    config = section("/srv/party/web", caches=".next")
    line = "# [app frontend] /srv/party/web\nReadWritePaths=-{}\n"
    assert host.dropin(config, f"app /srv/party/web {USER}").startswith(line.format("/srv/party"))
    assert host.dropin(config, f"app /srv/party/web {USER}; touch /srv/party/compose.yaml"
                       ).startswith(line.format("/srv"))
    config = section("/srv/party/web", caches=".next", context="/srv/party")
    assert host.dropin(config, f"app /srv/party/web {USER}").startswith(line.format("/srv"))


def test_its_own(host: Host) -> None:
    """No capability, but a trash that somebody has to make."""
    assert host.dropin(section("/srv/party/web"), f"app /srv/party/web {USER}") == """\
# [app frontend] /srv/party/web
ReadWritePaths=-/srv/party
# wpcache has to be given its trash; in /etc/tmpfiles.d/wpcache-apps.conf, then systemd-tmpfiles --create:
# d /srv/party/.wpcache-trash 0700 wpcache wpcache
"""
    assert host.dropin(section("/srv/party/web"), f"""app /srv/party/web {USER}
                       install -d -m 700 -o {USER} /srv/party/.wpcache-trash""") == """\
# [app frontend] /srv/party/web
ReadWritePaths=-/srv/party
"""


def test_a_trash_that_needs_quotes(host: Host) -> None:
    """systemd-tmpfiles makes what is meant."""
    parent = '/srv/100% a:b "c" \\d'
    text = host.dropin(section(f"{parent}/web"), f"app {shlex.quote(parent)}/web {USER}")
    line = text.splitlines()[-1].removeprefix("# ")
    assert line == r'd "/srv/100%% a:b \"c\" \\d/.wpcache-trash" 0700 wpcache wpcache'
    root = host.dir / "made"
    (root / "etc").mkdir(parents=True)
    for name in ("passwd", "group"):
        shutil.copy(host.dir / name, root / "etc")
    (root / "tmpfiles.conf").write_text(f"{line}\n")
    subprocess.run(["systemd-tmpfiles", "--create", f"--root={root}", root / "tmpfiles.conf"],
                   stdin=subprocess.DEVNULL, check=True)
    made = root / parent[1:] / ".wpcache-trash"
    assert (made.stat().st_uid, made.stat().st_mode & 0o777) == (USER, 0o700)


def test_homes_and_elsewhere(host: Host) -> None:
    config = (section("/home/deploy/web") + section("/home/deploy/web/inner", "inner", caches=".next") +
              section("/home/ci/app", "ci", caches=".next", context="/home/ci") +
              section("/srv/party/web", "trash", caches=".next", trash="/home/trash/of-web") +
              section("/srv/team/web", "team", caches=".next", trash="/srv/team/trash"))
    script = "; ".join(f"app {root} {USER}" for root in (
        "/home/deploy/web", "/home/deploy/web/inner", "/home/ci/app", "/srv/party/web",
        "/srv/team/web")) + f"; install -d -o {USER} /srv/team"
    assert host.dropin(config, script) == f"""\
# Of homes, what is bound below is all that is seen.
ProtectHome=tmpfs
# [app trash] /srv/party/web
{ALONE}/home/trash/of-web is on another mount than the application
ReadWritePaths=-/srv/party/web
# [app team] /srv/team/web
ReadWritePaths=-/srv/team
# [app ci] /home/ci/app
{ALONE}one beside them would take all of /home
BindPaths=-/home/ci/app
# [app frontend] /home/deploy/web
{ALONE}one beside them would take all of /home
# [app inner] /home/deploy/web/inner
{ALONE}one beside them would take all of /home
BindPaths=-/home/deploy/web
# [app ci] /home/ci
BindReadOnlyPaths=-/home/ci
"""
    # nor where somebody asks for it
    done = host.run(section("/home/deploy/web", trash="/home/trash") +
                    section("/home/ci/web", "ci", caches=".next"),
                    f"app /home/deploy/web {USER}; app /home/ci/web {USER}; "
                    f"install -d -m 700 -o {USER} /home/trash")
    host.verify(done.stdout)
    assert done.stdout.removeprefix(HEAD.format(config=host.config)) == f"""\
# Of homes, what is bound below is all that is seen.
ProtectHome=tmpfs
# [app ci] /home/ci/web
{ALONE}one beside them would take all of /home
BindPaths=-/home/ci/web
# [app frontend] /home/deploy/web
{ALONE}only /home holds them and /home/trash
BindPaths=-/home/deploy/web
"""


def test_no_user_and_no_root(host: Host) -> None:
    config = section("/srv/a/web") + section("/srv/b/web", "later", caches=".next")
    assert host.dropin(config, f"app /srv/a/web {USER}", user=False) == f"""\
# [app later] /srv/b/web
#   /srv/b/web: No such file or directory
# [app frontend] /srv/a/web
ReadWritePaths=-/srv
# there is no user wpcache yet; print this again when there is
{CAPABILITY}"""
    assert host.dropin(config, f"app /srv/a/web {USER}") == f"""\
# [app later] /srv/b/web
#   /srv/b/web: No such file or directory
# [app frontend] /srv/a/web
ReadWritePaths=-/srv
# [app later] /srv/b/web is not there yet; print this again when it is
{CAPABILITY}"""


def test_names_that_need_quotes(host: Host) -> None:
    name = "/home/x/100% \"a:b\" \\c"
    text = host.dropin(section(name), f"app {shlex.quote(name)} {USER}")
    assert text.splitlines()[-2:] == ["#   systemd 257 binds no path with a quote in it",
                                      r'BindPaths="-/home/x/100%% \"a:b\" \\c"']


def test_names_that_would_be_lines(host: Host) -> None:
    """Who names a directory is nobody who writes units."""
    name = shlex.quote("/srv/party\nExecStartPre=+touch wpcache-test")
    for script, trash in ((f"app {name}/web {USER}; ln -s {name} /srv/link", "auto"),
                          (f"app /srv/link/web {USER}; mkdir {name}; ln -s {name} /srv/other",
                           "/srv/other/trash")):
        done = host.run(section("/srv/link/web", trash=trash), script)
        assert (done.returncode, done.stdout) == (1, ""), done
        said = done.stderr.splitlines()[-1]
        assert said.startswith(r"wpcached: --print-dropin: /srv/party\nExecStartPre=+touch ")
        assert said.endswith(": its path has a control character")


def test_caches_that_would_be_lines(host: Host) -> None:
    """In a comment, as text."""
    cache = shlex.quote("/srv/party/web/a\nExecStartPre=+b/.next")
    text = host.dropin(section("/srv/party/web", caches=".next"),
                       f"app /srv/party/web {USER}; mkdir -p {cache}")
    assert "\nExecStartPre" not in text and "ExecStartPre=+b/.next\n" in text


def test_a_configuration_that_would_be_a_line(host: Host) -> None:
    host.config = host.dir / "wp\nExecStartPre=+x.conf"
    for config in ("", section("/srv/party/web")):
        done = host.run(config, f"app /srv/party/web {USER}")
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.endswith("its path has a control character\n")


def test_without_applications(host: Host) -> None:
    done = host.run("[docker]\ntimeout=10s\n", become=f"setpriv --reuid {SOMEBODY} --clear-groups")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (f"# no application in {host.config}: wpcached.service needs no "
                           "drop-in\n")
    host.verify(done.stdout)


def test_what_it_refuses(host: Host) -> None:
    """As --check-config; and who sees too little."""
    done = host.run(section("/srv/web") + "[images]\nmach=x\n", "mkdir /srv/web; touch /srv/web/x")
    assert (done.returncode, done.stdout) == (1, "")
    assert f"{host.config}:2: [app frontend] root: /srv/web has no project in it" in done.stderr
    assert f"{host.config}:5: [images] mach: unknown key" in done.stderr

    done = host.run(section("/srv/web"), "app /srv/web",
                    become=f"setpriv --reuid {SOMEBODY} --clear-groups")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == ("wpcached: --print-dropin: run it as root, who sees what wpcache may "
                           "write\n")
    done = host.run("", "", "--what")
    assert (done.returncode, done.stdout) == (2, "")


def test_it_cannot_be_written(host: Host) -> None:
    """A drop-in that is cut short is not taken for one."""
    done = host.run(section("/srv/web"), "app /srv/web; exec >/dev/full")
    assert done.returncode == 1
    assert done.stderr == "wpcached: --print-dropin: No space left on device\n"


# What status says

@pytest.fixture
def by_systemd(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INVOCATION_ID", "0123456789abcdef0123456789abcdef")


def remedies(receipt: dict) -> dict[str, str | None]:
    return {left["object"]: left.get("remedy") for left in receipt["remaining"]}


def remedy_of(config: Path) -> str:
    return REMEDY.replace("wpcached ", f"wpcached --config {shlex.quote(str(config))} ", 1)


def assert_told(daemon, state: str, remedy: str | None) -> None:
    assert wait_for_state(daemon, state).get("remedy") == remedy
    lines = daemon.ctl("status").stdout.splitlines()
    said = [line for line in lines if "end it: " in line]
    assert said == ([f"     end it: {remedy}"] if remedy else []), lines


def test_status_of_what_is_not_ours(short_path: Path, by_systemd: None) -> None:
    root = own(project(short_path / "frontend"), SOMEBODY)
    no_engine = SimpleNamespace(socket=short_path / "no-engine")
    with daemon_of_user(no_engine, short_path, section(root) + POLLING, "--clear-groups") as daemon:
        remedy = remedy_of(daemon.config)
        assert_told(daemon, "notWritable", remedy)
        told = daemon.ctl("clear", "--target", "frontend", "--include-mounted")
        assert told.returncode == 3 and f"end it: {remedy}\n" in told.stdout
        receipt = clear(daemon, "frontend", "--include-mounted", expect=3)
        assert remedies(receipt) == {str(root / path): remedy for path in CACHES["frontend"]}
        assert "Permission denied" in " ".join(remaining(receipt).values())
        # a directory that can't be entered
        os.chmod(root / "packages", 0o700)
        receipt = clear(daemon, "frontend", "--include-mounted", expect=3)
        assert remedies(receipt)[str(root / "packages")] == remedy
        root.chmod(0o700)
        assert_told(daemon, "unreadable", remedy)
        receipt = clear(daemon, "frontend", "--include-mounted", expect=3)
        assert remedies(receipt) == {"frontend": remedy}
        own(root, USER)
        wait_for_state(daemon, "ok")
        assert "remedy" not in app(daemon)
        clear(daemon, "frontend", "--include-mounted")
    assert caches(root) == set()


def test_status_of_a_configuration_that_needs_quotes(short_path: Path, by_systemd: None) -> None:
    directory = short_path / "a b;$(c)"
    directory.mkdir()
    with without_engine(directory, section("/home/wpcache-test/none") + POLLING) as daemon:
        remedy = remedy_of(daemon.config)
        assert f"wpcached --config '{daemon.config}' --print-dropin" in remedy
        assert_told(daemon, "missing", remedy)


def test_status_without_systemd(short_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A drop-in would be no help."""
    monkeypatch.delenv("INVOCATION_ID", raising=False)
    root = own(project(short_path / "frontend"), SOMEBODY)
    no_engine = SimpleNamespace(socket=short_path / "no-engine")
    with daemon_of_user(no_engine, short_path, section(root) + POLLING, "--clear-groups") as daemon:
        assert_told(daemon, "notWritable",
                    f"run wpcached as root, or as a user that may write {root}")
        shutil.rmtree(root)
        assert_told(daemon, "missing", None)


def test_status_of_what_is_read_only(short_path: Path, by_systemd: None) -> None:
    with tmpfs(short_path / "disk") as disk:
        root = project(disk / "frontend")
        with without_engine(short_path, section(root) + POLLING) as daemon:
            wait_for_state(daemon, "ok")
            subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
            assert_told(daemon, "readOnly", remedy_of(daemon.config))
            assert remedies(clear(daemon, "frontend", "--include-mounted", expect=3)) == {
                "frontend": remedy_of(daemon.config)}


@pytest.mark.parametrize("root, hidden", [
    ("/home/wpcache-test/none", True), ("/root/wpcache-test", True), ("/var/tmp/wpcache-test", True),
    ("/srv/wpcache-test/none", False)])
def test_status_of_what_is_hidden(short_path: Path, by_systemd: None, root: str,
                                  hidden: bool) -> None:
    with without_engine(short_path, section(root) + POLLING) as daemon:
        assert_told(daemon, "missing", remedy_of(daemon.config) if hidden else None)
        # the plan says so, too
        plan = daemon.ctl("plan", "--target", "frontend").stdout
        wait_until(lambda: f"{root} does not exist" in daemon.ctl("status").stdout)
        assert (f"end it: {remedy_of(daemon.config)}" in plan) == hidden
