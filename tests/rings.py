#!/usr/bin/python3 -B
"""Fails if object files need each other in a ring.

    rings.py OBJECT...

A file needs another file if it uses a symbol that the other file defines, as nm(1) shows. For each
ring the output has one of its shortest cycles, and the symbols that make each file need the next one.
A file is named FLOOR/FILE, after its directory.
"""
from __future__ import annotations

import subprocess
import sys
from collections import deque
from pathlib import Path

# Floors that still have rings. A floor without a ring may not stay in this list.
TO_DO = {"janitor"}

Needs = dict[str, dict[str, set[str]]]  # file -> needed file -> symbols


def read_needs(objects: list[str]) -> Needs:
    used: dict[str, set[str]] = {}
    owner: dict[str, str] = {}
    lines = subprocess.run(["nm", "-A", "-P", *objects], check=True, capture_output=True, text=True).stdout
    for line in lines.splitlines():
        path, symbol, kind = line.split()[:3]
        name = f"{Path(path).parent.name}/{Path(path).name.split('.')[0]}"
        used.setdefault(name, set())
        if kind == "U":
            used[name].add(symbol)
        elif kind.isupper():
            owner[symbol] = name
    needs: Needs = {name: {} for name in used}
    for name, symbols in used.items():
        for symbol in symbols:
            other = owner.get(symbol, name)
            if other != name:
                needs[name].setdefault(other, set()).add(symbol)
    return needs


def shortest_ring(needs: Needs, start: str) -> list[str]:
    """The files of a shortest ring through `start`, or an empty list."""
    previous: dict[str, str] = {}
    queue = deque([start])
    while queue:
        name = queue.popleft()
        for other in sorted(needs[name]):
            if other == start:
                ring = [name]
                while ring[0] != start:
                    ring.insert(0, previous[ring[0]])
                return ring
            if other not in previous:
                previous[other] = name
                queue.append(other)
    return []


def main() -> int:
    needs = read_needs(sys.argv[1:])
    told: set[str] = set()
    with_rings: set[str] = set()
    failed = False
    for start in sorted(needs):
        ring = shortest_ring(needs, start)
        floors = {name.split("/")[0] for name in ring}
        with_rings |= floors
        if not ring or floors <= TO_DO or told & set(ring):
            continue
        told |= set(ring)
        failed = True
        print("ring:")
        for name, other in zip(ring, ring[1:] + ring[:1]):
            print(f"  {name} needs {other}: {' '.join(sorted(needs[name][other]))}")
    for floor in sorted(TO_DO & {name.split("/")[0] for name in needs} - with_rings):
        failed = True
        print(f"{floor}/ has no ring: take it off the list in rings.py")
    return failed


if __name__ == "__main__":
    sys.exit(main())
