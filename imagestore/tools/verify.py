"""Read every file of a store and compare the checksums."""

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

from imagestore.console import FAILED, UserError, note, printable, progress
from imagestore.hdf5.superblock import end_of_file_address
from imagestore.store.index import StoreIndex
from imagestore.store.open import expand_paths
from imagestore.store.trailer import read_trailer
from imagestore.vfs.node import Node
from imagestore.vfs.open import open_tree
from imagestore.vfs.tree import Tree


@dataclass
class Verdict:
    """What was found in one store."""

    store: Path
    right: int = 0
    unchecked: int = 0
    bad: list[bytes] = field(default_factory=list)

    def add_bad(self, path: bytes, why: object) -> None:
        """Count and name something bad."""
        self.bad.append(path)
        note(f"h5vfs: {self.store}: {printable(path.strip(b'/')) or '/'}: {why}")

    def line(self) -> str:
        """The summary."""
        parts = [f"{self.right + self.unchecked + len(self.bad):,} files", f"{self.right:,} checksums right"]
        if self.unchecked:
            parts.append(f"{self.unchecked:,} readable, without a checksum")
        if self.bad:
            parts.append(f"{len(self.bad):,} bad")
        return f"{self.store}: {', '.join(parts)}"


def verify(paths: Sequence[str | Path]) -> int:
    """Read every file of every store and compare what checksums there are; returns the exit status.

    Prints a line for each store, names each bad file. Raises UserError where a glob matches nothing.
    """
    status = 0
    for path in expand_paths(paths):
        try:
            verdict = verify_store(path)
        except UserError as error:
            note(f"h5vfs: error: {error}")
            status = FAILED
            continue
        print(verdict.line(), flush=True)
        status = FAILED if verdict.bad else status
    return status


def verify_store(path: Path) -> Verdict:
    """Read all files of a store in the order in which they are on the disk. Raises UserError."""
    verdict = Verdict(path)
    with open_tree([path], use_index=False) as tree, _index_of(path) as index:
        files = sorted(_files(tree, verdict), key=lambda file: tree.place(file[1]))
        seen = set()
        with progress(len(files), f"verify {path.name}", "files") as bar:
            for shown, node in files:
                position = _position(index, tree, node)
                if position >= 0:
                    seen.add(position)
                _verify_file(tree, node, shown, index, position, verdict)
                bar.update()
        if index is not None:
            _verify_index(index, seen, verdict)
    return verdict


@contextlib.contextmanager
def _index_of(path: Path) -> Iterator[StoreIndex | None]:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield read_trailer(fd, end_of_file_address(fd))
    finally:
        os.close(fd)


def _files(tree: Tree, verdict: Verdict) -> Iterator[tuple[bytes, Node]]:
    """Every file once, by one of its names; folders that cannot be read are bad."""
    waiting, seen = [(b"", tree.root)], set()
    while waiting:
        path, folder = waiting.pop()
        try:
            children = tree.children(folder)
        except OSError as error:
            verdict.add_bad(path, error.strerror)
            continue
        for name, node in children:
            if node.is_folder:
                waiting.append((path + b"/" + name, node))
            elif node.is_file and node.ino not in seen:
                yield path + b"/" + name, node
            if node.nlink > 1:
                seen.add(node.ino)


def _position(index: StoreIndex | None, tree: Tree, node: Node) -> int:
    if index is None:
        return -1
    label, _, name = tree.link_name(node).partition(b"/")
    return index.find(label, name)


def _verify_index(index: StoreIndex, seen: set[int], verdict: Verdict) -> None:
    for position in range(len(index)):
        if position not in seen:
            image = index.record(position)
            verdict.add_bad(
                image.label + b"/" + image.name, "is in the store's index, but HDF5 does not find it"
            )


def _verify_file(
    tree: Tree, node: Node, shown: bytes, index: StoreIndex | None, position: int, verdict: Verdict
) -> None:
    try:
        if index is None or position < 0:
            digests = _checksums_in_attributes(tree, node)
        elif tree.place(node) == index.offset[position]:
            digests = _checksum_in_index(index, position)
        else:
            raise OSError(0, "the store's index and HDF5 give different places for it")
        for piece in tree.pieces(node):
            for digest, _ in digests:
                digest.update(piece)
    except OSError as error:
        verdict.add_bad(shown, error.strerror)
        return
    if any(digest.hexdigest() != expected for digest, expected in digests):
        verdict.add_bad(shown, "not the bytes that were stored: the checksum differs")
    elif digests:
        verdict.right += 1
    else:
        verdict.unchecked += 1


class Digest(Protocol):
    """What hashlib's digests can do, as far as it is needed here."""

    def update(self, data: bytes, /) -> None:
        """Add data."""

    def hexdigest(self) -> str:
        """The digest of all data as hexadecimal digits."""


@dataclass
class Crc32:
    """CRC-32 as one of hashlib's digests."""

    value: int = 0

    def update(self, data: bytes) -> None:
        """Add data."""
        self.value = crc32(data, self.value)

    def hexdigest(self) -> str:
        """The checksum as eight hexadecimal digits."""
        return f"{self.value:08x}"


def _checksum_in_index(index: StoreIndex, position: int) -> list[tuple[Digest, str]]:
    return [(Crc32(), f"{int(index.crc32[position]):08x}")] if index.has_crc[position] else []


def _checksums_in_attributes(tree: Tree, node: Node) -> list[tuple[Digest, str]]:
    """The checksums kept as attributes: `crc32` by the tools here, `MD5Hash` by the C++ H5VFS."""
    if node.suffix:
        return []
    kept, checks = tree.attributes(node), list[tuple[Digest, str]]()
    with contextlib.suppress(KeyError, ValueError, TypeError):
        checks.append((Crc32(), f"{int(json.loads(kept['crc32'])):08x}"))
    with contextlib.suppress(KeyError, UnicodeDecodeError):
        checks.append((hashlib.md5(usedforsecurity=False), kept["MD5Hash"].decode("ascii").lower()))
    return checks
