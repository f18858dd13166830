"""Which members of an archive are chosen: runs of neighbours from random places."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from typing import TypeVar

from imagestore.archive.members import encode

Chosen = TypeVar("Chosen")


def choose_runs(members: Sequence[Chosen], count: int, chunk: int, rng: random.Random) -> list[Chosen]:
    """`count` members (all, where there are fewer) in runs of `chunk` neighbours from random places.

    No member comes twice; every set of places is equally likely, and one run is shorter where `chunk`
    does not divide `count`. The members come in the order of `members`, so that reading them goes forward.
    """
    count = min(count, len(members))
    runs = [chunk] * (count // chunk) + ([count % chunk] if count % chunk else [])
    rng.shuffle(runs)
    # Shrink every run to one place, draw the places, and let the runs grow again: none can overlap.
    places = sorted(rng.sample(range(len(members) - count + len(runs)), len(runs)))
    chosen: list[Chosen] = []
    for place, length, i in zip(places, runs, range(len(runs)), strict=True):
        start = place - i + len(chosen)
        chosen += members[start : start + length]
    return chosen


def share(count: int, shard: tuple[int, int]) -> range:
    """The positions in share k of n: neighbours in the archive, so that each reads its own part of it."""
    k, n = shard
    return range(count * (k - 1) // n, count * k // n)


def draw(seed: int, name: str) -> float:
    """A number in [0, 1) that depends on the seed and the member's name alone."""
    digest = hashlib.blake2b(b"%d\0" % seed + encode(name), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64
