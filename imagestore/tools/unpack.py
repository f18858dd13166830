"""Unpack stores into plain files, with the names and permissions that `pack` stored.

A file that already has the right size and time is left as it is. So the command, run again after an
interruption, continues where it stopped.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from imagestore.console import note, printable
from imagestore.progress import progress
from imagestore.run_summary import RunSummary
from imagestore.tools.copy_report import (
    FILES,
    HARD_LINKS,
    LINKS,
    NOT_SHOWN,
    UNCHANGED_FILES,
    CopyReport,
    NotCopied,
)
from imagestore.tools.copy_walk import walk
from imagestore.tools.disk_names import disk_name, original_name
from imagestore.tools.folder_writer import DISK_ERRORS, FolderWriter, Metadata
from imagestore.tools.globs import Globs
from imagestore.tools.link_targets import may_lead_outside
from imagestore.vfs.node import Node
from imagestore.vfs.open_tree import open_tree
from imagestore.vfs.shown_names import is_not_shown, what_link_says
from imagestore.vfs.tree import Tree


def unpack(
    stores: Sequence[str | Path],
    folder: Path,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    follow_external: bool = False,
    summary: RunSummary | None = None,
) -> int:
    """Copy the contents of stores into `folder`, which is made if it is missing; return the exit status.

    With `follow_external`, what is in other files is copied too; otherwise it becomes a link that leads
    nowhere. Damaged files are named, and make the exit status 1; all other files are unpacked. Raises
    UserError, or OSError if the disk is full or fails.
    """
    report = CopyReport(summary=summary or RunSummary())
    with open_tree(stores, follow_external=follow_external) as tree, FolderWriter(folder) as writer:
        unpacker = Unpacker(tree, writer, report)
        with progress(tree.usage().images or None, "unpack", "files") as bar:
            for entry in walk(TreeEntry(tree, tree.root, b"", b"/"), Globs(include, exclude), report):
                unpacker.copy(entry)
                bar.update(entry.node.is_file)
        writer.finish_folders(report)
    return report.summarise("unpacked", folder)


@dataclass(frozen=True)
class TreeEntry:
    """A folder, file or link of stores; see copy_walk.CopyEntry."""

    tree: Tree
    node: Node
    path: bytes  # on the disk, below the folder that is written to
    tree_path: bytes  # in the tree

    @property
    def reported_path(self) -> bytes:
        """The path that messages name."""
        return self.path or b"/"

    @property
    def is_folder(self) -> bool:
        """Whether this entry has children."""
        return self.node.is_folder

    def children(self) -> Iterator[TreeEntry]:
        """The entries in this folder, in the order of the tree. Raises OSError."""
        children = self.tree.children(self.node)
        return (self._child(shown_name, node) for shown_name, node in children)

    def _child(self, shown_name: bytes, node: Node) -> TreeEntry:
        path = os.path.join(self.path, disk_name(self.tree, self.node, shown_name))
        return TreeEntry(self.tree, node, path, os.path.join(self.tree_path, shown_name))


class Unpacker:
    """Copies entries of stores into a folder."""

    def __init__(self, tree: Tree, writer: FolderWriter, report: CopyReport) -> None:
        self._tree, self._writer, self._report = tree, writer, report
        self._first_paths: dict[int, bytes] = {}  # of files that have several hard links, by inode number

    def copy(self, entry: TreeEntry) -> None:
        """Copy one folder, file or link. Raises OSError if no further file can be written."""
        try:
            if entry.node.is_folder:
                self._writer.make_folder(entry.path, self._metadata(entry.node))
            elif entry.node.is_symlink:
                self._copy_symlink(entry)
            else:
                self._copy_file(entry)
        except NotCopied as error:
            self._report.add_failure(entry.reported_path, error)
        except OSError as error:
            if error.errno in DISK_ERRORS:
                raise OSError(error.errno, error.strerror, str(self._writer.folder)) from error
            self._report.add_failure(entry.reported_path, error.strerror)

    def _metadata(self, node: Node) -> Metadata:
        return Metadata(node.mtime_ns, self._tree.permissions(node))

    def _copy_file(self, entry: TreeEntry) -> None:
        node, path = entry.node, entry.path
        first_path = self._first_paths.get(node.ino)
        if not node.is_damaged and self._writer.has_file(path, size=node.size, mtime_ns=node.mtime_ns):
            self._report.done[UNCHANGED_FILES] += 1
        elif first_path is not None and self._writer.add_hard_link(path, first_path):
            self._report.done[HARD_LINKS] += 1
        else:
            self._writer.write_file(path, self._pieces(node), self._metadata(node))
            self._report.done[FILES] += 1
        if node.nlink > 1:
            self._first_paths.setdefault(node.ino, path)

    def _pieces(self, node: Node) -> Iterator[bytes]:
        """The bytes of a file in pieces. Raises NotCopied if they cannot be read."""
        try:
            yield from self._tree.pieces(node)
        except OSError as error:
            raise NotCopied(f"cannot be read from the store ({error.strerror})") from error

    def _copy_symlink(self, entry: TreeEntry) -> None:
        target = self._tree.target(entry.node, entry.tree_path)
        if is_not_shown(target):
            note(f"h5vfs: {printable(entry.reported_path)}: {what_link_says(target)}")
            self._report.skipped[NOT_SHOWN] += 1
            return
        text = b"/".join(original_name(part) for part in target.split(b"/"))
        if may_lead_outside(text, depth=entry.path.count(b"/")):
            raise NotCopied("a link that leads out of the folder")
        self._writer.add_symlink(entry.path, text)
        self._report.done[LINKS] += 1
