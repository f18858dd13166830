"""Read each file of a store, and compare its checksum.

The list of files comes from HDF5, and the store's index is compared with it. HDF5 runs in a helper process,
since it may crash on a damaged file.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from isal.isal_zlib import crc32

from imagestore.console import FAILED, UserError, counted, note, printable
from imagestore.hdf5.superblock import end_of_file_address
from imagestore.progress import progress
from imagestore.run_summary import RunSummary
from imagestore.store.expand_paths import expand_paths
from imagestore.store.index import StoreIndex
from imagestore.store.trailer import read_trailer
from imagestore.vfs.node import Node
from imagestore.vfs.open_tree import open_tree
from imagestore.vfs.shown_names import is_elsewhere, is_not_shown, what_link_says
from imagestore.vfs.tree import Tree


def verify(
    stores: Sequence[str | Path], follow_external: bool = False, summary: RunSummary | None = None
) -> int:
    """Verify each store, print a line for each, and name each bad file; return the exit status.

    Raises UserError if a glob matches nothing.
    """
    status, summary = 0, summary or RunSummary()
    summary.images, summary.what, summary.counts = 0, ("file",), {"bad": 0}
    for path in expand_paths(stores):
        try:
            verdict = verify_store(path, follow_external)
        except UserError as error:
            note(f"h5vfs: error: {error}")
            status = FAILED
            continue
        print(verdict.summary(), flush=True)
        summary.images += verdict.files()
        summary.counts["bad"] += len(verdict.bad)
        status = FAILED if verdict.bad else status
    return status


@dataclass
class Verdict:
    """The result for one store: how many files are right, how many have no checksum, and which are bad."""

    store: Path
    follow_external: bool = False
    right: int = 0
    unchecked: int = 0
    bad: list[bytes] = field(default_factory=list)  # paths
    not_shown: int = 0
    elsewhere: int = 0

    def add_bad(self, path: bytes, reason: object) -> None:
        """Record a bad file or folder, and name it."""
        self.bad.append(path)
        self.remark(path, reason)

    def add_link(self, path: bytes, target: bytes) -> None:
        """Count a link for what cannot be shown or is in another file; name it if that is a surprise."""
        self.not_shown += is_not_shown(target)
        self.elsewhere += is_elsewhere(target)
        if is_not_shown(target):
            self.remark(path, what_link_says(target))
        elif is_elsewhere(target) and self.follow_external:
            self.remark(path, f"{what_link_says(target)} (not there)")

    def remark(self, path: bytes, text: object) -> None:
        """Write a line about a file or folder."""
        note(f"h5vfs: {self.store}: {printable(path.strip(b'/')) or '/'}: {text}")

    def files(self) -> int:
        """All files, good and bad."""
        return self.right + self.unchecked + len(self.bad)

    def summary(self) -> str:
        """The line for standard output."""
        parts = [counted(self.files(), "file"), f"{counted(self.right, 'checksum')} right"]
        if self.unchecked:
            parts.append(f"{self.unchecked:,} readable, without a checksum")
        if self.elsewhere:
            where = "that are not there" if self.follow_external else "(see --follow-external)"
            parts.append(f"{self.elsewhere:,} in other files {where}")
        if self.not_shown:
            parts.append(f"{self.not_shown:,} cannot be shown")
        if self.bad:
            parts.append(f"{len(self.bad):,} bad")
        return f"{self.store}: {', '.join(parts)}"


def verify_store(path: Path, follow_external: bool = False) -> Verdict:
    """Read all files of a store, in the order in which their bytes are on the disk. Raises UserError."""
    with (
        open_tree([path], use_index=False, follow_external=follow_external) as tree,
        _open_index(path) as index,
    ):
        verifier = _StoreVerifier(tree, index, Verdict(path, follow_external))
        files = sorted(verifier.find_files(), key=lambda file: tree.data_offset(file.node))
        with progress(len(files), f"verify {path.name}", "files") as bar:
            for file in files:
                verifier.verify_file(file)
                bar.update()
        verifier.verify_index()
        return verifier.verdict


@contextlib.contextmanager
def _open_index(path: Path) -> Iterator[StoreIndex | None]:
    """The index in a store file; None if the file has no index, or was changed after that was written."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield read_trailer(fd, end_of_file_address(fd))
    finally:
        os.close(fd)


@dataclass(frozen=True)
class _File:
    """A file of the tree, with one of its paths."""

    path: bytes
    node: Node


