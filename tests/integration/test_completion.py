"""Completion as it is typed: bash with bash-completion and zsh on terminals, fish by `complete -C`."""
from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import varlink_peer
from varlink_peer import CTL, STATUS

peer = varlink_peer.peer  # the fixture
COMPLETION = Path(__file__).parents[2] / "etc/completion"
TARGETS = {"all", "docker", "builder", "images", "apps"}

BASH = """PS1='$ '; bind 'set show-all-if-ambiguous on'; bind 'set completion-query-items 0'
bind 'set page-completions off'; bind 'set completion-display-width 0'; bind 'set enable-bracketed-paste off'
source /usr/share/bash-completion/bash_completion; printf 'REA%s\\n' DY
"""
ZSH = """PS1='$ '; unset zle_bracketed_paste; bindkey -e; setopt nobeep noalwayslastprompt nolistambiguous; LISTMAX=10000
stty cols 200; fpath=({completion} $fpath); autoload -Uz compinit; compinit -u -D; printf 'REA%s\\n' DY
"""


class Shell:
    """An interactive shell on a terminal."""

    def __init__(self, argv: list[str], start: str, env: dict[str, str]):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execvpe(argv[0], argv, env)
        self._send(start.encode())
        self._until("READY")

    def _send(self, text: bytes) -> None:
        os.write(self.fd, text)

    def _until(self, mark: str) -> str:
        output, until = b"", time.monotonic() + 30
        while mark.encode() + b"\r\n" not in output:
            assert time.monotonic() < until, output
            if select.select([self.fd], [], [], 0.1)[0]:
                output += os.read(self.fd, 65536)
        return output.decode(errors="replace")

    def tab(self, line: str) -> tuple[list[str], list[str]]:
        """What is offered after LINE and Tab, and the words of the line then."""
        self._send(line.encode() + b"\t\x01printf '<%s>' \x05\rprintf 'EN%s\\n' D\r")
        shown = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]|\x08|\x07", "", self._until("END"))
        words = re.findall(r"<([^<>%]*)>", shown)
        listed: list[str] = []
        for text in shown.split("\n")[1:]:
            # "name  -- what it is", or names in columns
            columns = re.split(r"  +", re.sub(r" +-- .*", "", text).rstrip())
            if all(re.fullmatch(r"-{0,2}[A-Za-z0-9][\w.@=-]*", word) for word in columns):
                listed += columns
        return [word for word in listed if word != "END"], words

    def close(self) -> None:
        os.close(self.fd)
        os.waitpid(self.pid, 0)


class Fish:
    """`complete -C`, which is what its Tab shows."""

    def __init__(self, env: dict[str, str]):
        self.env = env

    def tab(self, line: str) -> tuple[list[str], list[str]]:
        done = subprocess.run(["fish", "--no-config", "-c", f"source {COMPLETION}/wpcachectl.fish; complete -C $argv[1]",
                               line], capture_output=True, text=True, timeout=30, env=self.env)
        assert done.stderr == ""
        offered = [text.partition("\t")[0] for text in done.stdout.splitlines()]
        return offered, [*line.split()[:-1], *offered] if len(offered) == 1 else []

    def close(self) -> None:
        pass


@pytest.fixture(scope="module", params=["bash", "zsh", "fish"])
def shell(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell | Fish]:
    home = tmp_path_factory.mktemp("home")
    (home / ".ssh").mkdir()
    (home / ".ssh/config").write_text("Host stage-box\n")
    (home / ".ssh/known_hosts").write_text("live-box ssh-ed25519 AAAA\n")
    (home / "bin").mkdir()
    (home / "bin/frobnicate").symlink_to("/bin/true")
    (home / "bin/wpcachectl").symlink_to(CTL)
    installed = home / "share/bash-completion/completions"
    installed.mkdir(parents=True)
    (installed / "wpcachectl").symlink_to(COMPLETION / "wpcachectl.bash")
    env = {"HOME": str(home), "PATH": f"{home}/bin:/usr/bin:/bin", "TERM": "dumb", "LC_ALL": "C.UTF-8",
           "XDG_DATA_DIRS": f"{home}/share:/usr/share", "WPCACHE_SOCKET": str(home / "s"), "INPUTRC": "/dev/null"}
    made: Shell | Fish
    if request.param == "bash":
        made = Shell(["bash", "--norc", "--noprofile", "-i"], BASH, env)
    elif request.param == "zsh":
        made = Shell(["zsh", "-f", "-i"], ZSH.format(completion=COMPLETION), env)
    else:
        made = Fish(env)
    apps = [{"name": "frontend", "root": "/", "state": "ok", "context": "/"}]
    daemon = varlink_peer.Peer(home / "s", lambda conn, call: conn.sendall(
        varlink_peer.frame({"parameters": {"status": {**STATUS, "apps": apps}}})))
    yield made
    made.close()
    daemon.close()


