"""Files that are parts of a split file: which the parts are, and how to join them.

`split` of Unix calls them x.tgz.aa, x.tgz.ab … or x.tgz.00, x.tgz.01 …; 7-Zip x.zip.001 …; Info-ZIP x.z01 …
and at the end x.zip.
"""

from __future__ import annotations

import os
import re
import string
from collections.abc import Iterator
from pathlib import Path

from imagestore.console import printable
from imagestore.printed_commands import command_line, path_argument

COUNTER = re.compile(r"(.*?)(\d{1,5}|[a-z][a-z])", re.DOTALL)
OF_SPLIT_ZIP = re.compile(r"\.z\d{2,3}", re.IGNORECASE)
WORD_FOR_PART = re.compile(r"[-_. ]*(part|chunk|split)?[-_. ]*$", re.IGNORECASE)
LETTERS = string.ascii_lowercase
PARTS_NAMED = 3  # one by one in a command


def how_to_join(path: Path) -> str | None:
    """The command that joins the parts of a file, if `path` is one of several; else None."""
    if is_part_of_zip(path) or (path.suffix.lower() == ".zip" and _numbers_of_zip(path)):
        return _how_to_join_zip(path)
    parts = parts_of(path)
    if len(parts) < 2:
        return None
    stem, counter = _counter_of(path)
    whole = path.with_name(WORD_FOR_PART.sub("", stem) or "joined")
    if whole.exists():
        whole = whole.with_name(f"joined-{whole.name}")
    names = command_line(*map(path_argument, parts))
    if len(parts) > PARTS_NAMED:
        first, last = _counter_of(parts[0])[1], _counter_of(parts[-1])[1]
        range_of_all = f"{{{first}..{last}}}" if counter.isdigit() else "??"
        names = command_line(path_argument(path.with_name(stem))) + range_of_all
    return f"cat {names} > {command_line(path_argument(whole))}"


def is_part_of_zip(path: Path) -> bool:
    """Whether a file has the name of a part of a split zip that is not the last one."""
    return OF_SPLIT_ZIP.fullmatch(path.suffix) is not None


def _how_to_join_zip(path: Path) -> str:
    """The command that joins the parts of a split zip. If some are missing, it says so first."""
    z, zip_suffix = ("Z", ".ZIP") if path.suffix.isupper() else ("z", ".zip")
    numbers, last = _numbers_of_zip(path), path.with_suffix(zip_suffix)
    parts = [numbers[number] for number in sorted(numbers)]
    missing = [f"{path.stem}.{z}{i:02d}" for i in range(1, max(numbers, default=1) + 1) if i not in numbers]
    missing += [] if last.is_file() else [last.name]
    names = command_line(*map(path_argument, [*parts, last]))
    if len(parts) >= PARTS_NAMED:
        marks = sorted({re.sub(r"\d", "[0-9]", part.suffix) for part in parts}, key=len)  # zip is z??, too
        stem = command_line(path_argument(path.with_name(path.stem)))
        names = " ".join([*(stem + mark for mark in marks), command_line(path_argument(last))])
    command = f"cat {names} > {command_line(path_argument(path.with_name(f'{path.stem}-joined.zip')))}"
    if not missing:
        return command
    shown = ", ".join(missing[:PARTS_NAMED]) + (", …" if len(missing) > PARTS_NAMED or not parts else "")
    return (
        f"copy {printable(shown)} here too, and then {command}"
        if parts
        else f"copy {printable(shown)} here too"
    )


def _numbers_of_zip(path: Path) -> dict[int, Path]:
    """The parts of a split zip beside `path` by their numbers, without the last one."""
    stem = f"{path.stem}."
    names = [name for name in os.listdir(path.parent) if name.startswith(stem)]
    parts = [path.with_name(name) for name in names if is_part_of_zip(Path(name))]
    return {int(part.suffix[2:]): part for part in parts if part.stem == path.stem}


def parts_of(path: Path) -> list[Path]:
    """The files whose names count on from that of `path`, and back, in their order; at least `path`."""
    before, behind = list(_neighbours(path, -1)), list(_neighbours(path, 1))
    return [*reversed(before), path, *behind]


def have_sizes_of_parts(parts: list[Path]) -> bool:
    """Whether all files but the last are of one size, and that is smaller or equal."""
    *others, last = (part.stat().st_size for part in parts)
    return len(set(others)) == 1 and last <= others[0]


def _neighbours(path: Path, step: int) -> Iterator[Path]:
    """The files with the next counters, or with those before, as far as there are any."""
    found: Path | None = path
    while found := next(filter(Path.is_file, _with_next_counter(found, step)), None):
        yield found


def _with_next_counter(path: Path, step: int) -> list[Path]:
    """The path with the next counter, or with the one before: 9 or 09 is before 10."""
    stem, counter = _counter_of(path)
    if counter.isdigit() and int(counter) + step >= 0:
        number = int(counter) + step
        return [path.with_name(f"{stem}{text}") for text in (f"{number:0{len(counter)}}", number)]
    if counter.isalpha():
        first, second = divmod(LETTERS.index(counter[0]) * 26 + LETTERS.index(counter[1]) + step, 26)
        if 0 <= first < 26:
            return [path.with_name(f"{stem}{LETTERS[first]}{LETTERS[second]}")]
    return []


def _counter_of(path: Path) -> tuple[str, str]:
    """The name up to its counter, and the counter; "" if it has none."""
    match = COUNTER.fullmatch(path.name)
    return (match[1], match[2]) if match else (path.name, "")
