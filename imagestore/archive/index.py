"""The index of an archive: its image members and where their bytes are, for later runs.

The first pass over an archive makes its index, which is one file of columns. The index names its archive by
size, modification time and a digest of parts of its bytes. An index that is stale, cut short, altered, or of
another archive is not used, and a new one is made. A million members load in a few hundredths of a second.
"""

from __future__ import annotations

import contextlib
import json
from array import array
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from imagestore import cache_folder
from imagestore.archive.members import COLUMNS, Members, SourceLabels
from imagestore.archive.passed_over import PassedOver
from imagestore.console import UserError, describe, note
from imagestore.files.atomic_write import write_whole
from imagestore.files.checksummed_columns import StoredColumns, read_columns, write_columns

MAGIC = b"imgarchive-index"
IGNORING_ZEROS, LABELLED = "ignore-zeros-", "labelled-"  # how names in the cache folder begin
BEGINNING = MAGIC[:8]  # the file begins with it, as the files of earlier versions do
VERSION = 4
LABEL_RULES = 3  # raised if an archive may get other labels than by an earlier version


@dataclass
class ArchiveIndex:
    """What a pass over an archive has found out."""

    members: Members
    skipped: PassedOver
    points: bytes  # seek points of the decompressor
    remarks: list[str] = field(default_factory=list)  # what the user should know, to follow the path


class IndexFile:
    """The file that keeps an archive's index. The user names it, or it is in the cache folder."""

    def __init__(
        self,
        archive: Path,
        fingerprint: dict[str, int | str],
        path: Path | None,
        *,
        ignore_zeros: bool = False,
        labels: SourceLabels | None = None,
    ) -> None:
        """`fingerprint` is the archive's (see cache_folder), `path` the file that the user names, if any.

        With `ignore_zeros`, the archive may have other members: its index is another one. So is an index
        with `labels`, which takes longer to make.
        """
        default = cache_folder.path_for(archive)
        kind = (IGNORING_ZEROS if ignore_zeros else "") + (LABELLED if labels else "")
        self._archive = archive
        self._fingerprint = dict(fingerprint)
        if ignore_zeros:
            self._fingerprint["ignore_zeros"] = 1
        if labels:
            self._fingerprint |= {"labels": labels.key or "", "label_rules": LABEL_RULES}
        self._named_by_user = path is not None
        self._path = path or default.with_name(kind + default.name)

    def load(self) -> ArchiveIndex | None:
        """Return the index, or None if the file holds no valid index of the archive."""
        return load_index(self._path, self._fingerprint)

    def save(self, index: ArchiveIndex) -> None:
        """Write the index. If it cannot be written to the file that the user named, print a note."""
        if self._named_by_user and not may_be_replaced(self._path):
            note(f"{self._path} is no index and is left alone: name another file for the index")
            return
        try:
            save_index(self._path, index, self._fingerprint)
        except (OSError, UserError) as error:
            if self._named_by_user:
                reason = describe(error) if isinstance(error, OSError) else error
                note(f"the index of {self._archive} could not be kept: {reason}")

    def remove(self) -> None:
        """Remove the file if it is an index and can be removed."""
        if may_be_replaced(self._path):
            with contextlib.suppress(OSError):
                self._path.unlink(missing_ok=True)


def save_index(path: Path, index: ArchiveIndex, fingerprint: dict[str, int | str]) -> None:
    """Write an index, whole or not at all; the archive has this fingerprint. Raises OSError, UserError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    facts = {
        "version": VERSION,
        "archive": fingerprint,
        "skipped": index.skipped,
        "first_skipped": index.skipped.first,
        "remarks": index.remarks,
    }
    columns = {
        "names": np.frombuffer(index.members.names, np.uint8),
        **{key: np.array(column) for key, column in index.members.columns.items()},
        "label_names": np.frombuffer(json.dumps(index.members.label_names).encode(), np.uint8),
        "points": np.frombuffer(index.points, np.uint8),
    }
    # To sync it would wait for the images that were written meanwhile.
    with write_whole(path, synced=False) as temporary, temporary.open("wb") as file:
        file.write(BEGINNING)
        file.flush()
        write_columns(file.fileno(), len(BEGINNING), MAGIC, facts, columns.items())


def load_index(path: Path, fingerprint: dict[str, int | str]) -> ArchiveIndex | None:
    """Return the index at `path`. If it is altered, cut, or not of this archive, return None."""
    if not path.is_file():  # a pipe would wait for a writer
        return None
    try:
        with path.open("rb") as file:
            if file.read(len(BEGINNING)) != BEGINNING:
                return None
            stored = read_columns(file.fileno(), len(BEGINNING), MAGIC)
            if stored is None or (stored.facts["version"], stored.facts["archive"]) != (VERSION, fingerprint):
                return None
            columns = {key: _load_array(code, stored, key) for key, code in COLUMNS.items()}
            labels = json.loads(stored.load("label_names").tobytes())
            members = Members(stored.load("names").tobytes(), columns, labels)
            points = stored.load("points").tobytes()
            skipped = PassedOver(stored.facts["skipped"], stored.facts["first_skipped"])
            return ArchiveIndex(members, skipped, points, stored.facts["remarks"])
    except (OSError, ValueError, KeyError, TypeError):  # not the facts and columns of an index
        return None


def _load_array(code: str, stored: StoredColumns, key: str) -> array:
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
