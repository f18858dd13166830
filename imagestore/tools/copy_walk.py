"""The walk that pack and unpack share: which entries are copied, and in which order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from imagestore.tools.copy_report import CopyReport
from imagestore.tools.globs import Choice, Globs

Entry = TypeVar("Entry", bound="CopyEntry")


class CopyEntry(Protocol):
    """A folder, file or link that can be copied."""

    @property
    def path(self) -> bytes:
        """The path below the top folder; empty for the top folder itself."""

    @property
    def reported_path(self) -> bytes:
        """The path that messages name; never empty."""

    @property
    def is_folder(self) -> bool:
        """Whether this entry has children. Raises OSError."""

    def children(self: Entry) -> Iterable[Entry]:
        """The entries in this folder, in a fixed order. Raises OSError, at the call and not later."""


@dataclass(frozen=True)
class _Candidate(Generic[Entry]):
    """An entry that --exclude does not match."""

    entry: Entry
    is_folder: bool
    is_copied: bool


def walk(top: Entry, globs: Globs, report: CopyReport) -> Iterator[Entry]:
    """Yield the entries that the globs choose, each folder before its contents, the top folder first.

    The files and links of a folder come before its subfolders. With --include, a folder is yielded if a glob
    matches its own path or the path of a folder above it. Entries that cannot be read are reported.
    """
    waiting = [_Candidate(top, is_folder=True, is_copied=not globs.include)]
    while waiting:
        folder = waiting.pop()
        if folder.is_copied:
            yield folder.entry
        subfolders = []
        for candidate in _candidates(folder, globs, report):
            if candidate.is_folder:
                subfolders.append(candidate)
            elif candidate.is_copied:
                yield candidate.entry
        waiting += reversed(subfolders)


def _candidates(folder: _Candidate[Entry], globs: Globs, report: CopyReport) -> Iterator[_Candidate[Entry]]:
    try:
        children = folder.entry.children()
    except OSError as error:
        report.add_failure(folder.entry.reported_path, error.strerror)
        return
    for entry in children:
        choice = globs.choose(entry.path, folder_is_copied=folder.is_copied)
        if choice is Choice.EXCLUDED:
            continue
        try:
            is_folder = entry.is_folder
        except OSError as error:
            report.add_failure(entry.reported_path, error.strerror)
            continue
        yield _Candidate(entry, is_folder, is_copied=choice is Choice.COPIED)
