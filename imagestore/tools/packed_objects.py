"""The groups and datasets of a packed file, made by HDF5. Runs in the process of packing_process.py only.

See packed_file.py for the layout.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import h5py
from h5py import h5d, h5g, h5s, h5t

from imagestore.hdf5.datasets import FILE_FORMAT, contiguous_layout, write_integer_attribute
from imagestore.tools.packed_facts import Facts, facts_of

METADATA_BLOCK = 1 << 16  # bytes; HDF5 keeps its metadata in blocks of this size, not scattered between files


class PackedObjects:
    """The objects of one new HDF5 file. Paths are relative to the packed folder."""

    def __init__(self, path: Path, top: bytes, top_facts: Facts) -> None:
        """Create the file at `path` for the contents of the folder `top`. Raises OSError, RuntimeError."""
        self._top = top
        self._file = h5py.File(path, "w", libver="earliest", locking=False, meta_block_size=METADATA_BLOCK)
        self._layout, self._scalar = contiguous_layout(), h5s.create(h5s.SCALAR)
        self._space = h5s.create_simple((0,))  # of the dataset that is made
        self._group, self._group_path = self._file.id, b""  # of the last file
        self._file.attrs["H5VFS"] = FILE_FORMAT
        self._write_facts(self._file.id, top_facts)

    def add_folder(self, path: bytes) -> None:
        """Make the group of a folder, and the groups above it that are missing."""
        self._folder(path)

    def add_file(self, path: bytes, size: int, facts: Facts, checksum: int) -> int:
        """Make the dataset of a file; return where its bytes belong."""
        offset = self.begin_file(path, size)
        self._finish(self._dataset, facts, checksum)
        return offset

    def begin_file(self, path: bytes, size: int) -> int:
        """Make a dataset without attributes; return where its bytes belong."""
        group, name = self._group_and_name(path)
        self._space.set_extent_simple((size,))
        self._dataset = h5d.create(group, name, h5t.STD_U8LE, self._space, self._layout)
        return self._dataset.get_offset() or 0

    def finish_file(self, facts: Facts, checksum: int) -> None:
        """Write the attributes of the dataset that was begun last."""
        self._finish(self._dataset, facts, checksum)

    def drop_file(self, path: bytes) -> None:
        """Remove a dataset."""
        group, name = self._group_and_name(path)
        group.unlink(name)

    def add_hard_link(self, path: bytes, first_path: bytes) -> None:
        """Give the file at `first_path` a second path."""
        group, name = self._group_and_name(path)
        group.links.create_hard(name, self._file.id, first_path)

    def add_symlink(self, path: bytes, target: bytes) -> None:
        """Add a soft link to `target`, a path from the packed folder."""
        group, name = self._group_and_name(path)
        # Absolute, since HDF5 does not understand '..', and the C++ H5VFS expects absolute targets.
        group.links.create_soft(name, b"/" + target)

    def close(self) -> None:
        """Complete the file. Raises OSError, RuntimeError."""
        self._file.close()

    def _group_and_name(self, path: bytes) -> tuple[h5g.GroupID, bytes]:
        folder, _, name = path.rpartition(b"/")
        if folder != self._group_path:
            self._group, self._group_path = self._folder(folder), folder
        return self._group, name

    def _folder(self, path: bytes) -> h5g.GroupID:
        group, group_path = self._file.id, b""
        for name in filter(None, path.split(b"/")):
            group_path = os.path.join(group_path, name)
            if group.links.exists(name):
                group = h5g.open(group, name)
            else:
                group = h5g.create(group, name)
                with contextlib.suppress(FileNotFoundError):  # the folder was removed in the meantime
                    self._write_facts(group, facts_of(os.stat(os.path.join(self._top, group_path))))
        return group

    def _finish(self, dataset: h5d.DatasetID, facts: Facts, checksum: int) -> None:
        self._write_facts(dataset, facts)
        write_integer_attribute(dataset, b"crc32", checksum, "<u4", self._scalar)

    def _write_facts(self, owner: h5g.GroupID | h5d.DatasetID, facts: Facts) -> None:
        write_integer_attribute(owner, b"Created", facts.created, "<i8", self._scalar)
        write_integer_attribute(owner, b"Modified", facts.modified, "<i8", self._scalar)
        write_integer_attribute(owner, b"Permissions", facts.permissions, "<u4", self._scalar)
