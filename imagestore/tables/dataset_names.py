"""What the names of datasets have in common: words such as `train`, and the group."""

from __future__ import annotations

import re

WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+|\d+")


def words(name: str) -> set[str]:
    """The words in a name, in small letters: those of `trainLabels_2` are train, labels and 2."""
    return {word.lower() for word in WORDS.findall(name)}


def in_common(path: str, other: str) -> tuple[bool, int]:
    """How much two paths have in common: the group, then words. The larger, the likelier they go together."""
    same_group = path.rpartition("/")[0] == other.rpartition("/")[0]
    return same_group, len(words(path) & words(other))
