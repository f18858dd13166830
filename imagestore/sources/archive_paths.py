"""Which archives a path, a quoted glob or a brace range means: `shard-{0000..0127}.tar`."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from pathlib import Path

from imagestore.console import UserError, printable
from imagestore.sources.open_archive import split_inner_path

GLOB_CHARACTERS = frozenset("*?[")
NUMBERS = re.compile(r"(-?[0-9]{1,18})\.\.(-?[0-9]{1,18})(?:\.\.-?([0-9]{1,18}))?")
LETTERS = re.compile(r"([a-zA-Z])\.\.([a-zA-Z])(?:\.\.-?([0-9]{1,18}))?")
MOST_ARCHIVES = 1_000_000
NAMES_SHOWN = 3


def expand_archives(patterns: Sequence[str | Path]) -> list[Path]:
    """Paths, globs and brace ranges (as in bash) as a list of paths, each path once.

    Raises UserError if a glob matches nothing, or if files of a range are missing. A single path may be
    missing: whoever opens it says so.
    """
    paths = list(dict.fromkeys(path for pattern in patterns for path in _expand(str(pattern))))
    if len(paths) > 1:
        _check_all_there(paths)
    return paths


def _expand(pattern: str) -> list[Path]:
    if os.path.exists(pattern):
        return [Path(pattern)]
    texts = list(islice(expand_braces(pattern), MOST_ARCHIVES + 1))
    if len(texts) > MOST_ARCHIVES:
        raise UserError(f"{printable(pattern)} means more than {MOST_ARCHIVES:,} archives")
    if len(texts) > 1 and not GLOB_CHARACTERS & set(pattern):
        _check_all_there(list(map(Path, texts)), of=f"{printable(pattern)}: ")
    return [path for text in texts for path in _match(text)]


def expand_braces(pattern: str) -> Iterator[str]:
    """All texts that a pattern with `{a,b}`, `{000..127}` or `{a..g..2}` means; other braces stay."""
    for start in (i for i, character in enumerate(pattern) if character == "{"):
        parts, end = _split(pattern, start)
        texts = _range(parts[0]) if len(parts) == 1 else chain.from_iterable(map(expand_braces, parts))
        if texts is not None:
            for text in texts:
                yield from (pattern[:start] + text + rest for rest in expand_braces(pattern[end:]))
            return
    yield pattern


def _split(pattern: str, start: int) -> tuple[list[str], int]:
    """The parts between the commas of the braces at `start`, and where the braces end.

    Braces that are not closed have one empty part.
    """
    parts, depth, begin = [], 0, start + 1
    for i in range(start, len(pattern)):
        depth += {"{": 1, "}": -1}.get(pattern[i], 0)
        if depth == 0 or (depth == 1 and pattern[i] == ","):
            parts.append(pattern[begin:i])
            begin = i + 1
        if depth == 0:
            return parts, begin
    return [""], begin


def _range(text: str) -> Iterator[str] | None:
    """The numbers or letters of a range; None if it is none."""
    if letters := LETTERS.fullmatch(text):
        return map(chr, _steps(ord(letters[1]), ord(letters[2]), int(letters[3] or 1) or 1))
    numbers = NUMBERS.fullmatch(text)
    if numbers is None:
        return None
    first, last, step = numbers.groups()
    is_padded = any(re.match("-?0[0-9]", end) for end in (first, last))
    width = max(len(first), len(last)) if is_padded else 0
    return (f"{number:0{width}}" for number in _steps(int(first), int(last), int(step or 1) or 1))


def _steps(first: int, last: int, step: int) -> range:
    return range(first, last + 1, step) if first <= last else range(first, last - 1, -step)


def _match(pattern: str) -> list[Path]:
    """The files that a glob means, sorted; the path itself if it is no glob."""
    if not GLOB_CHARACTERS & set(pattern) or os.path.exists(pattern):
        return [Path(pattern)]
    matches = sorted(glob.glob(os.path.expanduser(pattern)))
    if not matches:
        raise UserError(f"{printable(pattern)}: no file matches this pattern")
    return list(map(Path, matches))


def _check_all_there(paths: list[Path], of: str = "") -> None:
    missing = [path for path in paths if not split_inner_path(path)[0].exists()]
    if missing:
        shown = ", ".join(printable(str(path)) for path in missing[:NAMES_SHOWN])
        more = f", and {len(missing) - NAMES_SHOWN:,} more" if len(missing) > NAMES_SHOWN else ""
        raise UserError(f"{of}{len(missing):,} of {len(paths):,} archives are not there: {shown}{more}")
