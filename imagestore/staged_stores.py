"""The stores that copies on a node's scratch disk stand for: a user knows the stores, not the copies.

jobs/on_scratch.py makes the copies, and a list of them: the name of a copy below the list's folder, then the
path of its store, each with a zero byte behind it. The programs that it starts find the list by a variable.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

VARIABLE = "IMAGESTORE_COPIES"  # the path of the list


def write_list(path: Path, originals: Mapping[str, Path]) -> None:
    """Write a list, whole or not at all: the store of each copy, by the copy's name. Raises OSError."""
    text = "".join(f"{name}\0{store}\0" for name, store in originals.items())
    draft = path.with_name(f"{path.name}.part")
    draft.write_bytes(os.fsencode(text))
    draft.replace(path)


def read_list(path: Path) -> dict[str, Path]:
    """The store of each copy, by the copy's name. Raises OSError."""
    words = os.fsdecode(path.read_bytes()).split("\0")[:-1]
    return dict(zip(words[::2], map(Path, words[1::2]), strict=True))


def original_path(path: str | os.PathLike[str]) -> str:
    """The path of the store that `path` is a copy of, as the user gave it; else `path`."""
    text, listing = os.fspath(path), os.environ.get(VARIABLE, "")
    folder = f"{os.path.dirname(listing)}/"
    if not listing or not text.startswith(folder):
        return text
    try:
        return str(read_list(Path(listing)).get(text.removeprefix(folder), text))
    except OSError:  # the job's copies are gone
        return text