class _StoreVerifier:
    """Compares the files of one store with its checksums and its index."""

    def __init__(self, tree: Tree, index: StoreIndex | None, verdict: Verdict) -> None:
        self.verdict = verdict
        self._tree, self._index = tree, index
        self._found_positions: set[int] = set()  # of the index entries whose files HDF5 found

    def find_files(self) -> Iterator[_File]:
        """Each file once, even if it has several hard links; folders that cannot be read are bad."""
        waiting, seen = [_File(b"", self._tree.root)], set()
        while waiting:
            folder = waiting.pop()
            try:
                children = self._tree.children(folder.node)
            except OSError as error:
                self.verdict.add_bad(folder.path, error.strerror)
                continue
            for name, node in children:
                child = _File(folder.path + b"/" + name, node)
                if node.is_folder:
                    waiting.append(child)
                elif node.is_symlink:
                    self.verdict.add_link(child.path, self._tree.target(node, child.path))
                elif node.ino not in seen:
                    yield child
                if node.nlink > 1:
                    seen.add(node.ino)

    def verify_file(self, file: _File) -> None:
        """Read a file and compare its checksums."""
        position = self._index_position(file.node)
        try:
            checksums = self._checksums(file.node, position)
            for piece in self._tree.pieces(file.node):
                for checksum in checksums:
                    checksum.digest.update(piece)
            self._remark_missing_sources(file)
        except OSError as error:
            self.verdict.add_bad(file.path, error.strerror)
            return
        if not all(checksum.is_right() for checksum in checksums):
            self.verdict.add_bad(file.path, "its checksum differs: these are not the bytes that were stored")
        elif checksums:
            self.verdict.right += 1
        else:
            self.verdict.unchecked += 1

    def _remark_missing_sources(self, file: _File) -> None:
        """Name the sources of a virtual dataset that are missing: its values there are made up."""
        if self._tree.data_offset(file.node) < 0:
            for source in self._tree.missing_sources(file.node):
                self.verdict.remark(file.path, f"its source {source} is missing; fill values stand for it")

    def verify_index(self) -> None:
        """Add the images of the index that HDF5 did not find to the bad files; call it after all files."""
        if self._index is None:
            return
        for position in range(len(self._index)):
            if position not in self._found_positions:
                image = self._index.record(position)
                path = image.label + b"/" + image.name
                self.verdict.add_bad(path, "is in the store's index, but HDF5 does not find it")

    def _index_position(self, node: Node) -> int:
        """The position of a file in the index; -1 if it has none."""
        if self._index is None:
            return -1
        label, _, name = self._tree.hdf5_path(node).partition(b"/")
        position = self._index.find(label, name)
        if position >= 0:
            self._found_positions.add(position)
        return position

    def _checksums(self, node: Node, position: int) -> list[_Checksum]:
        """The stored checksums of a file. Raises OSError if the index is wrong about the file."""
        if self._index is None or position < 0:
            return _checksums_in_attributes(self._tree, node)
        if self._tree.data_offset(node) != self._index.offset[position]:
            raise OSError(0, "the store's index and HDF5 give different places for it")
        return _checksum_in_index(self._index, position)


class _Digest(Protocol):
    """The methods of hashlib's digests that are used here."""

    def update(self, data: bytes, /) -> None:
        """Add data."""

    def hexdigest(self) -> str:
        """The digest of all data, in hexadecimal digits."""


@dataclass
class _Crc32:
    """CRC-32 in the form of hashlib's digests."""

    value: int = 0

    def update(self, data: bytes) -> None:
        """Add data."""
        self.value = crc32(data, self.value)

    def hexdigest(self) -> str:
        """The checksum, in eight hexadecimal digits."""
        return f"{self.value:08x}"


@dataclass(frozen=True)
class _Checksum:
    """A stored checksum in hexadecimal digits, and the digest of the bytes that were read so far."""

    stored: str
    digest: _Digest

    def is_right(self) -> bool:
        """Whether the bytes that were read have the stored checksum."""
        return self.digest.hexdigest() == self.stored


def _checksum_in_index(index: StoreIndex, position: int) -> list[_Checksum]:
    return [_Checksum(f"{int(index.crc32[position]):08x}", _Crc32())] if index.has_crc[position] else []


def _checksums_in_attributes(tree: Tree, node: Node) -> list[_Checksum]:
    """The attributes `crc32`, written by this suite, and `MD5Hash`, written by the C++ H5VFS."""
    if node.is_generated:  # the checksums are not those of a NumPy file
        return []
    attributes, checksums = tree.attributes(node), list[_Checksum]()
    with contextlib.suppress(KeyError, ValueError, TypeError):
        checksums.append(_Checksum(f"{int(json.loads(attributes['crc32'])):08x}", _Crc32()))
    with contextlib.suppress(KeyError, UnicodeDecodeError):
        md5 = attributes["MD5Hash"].decode("ascii").lower()
        checksums.append(_Checksum(md5, hashlib.md5(usedforsecurity=False)))
    return checksums
