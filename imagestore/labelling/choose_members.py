"""Which members of an archive a run takes, and which of two files an image belongs to."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


def choose_runs(members: Sequence[T], count: int, chunk: int, rng: random.Random) -> list[T]:
    """Choose `count` members (all, if there are fewer) in runs of `chunk` neighbours from random places.

    No member is chosen twice, and all sets of places are equally likely. One run is shorter if `chunk` does
    not divide `count`. The chosen members keep the order of `members`, so that they are read forwards.
    """
    count = min(count, len(members))
    runs = [chunk] * (count // chunk) + ([count % chunk] if count % chunk else [])
    rng.shuffle(runs)
    # Shrink each run to one place, draw the places, and let the runs grow again: they cannot overlap.
    places = sorted(rng.sample(range(len(members) - count + len(runs)), len(runs)))
    chosen: list[T] = []
    for i, (place, length) in enumerate(zip(places, runs, strict=True)):
        start = place - i + len(chosen)
        chosen += members[start : start + length]
    return chosen


def choose_runs_in_shard(
    member_count: int, count: int, chunk: int, rng: random.Random, shard: tuple[int, int]
) -> list[int]:
    """Choose runs from all members as `choose_runs` does; return the positions that are in this shard.

    With the same seed, the shards 1…n together choose the same members as one run without shards.
    """
    in_shard = share(member_count, shard)
    return [
        position for position in choose_runs(range(member_count), count, chunk, rng) if position in in_shard
    ]


def share(member_count: int, shard: tuple[int, int]) -> range:
    """The positions of shard (k, n): share k of 1…n.

    A shard is a run of neighbours, so that each task of an array job reads its own part of the archive.
    """
    k, n = shard
    return range(member_count * (k - 1) // n, member_count * k // n)


def draw(seed: int, member_name: bytes) -> float:
    """A number in [0, 1) that depends on nothing but the seed and the member's name."""
    digest = hashlib.blake2b(b"%d\0" % seed + member_name, digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def is_for_training(seed: int, member_name: bytes, fraction: float) -> bool:
    """Whether `partition` puts this member into the first file: its probability is `fraction`."""
    return draw(seed, member_name) < fraction
