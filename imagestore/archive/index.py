"""What the first pass over an archive leaves for the next: its image members, and where their bytes are.

An index is one file of columns. It names its archive by size, modification time and a digest of parts of
its bytes. An index that is stale, cut short, altered, or of another archive is not believed, and a new one
is made. A million members load in a few hundredths of a second.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from imagestore import files
from imagestore.archive.members import COLUMNS, Members
from imagestore.columns import DamagedColumn, StoredColumns, read_columns, write_columns

MAGIC = b"imgarchive-index"
BEGINNING = MAGIC[:8]  # the file begins with it, as the files of earlier versions do
VERSION = 2


@dataclass
class ArchiveIndex:
    """All that a later run needs: the members, how many files were passed over and why, seek points."""

    members: Members
    skipped: dict[str, int]
    points: bytes


def save(path: Path, index: ArchiveIndex, archive: dict[str, int | str]) -> None:
    """Write the index of the archive with the fingerprint `archive`, whole or not at all.

    Raises OSError, UserError.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    facts = {"version": VERSION, "archive": archive, "skipped": index.skipped}
    columns = {
        "names": np.frombuffer(index.members.names, np.uint8),
        **{key: np.array(column) for key, column in index.members.columns.items()},
        "points": np.frombuffer(index.points, np.uint8),
    }
    with files.whole(path) as temporary, temporary.open("wb") as file:
        file.write(BEGINNING)
        file.flush()
        write_columns(file.fileno(), len(BEGINNING), MAGIC, facts, columns.items())


def load(path: Path, archive: dict[str, int | str]) -> ArchiveIndex | None:
    """The index at `path`, or None where it is not a whole, unaltered index of this very archive."""
    if not path.is_file():  # a pipe would wait for a writer
        return None
    try:
        with path.open("rb") as file:
            if file.read(len(BEGINNING)) != BEGINNING:
                return None
            stored = read_columns(file.fileno(), len(BEGINNING), MAGIC)
            if stored is None or (stored.facts["version"], stored.facts["archive"]) != (VERSION, archive):
                return None
            columns = {key: _array(code, stored, key) for key, code in COLUMNS.items()}
            members = Members(stored.load("names").tobytes(), columns)
            return ArchiveIndex(members, stored.facts["skipped"], stored.load("points").tobytes())
    except (OSError, DamagedColumn):
        return None


def _array(code: str, stored: StoredColumns, key: str) -> array:
    column = array(code)
    column.frombytes(stored.load(key).astype(code).tobytes())
    return column


def may_be_replaced(path: Path) -> bool:
    """Whether an index may be put at `path`: nothing is there, or an index, whole or cut short."""
    if path.exists() and not path.is_file():  # such as /dev/null
        return False
    try:
        with path.open("rb") as file:
            return BEGINNING.startswith(file.read(len(BEGINNING)))
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
