"""Names in the order in which people count: image_2.jpg before image_10.jpg."""

from __future__ import annotations

import re
from collections.abc import Sequence

from imagestore.archive.members import Member

DIGITS = re.compile(r"(\d+)", re.ASCII)


def natural_key(name: str) -> tuple[tuple[str | int, ...], ...]:
    """A key to sort names by: folder by folder, and each number counts as a number."""
    return tuple(_key_of_part(part) for part in name.split("/"))


def _key_of_part(part: str) -> tuple[str | int, ...]:
    pieces = DIGITS.split(part)  # text and digits take turns, so that equal places have equal types
    return tuple(int(piece) if i % 2 else piece for i, piece in enumerate(pieces))


def numbers_in_natural_order(members: Sequence[Member]) -> list[int]:
    """For the member at each position: which number it has, from 0, in the natural order of the names."""
    by_name = sorted(range(len(members)), key=lambda position: natural_key(members[position].name))
    numbers = [0] * len(members)
    for number, position in enumerate(by_name):
        numbers[position] = number
    return numbers
