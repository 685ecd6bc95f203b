"""kill -9 of the daemon at random moments of a clear of application caches: the next one sweeps
what is left, and receipts say what happened. $WPCACHE_ROUNDS times, 200 at most."""
from __future__ import annotations

import os
import random
import sqlite3
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import test_app_attacks
from helpers import Daemon, receipts, wait_until
from test_app_attacks import NAMED_MAX, Site
from varlink_client import Wire, call, message

place, site = test_app_attacks.place, test_app_attacks.site  # the fixtures

ROUNDS = min(int(os.environ.get("WPCACHE_ROUNDS", "25")), 200)
SEED = 4
FILES_MAX = 3000
PLACES = (".next", "cache", "node_modules/.cache", "lib/ü/.next", "lib/a\nb/cache", "x/y/z/.next")

# The renames of so many take a while
MANY = [f"many/{i}/cache" for i in range(500)]


def make_cache(path: Path, n: int) -> None:
    for i in range(n):
        directory = path / f"d{i // 40}" / ("sub" if i % 3 else "")
        if i % 40 < 2:
            directory.mkdir(parents=True, exist_ok=True)
        (directory / f"file{i}").write_bytes(b"x" * (i % 5000))


def count_files(path: Path) -> int:
    return sum(len(files) for _, _, files in os.walk(path))


def make_caches(app: Path, places: Sequence[str], n_files: int) -> dict[str, int]:
    """How many files each has."""
    made = {place: max(1, n_files // len(places)) for place in places}
    for place, n in made.items():
        make_cache(app / place, n)
    return made


def stored_trash(daemon: Daemon) -> int:
    uri = f"{(daemon.state / 'wpcache.db').absolute().as_uri()}?mode=ro"
    with closing(sqlite3.connect(uri, uri=True, timeout=10)) as store:
        return store.execute("SELECT count(*) FROM trash").fetchone()[0]


def path_text(path: str) -> str:
    return path.replace("\n", "\\n")


def check_receipt(new: list[dict[str, Any]], made: dict[str, int], gone: set[str], trashed: bool,
                  told: dict[str, Any] | None) -> str:
    """What the receipts say of the killed clear, when that is true; else fails."""
    assert len(new) <= 1, new
    if not new:
        # It is written before the first name goes
        assert not gone and not trashed and told is None, (gone, told)
        return "none"
    receipt = new[0]
    if told is not None:
        assert receipt["outcome"] == told["outcome"] and receipt["id"] == told["id"]
        assert "finishedAt" in receipt
    if receipt["outcome"] == "interrupted":
        named = {cache["path"] for cache in receipt["caches"]}
        assert {path_text(path) for path in gone} <= named or len(made) > len(named) == NAMED_MAX
    else:
        assert receipt["outcome"] == "cleared", receipt
        assert gone == set(made) and not trashed, (gone, receipt)
        assert receipt["remaining"] == [] and receipt["finishedAt"] >= receipt["startedAt"]
    return receipt["outcome"]


def moment(site: Site, made: dict[str, int], gone: set[str], outcome: str) -> str:
    """When the kill came."""
    if outcome == "cleared":
        return "6 after the receipt"
    if not gone:
        return "2 before the renames, stored" if outcome != "none" else "1 before the receipt"
    if gone < set(made):
        return "3 between renames"
    return "4 while it was removed" if site.in_trash() else "5 removed, before the receipt"


def time_of_clear(daemon: Daemon, app: Path, places: Sequence[str], n_files: int) -> float:
    make_caches(app, places, n_files)
    start = time.monotonic()
    assert "error" not in call(daemon.socket, "Clear", target="frontend")
    return time.monotonic() - start


def test_killed(site: Site) -> None:
    chance = random.Random(SEED)
    seen: Counter[str] = Counter()
    began, n_again = time.monotonic(), 0
    with Daemon(site.base / "no engine", site.base / "daemon", site.config()) as daemon:
        least, most, many = (time_of_clear(daemon, site.app, places, n) for places, n in
                             ((PLACES, 10), (PLACES, FILES_MAX), (MANY, 0)))
        for _ in range(ROUNDS):
            n_files = chance.choice([chance.randint(10, 300), chance.randint(300, FILES_MAX)])
            if chance.random() < 0.5:
                made, takes = make_caches(site.app, MANY, 0), many
            else:
                made = make_caches(site.app, chance.sample(PLACES, chance.randint(1, len(PLACES))),
                                   n_files)
                takes = least + (most - least) * n_files / FILES_MAX
            known = {receipt["id"] for receipt in receipts(daemon)}
            with Wire(daemon.socket) as wire:
                wire.send(message("Clear", target="frontend"))
                time.sleep(chance.uniform(0, takes))
                daemon.kill()
                reply = wire.receive()

            # As it lies there
            gone = {place for place in made if not (site.app / place).exists()}
            for place in made.keys() - gone:
                assert count_files(site.app / place) == made[place], f"{place} is a half one"
            trashed = bool(site.in_trash())
            new = [receipt for receipt in receipts(daemon) if receipt["id"] not in known]
            outcome = check_receipt(new, made, gone, trashed,
                                    reply["parameters"]["receipt"] if reply else None)
            seen[moment(site, made, gone, outcome)] += 1

            daemon.start()
            while trashed and chance.random() < 0.3:  # in the midst of the sweep
                time.sleep(chance.uniform(0, least))
                daemon.kill()
                n_again += 1
                daemon.start()
            wait_until(lambda: not site.in_trash() and stored_trash(daemon) == 0)
            for place in made.keys() - gone:
                assert count_files(site.app / place) == made[place], f"{place} was swept"
            after = [receipt for receipt in receipts(daemon) if receipt["id"] not in known]
            assert after == new, "a restart changes a receipt"
            runs = call(daemon.socket, "GetHistory")["parameters"]["runs"]
            assert [run["outcome"] for run in runs if run["id"] not in known] == \
                [receipt["outcome"] for receipt in new]
            assert site.untouched()

            done = daemon.ctl("clear", "--target", "frontend")
            assert done.returncode == 0, done.stdout + done.stderr
            assert not any((site.app / place).exists() for place in made)
            assert not site.in_trash() and stored_trash(daemon) == 0
    print(f"{ROUNDS} kills, {n_again} more in the sweep, {time.monotonic() - began:.0f} s")
    for what in sorted(seen):
        print(f"  {what[2:]:32} {seen[what]:4}")
    assert sum(n for what, n in seen.items() if what[0] in "2345") > ROUNDS / 5, seen
