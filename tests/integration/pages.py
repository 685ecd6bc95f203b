"""What the pages in README.md and docs/ show: blocks, command lines, links, and tools to check them with."""
from __future__ import annotations

import fcntl
import re
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from engine import CACHE

TOP = Path(__file__).parents[2]
DOCS = TOP / "docs"
PAGES = sorted([TOP / "README.md", TOP / "CONTRIBUTING.md", *DOCS.glob("*.md")])
SHOWN = [TOP / "README.md", DOCS / "OPERATIONS.md", DOCS / "MIGRATION.md", DOCS / "SECURITY.md"]
PROGRAMS = ("wpcachectl", "wpcached")
# What may stand before a program of ours on a line.
BEFORE = re.compile(r"(?:(?:sudo(?: -u \S+| --\S+)*|if|then|do|!|\{|exec|\w+=\S*|ssh .*?) )*")


@dataclass(frozen=True)
class Block:
    """A fenced block, or in a page without a fence's language an indented one."""
    page: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks(page: Path) -> Iterator[Block]:
    """Fenced blocks by their language; indented ones (not those of lists) as "indented"."""
    fence, start, lines = None, 0, []
    before = ""
    indented: list[str] = []
    for number, line in enumerate([*page.read_text().splitlines(), ""], 1):
        if fence is None and line.startswith("```"):
            fence, start, lines = line.removeprefix("```").strip(), number, []
        elif fence is not None and line == "```":
            yield Block(page.name, start, fence, "".join(f"{one}\n" for one in lines))
            fence = None
        elif fence is not None:
            lines.append(line)
        elif line.startswith("    ") and (indented or not before):
            start = start if indented else number
            indented.append(line[4:])
        elif indented and line:
            yield Block(page.name, start, "indented", "".join(f"{one}\n" for one in indented))
            indented = []
        before = line.strip()
    if indented:
        yield Block(page.name, start, "indented", "".join(f"{one}\n" for one in indented))


def of(language: str, *pages: Path) -> list[Block]:
    return [block for page in pages or SHOWN for block in blocks(page) if block.language == language]


def _lines(page: Path) -> Iterator[str]:
    """What of a page may be a command line."""
    for block in blocks(page):
        if block.language not in ("sh", "text", "indented"):
            continue
        lines = block.text.replace("\\\n", " ").splitlines()
        typed = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
        yield from typed or lines
    text = re.sub(r"(?ms)^```.*?^```$", "", page.read_text())
    for span in re.findall(r"`([^`\n]+(?:\n[^`\n]+)?)`", text):
        yield span.replace("\\|", "|").replace("\n", " ")


def commands(page: Path) -> Iterator[list[str]]:
    """Each call of a program of ours that a page shows, as words."""
    for line in _lines(page):
        yield from _commands(line)


def _commands(line: str) -> Iterator[list[str]]:
    for forced in re.findall(r'command="([^"]+)"', line):
        yield from _commands(forced)
    if 'command="' in line:
        return
    line = re.sub(r"\s{2,}.*", "", line.strip())  # a column that explains, a comment
    lexer = shlex.shlex(line.replace("[", "").replace("]", ""), posix=True, punctuation_chars="|&;<>")
    lexer.whitespace_split = True
    try:
        words = [*lexer, ";"]
    except ValueError:  # prose, or a command of several lines
        words = [";"]
        assert not line.startswith(PROGRAMS), f"cannot take apart: {line}"
    part: list[str] = []
    for word in words:
        if set(word) <= set("|&;<>"):
            yield from _command(part)
            part = []
        else:
            part.append(word)


def _command(part: list[str]) -> Iterator[list[str]]:
    if part[-2:-1] == ["-c"] and part[0] in ("sh", "sudo"):
        yield from _commands(part[-1])
    for i, word in enumerate(part):
        if word.rpartition("/")[2] in PROGRAMS and BEFORE.fullmatch("".join(f"{one} " for one in part[:i])):
            yield [word.rpartition("/")[2], *part[i + 1:]]
            return


def slug(heading: str) -> str:
    """The anchor that a heading has on the usual forges."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower().replace("`", "")).replace(" ", "-")


def anchors(page: Path) -> set[str]:
    text = re.sub(r"(?ms)^```.*?^```$", "", page.read_text())
    return {slug(heading) for heading in re.findall(r"(?m)^#+ (.+)$", text)}


def links(page: Path) -> list[str]:
    """Those to other files of the tree."""
    text = re.sub(r"(?ms)^```.*?^```$", "", page.read_text())
    return [link for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]


def promtool() -> str:
    """Debian's, taken out of the package prometheus: installed, that would start a server."""
    if found := shutil.which("promtool"):
        return found
    final = CACHE / "promtool"
    CACHE.mkdir(parents=True, exist_ok=True)
    with open(CACHE / ".promtool.lock", "w") as lock, tempfile.TemporaryDirectory() as directory:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not final.exists():
            script = """set -e
                apt-get -q download prometheus || { apt-get -q update; apt-get -q download prometheus; }
                dpkg-deb --fsys-tarfile prometheus_*.deb | tar -x ./usr/bin/promtool"""
            done = subprocess.run(["sh", "-c", script], cwd=directory, stdin=subprocess.DEVNULL,
                                  capture_output=True, text=True)
            assert done.returncode == 0, f"no promtool from Debian's prometheus: {done.stderr}"
            shutil.copy2(f"{directory}/usr/bin/promtool", f"{final}.part")
            Path(f"{final}.part").rename(final)
    return str(final)
