"""Looking into a store without mounting it: list a folder, write out a file, verify everything.

Used by h5vfs.py. Paths are those that a mount shows; links within the store are followed. Verifying asks
HDF5 for everything, whatever an index says, in a process that may crash (see hdf5).
"""

from __future__ import annotations

import contextlib
import difflib
import hashlib
import json
import os
import stat
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Protocol

from imagestore import names
from imagestore.console import FAILED, UserError, note, progress
from imagestore.copying import printable
from imagestore.index import Index, crc32, end_of_file_address, read_trailer
from imagestore.store import expand_paths
from imagestore.tree import Node, Tree, open_tree

MOST_LINKS = 40  # as Linux's; more is a circle
MOST_COMPARED = 20_000  # names looked through for one that is like the name asked for


def list_files(paths: Sequence[str | Path], path: str = "/", long: bool = False) -> int:
    """Print the names in a folder of a store, or of a file itself; returns the exit status.

    `long` adds mode, size and time of each, as `ls -lh` does. Raises UserError where there is no such path.
    """
    with open_tree(paths) as tree:
        found, node = follow(tree, os.fsencode(path))
        listed = tree.children(node) if node.is_folder else iter([(found.strip(b"/"), node)])
        for name, child in listed:
            line = name
            if long and child.is_symlink:
                line += b" -> " + tree.target(child, found.rstrip(b"/") + b"/" + name)
            shown = printable(line).encode() if sys.stdout.isatty() else line
            sys.stdout.buffer.write((_describe(child) if long else b"") + shown + b"\n")
        sys.stdout.buffer.flush()
    return 0


def _describe(node: Node) -> bytes:
    size = "-" if node.is_folder else readable_size(node.size)
    return f"{stat.filemode(node.mode)} {size:>6} {_readable_time(node.mtime_ns)} ".encode()


def readable_size(size: float) -> str:
    """A size as `ls -h` shows it: 999, 9.8K, 12M."""
    for unit in ("", "K", "M", "G", "T"):
        if size < 1000 or unit == "T":
            break
        size /= 1024
    return f"{size:.1f}{unit}" if unit and size < 10 else f"{size:.0f}{unit}"


def _readable_time(mtime_ns: int) -> str:
    try:
        return time.strftime("%Y-%m-%d %H:%M", time.localtime(mtime_ns // 10**9))
    except (OverflowError, ValueError, OSError):
        return "????-??-?? ??:??"


def cat(paths: Sequence[str | Path], path: str) -> int:
    """Write the bytes of a file to standard output; returns the exit status.

    Raises UserError where there is no such file, OSError where it is damaged.
    """
    with open_tree(paths) as tree:
        node = follow(tree, os.fsencode(path))[1]
        if node.is_folder:
            raise UserError(f"{path}: is a folder; list it with `h5vfs.py ls`")
        for piece in tree.pieces(node):
            sys.stdout.buffer.write(piece)
        sys.stdout.buffer.flush()
    return 0


def follow(tree: Tree, path: bytes) -> tuple[bytes, Node]:
    """What a path leads to, links followed, with its own path. Raises UserError where there is nothing."""
    waiting, at, links = deque(path.split(b"/")), b"", 0
    while waiting:
        name = waiting.popleft()
        if name == b"..":
            at = at.rpartition(b"/")[0]
        elif name not in (b"", b"."):
            shown, node = _child(tree, at, name, path)
            if not node.is_symlink:
                at = at + b"/" + shown
                continue
            links += 1
            if links > MOST_LINKS:
                raise UserError(f"{printable(path)}: a link that leads to itself")
            waiting.extendleft(reversed(tree.target(node, at + b"/" + shown).split(b"/")))
    return at or b"/", tree.find(at or b"/")


def _child(tree: Tree, folder: bytes, name: bytes, path: bytes) -> tuple[bytes, Node]:
    for shown in (name, names.escape(name)):  # as it is shown, else as it was before it was packed
        with contextlib.suppress(KeyError):
            return shown, tree.find(folder + b"/" + shown)
    node = tree.find(folder or b"/")
    where = tree.files[0] if len(tree.files) == 1 else f"{len(tree.files)} stores"
    hint = _similar(tree, node, name) if node.is_folder else f": {printable(folder[1:])} is no folder"
    raise UserError(f"{where}: no such file: {printable(path)}{hint}")


def _similar(tree: Tree, folder: Node, name: bytes) -> str:
    others = [printable(other) for other, _ in islice(tree.children(folder), MOST_COMPARED)]
    like = difflib.get_close_matches(printable(name), others)
    return f": did you mean {' or '.join(like)}?" if like else ""


# ----- verify -----


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
def _index_of(path: Path) -> Iterator[Index | None]:
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


def _position(index: Index | None, tree: Tree, node: Node) -> int:
    if index is None:
        return -1
    label, _, name = tree.link_name(node).partition(b"/")
    return index.find(label, name)


def _verify_index(index: Index, seen: set[int], verdict: Verdict) -> None:
    for position in range(len(index)):
        if position not in seen:
            row = index.row(position)
            verdict.add_bad(row.label + b"/" + row.name, "is in the store's index, but HDF5 does not find it")


def _verify_file(
    tree: Tree, node: Node, shown: bytes, index: Index | None, position: int, verdict: Verdict
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


def _checksum_in_index(index: Index, position: int) -> list[tuple[Digest, str]]:
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
