"""Pack a folder into one HDF5 file (see packed_file.py for its layout); unpack.py goes the other way."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from imagestore.console import UserError, note
from imagestore.files.atomic_write import write_whole
from imagestore.progress import Progress, progress
from imagestore.run_summary import RunSummary
from imagestore.tools.copy_report import (
    CIRCLES,
    FILES,
    LINKS,
    OUTSIDE_LINKS,
    SPECIAL_FILES,
    CopyReport,
    NotCopied,
)
from imagestore.tools.copy_walk import walk
from imagestore.tools.globs import Globs
from imagestore.tools.link_targets import target_from_top
from imagestore.tools.packed_file import PackedFile

Identity = tuple[int, int]  # (device, inode): equal for two paths of one file


def pack(
    folder: Path,
    output: Path,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    dereference: bool = False,
    summary: RunSummary | None = None,
) -> int:
    """Write the contents of `folder` to the new HDF5 file `output`; return the exit status.

    Special files are skipped and counted. So are links that lead out of the folder; with `dereference`, the
    files and folders that they lead to are packed in their place. Files that cannot be read are named, and
    make the exit status 1. Raises UserError, or OSError if the output cannot be written.
    """
    top = _top_entry(folder, dereference)
    report = CopyReport(summary=summary or RunSummary())
    with (
        write_whole(output) as temporary,
        progress(None, "pack", "files") as bar,
        PackedFile(temporary, top.top_folder, top.state) as packed,
    ):
        outputs = {_identity(os.stat(path)) for path in (output, temporary) if path.exists()}
        packer = Packer(packed, report, bar)
        for entry in walk(top, Globs(include, exclude), report):
            if entry.path and _identity(entry.state) not in outputs:
                packer.copy(entry)
    status = report.summarise("packed", output)
    if report.skipped[OUTSIDE_LINKS] and not dereference:
        note("h5vfs: to pack what those links lead to, add --dereference")
    return status


def _top_entry(folder: Path, dereference: bool) -> DiskEntry:
    """The entry of the folder to pack. Raises UserError if it cannot be read."""
    if not folder.exists():
        raise UserError(f"{folder}: no such folder")
    if not folder.is_dir():
        raise UserError(f"{folder}: is no folder; give the folder to pack, then the file to write")
    if not os.access(folder, os.R_OK | os.X_OK):
        raise UserError(f"{folder}: no permission to read it")
    return DiskEntry(os.fsencode(folder.resolve()), b"", dereference)


def _identity(state: os.stat_result) -> Identity:
    return state.st_dev, state.st_ino


@dataclass(frozen=True)
class DiskEntry:
    """A folder, file or link on the disk; see copy_walk.CopyEntry."""

    top_folder: bytes
    path: bytes  # relative to `top_folder`
    dereference: bool = False  # take the target of a link out of the top folder in the link's place
    above: tuple[Identity, ...] = ()  # the folders above

    @property
    def reported_path(self) -> bytes:
        """The path that messages name."""
        return self.path or self.top_folder

    @property
    def disk_path(self) -> bytes:
        """The path to open."""
        return os.path.join(self.top_folder, self.path)

    @cached_property
    def state(self) -> os.stat_result:
        """The state of the entry; of a link that is not kept, that of its target. Raises OSError."""
        return os.stat(self.disk_path) if self.is_target else os.lstat(self.disk_path)

    @cached_property
    def is_target(self) -> bool:
        """Whether the target of this link out of the top folder is taken in its place. Raises OSError."""
        if not self.dereference or not os.path.islink(self.disk_path):
            return False
        return os.path.exists(self.disk_path) and self.link_target() is None

    def link_target(self) -> bytes | None:
        """The target of this link as a path from the top folder; None if it is outside. Raises OSError."""
        return target_from_top(self.top_folder, os.path.dirname(self.path), os.readlink(self.disk_path))

    @property
    def is_folder(self) -> bool:
        """Whether this entry has children. Raises OSError."""
        return stat.S_ISDIR(self.state.st_mode) and not self.is_circle

    @property
    def is_circle(self) -> bool:
        """Whether this is a link to a folder that holds it. Raises OSError."""
        return self.is_target and _identity(self.state) in self.above

    def children(self) -> Iterator[DiskEntry]:
        """The entries in this folder, sorted by name. Raises OSError."""
        names = sorted(os.listdir(self.disk_path))
        above = (*self.above, _identity(self.state))
        paths = (os.path.join(self.path, name) for name in names)
        return (DiskEntry(self.top_folder, path, self.dereference, above) for path in paths)


class Packer:
    """Copies entries of a folder into an HDF5 file."""

    def __init__(self, packed: PackedFile, report: CopyReport, bar: Progress) -> None:
        self._packed, self._report, self._bar = packed, report, bar
        self._first_paths: dict[Identity, bytes] = {}  # of files that may come again: by hard links or links

    def copy(self, entry: DiskEntry) -> None:
        """Copy one folder, file or link. Raises OSError if the output cannot be written."""
        mode = entry.state.st_mode
        try:
            if entry.is_circle:
                self._report.skipped[CIRCLES] += 1
            elif stat.S_ISDIR(mode):
                self._packed.add_folder(entry.path)
            elif stat.S_ISREG(mode):
                self._copy_file(entry)
            elif stat.S_ISLNK(mode):
                self._copy_symlink(entry)
            else:
                self._report.skipped[SPECIAL_FILES] += 1
        except NotCopied as error:
            self._report.add_failure(entry.path, error)

    def _copy_file(self, entry: DiskEntry) -> None:
        identity = _identity(entry.state)
        first_path = self._first_paths.get(identity)
        if first_path is not None:
            self._packed.add_hard_link(entry.path, first_path)
        else:
            source = _open_regular_file(entry)
            try:
                self._packed.add_file(entry.path, source)
            finally:
                os.close(source)
            if entry.state.st_nlink > 1 or entry.is_target:
                self._first_paths[identity] = entry.path
        self._report.done[FILES] += 1
        self._bar.update()

    def _copy_symlink(self, entry: DiskEntry) -> None:
        try:
            target = entry.link_target()
        except OSError as error:
            raise NotCopied(error.strerror) from error
        if target is None:
            self._report.skipped[OUTSIDE_LINKS] += 1
            return
        self._packed.add_symlink(entry.path, target)
        self._report.done[LINKS] += 1


def _open_regular_file(entry: DiskEntry) -> int:
    """Open a file for reading. Raises NotCopied if it is no regular file by now, or cannot be read."""
    try:
        # Without O_NONBLOCK, a pipe that took the file's place would block.
        follow = 0 if entry.is_target else os.O_NOFOLLOW
        source = os.open(entry.disk_path, os.O_RDONLY | follow | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise NotCopied(error.strerror) from error
    if not stat.S_ISREG(os.fstat(source).st_mode):
        os.close(source)
        raise NotCopied("is no regular file any more")
    return source