def offered(shell: Shell | Fish, line: str) -> set[str]:
    """Options by their long names, with nothing of their values."""
    return {word.partition("=")[0] for word in shell.tab(line)[0]}


def verbs_and_options() -> tuple[list[str], list[str]]:
    shown = subprocess.run([CTL, "help"], capture_output=True, text=True, timeout=20, check=True).stdout
    return (re.findall(r"^  ([a-z][a-z-]+)", shown, re.M),
            ["--" + name for name in re.findall(r"^  (?:-\w, )?--([a-z-]+)", shown, re.M)])


VERBS, OPTIONS = verbs_and_options()
VALUES = {"--target": "=all", "--wait": "=0", "--why": "=x", "--ttl": "=1h", "--since": "=1h"}
COMMON = {"--json", "--host", "--socket", "--quiet", "--color", "--no-pager", "--help", "--version"}


def test_verbs(shell):
    assert offered(shell, "wpcachectl ") == set(VERBS)
    assert shell.tab("wpcachectl cle")[1] == ["wpcachectl", "clear"]
    assert shell.tab("wpcachectl --quiet sta")[1] == ["wpcachectl", "--quiet", "status"]
    assert shell.tab("wpcachectl ssh")[1] == ["wpcachectl", "ssh-gate"]


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb != "ssh-gate"])
def test_options(shell, verb):
    """Exactly those that wpcachectl takes with this verb."""
    taken = {option for option in OPTIONS if option not in COMMON and "belongs to" not in subprocess.run(
        [CTL, option + VALUES.get(option, ""), "--socket=/nonexistent", verb], capture_output=True, text=True,
        timeout=20).stderr}
    assert offered(shell, f"wpcachectl {verb} --") == taken | COMMON


def test_targets(shell):
    for line in ("wpcachectl clear ", "wpcachectl plan ", "wpcachectl clear --target "):
        assert offered(shell, line) == TARGETS | {"frontend"}, line
    for line in ("wpcachectl -H box clear ", "wpcachectl --host=box clear --target ", "wpcachectl -H me@box plan "):
        assert offered(shell, line) == TARGETS, line
    assert shell.tab("wpcachectl clear front")[1] == ["wpcachectl", "clear", "frontend"]
    # zsh goes on to options where there is nothing else
    assert offered(shell, "wpcachectl reload ") <= COMMON | {"-H", "-h", "-q"}


def test_hosts(shell):
    for option in ("-H ", "--host "):
        assert shell.tab(f"wpcachectl {option}stage-")[1] == ["wpcachectl", option.strip(), "stage-box"]
        assert shell.tab(f"wpcachectl {option}live-")[1] == ["wpcachectl", option.strip(), "live-box"]
    assert shell.tab("wpcachectl -H stage-box cle")[1] == ["wpcachectl", "-H", "stage-box", "clear"]
    assert shell.tab("wpcachectl -H me@stage-box cle")[1] == ["wpcachectl", "-H", "me@stage-box", "clear"]
    assert shell.tab("wpcachectl --host=stage-box cle")[1] == ["wpcachectl", "--host=stage-box", "clear"]
    assert offered(shell, "wpcachectl -H me@stage-box clear --") >= {"--keep-mounts", "--wait"}


def test_gate(shell):
    allowed = set(VERBS) - {"ssh-gate", "inhibit"}
    assert offered(shell, "wpcachectl ssh-gate ") == allowed
    assert offered(shell, "wpcachectl ssh-gate clear ") >= allowed - {"clear"}
    assert not offered(shell, "wpcachectl ssh-gate clear ") & TARGETS
    assert shell.tab("wpcachectl ssh-gate clear sta")[1] == ["wpcachectl", "ssh-gate", "clear", "status"]


def test_values(shell):
    for line, values in (("wpcachectl --color=", {"always", "auto", "never"}),
                         ("wpcachectl --json=", {"short", "pretty"}),
                         ("wpcachectl clear --wait ", {"0", "90s", "5min", "30min", "1h"}),
                         ("wpcachectl clear --wait=", {"0", "90s", "5min", "30min", "1h"}),
                         ("wpcachectl history --since ", {"24h", "7d", "30d"}),
                         ("wpcachectl inhibit --ttl ", {"10min", "30min", "1h", "4h"})):
        assert {word.rpartition("=")[2] for word in shell.tab(line)[0]} == values, line


def test_command_of_inhibit(shell):
    assert shell.tab("wpcachectl inhibit --why x -- frobn")[1][-1] == "frobnicate"
    assert shell.tab("wpcachectl inhibit --why x frobn")[1][-1] == "frobnicate"
