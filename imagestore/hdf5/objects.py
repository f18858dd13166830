"""The objects of an HDF5 file, seen as folders, files and links. Runs in the helper process only.

A group is a folder, a dataset is a file (see `datasets_as_files.py`). Not thread-safe.
"""

from __future__ import annotations

import contextlib
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import h5py
from h5py import h5a, h5d, h5f, h5g, h5l, h5o, h5p, h5t

from imagestore import stored_names
from imagestore.console import first_line
from imagestore.hdf5.attribute import Attribute
from imagestore.hdf5.datasets import data_offset, integer_attribute, is_bytes, length_of_bytes
from imagestore.hdf5.datasets_as_files import (
    CHUNK_CACHE,
    DatasetFile,
    chunk_cache_bytes,
    dataset_as_file,
    open_to_read,
)
from imagestore.hdf5.element_files import ElementFiles
from imagestore.hdf5.entry import (
    ARRAY,
    BYTES,
    DAMAGED,
    ELEMENTS,
    EXTERNAL_LINK,
    GROUP,
    NO_OFFSET,
    SOFT_LINK,
    UNSHOWN,
    Entry,
)
from imagestore.hdf5.external_data import missing_sources, unreadable_target
from imagestore.hdf5.filters import MissingFilter, check_known_filters
from imagestore.hdf5.group_links import GroupLink, links_of
from imagestore.hdf5.held_files import (
    OTHER_FILE,
    OneFile,
    element_files,
    held_files,
    is_vlen_bytes,
    needs_element_files,
    no_step,
    read_element,
)
from imagestore.hdf5.memory_types import CannotBeShown
from imagestore.hdf5.open_hdf5 import ERRORS_OF_H5PY, has_real_path, path_of_descriptor
from imagestore.hdf5.plain_datasets import first_byte, read_plain_dataset
from imagestore.hdf5.stored_bytes import stored_bytes_of
from imagestore.hdf5.superblock import is_live
from imagestore.hdf5.values_as_text import json_of, text_of

MOST_OPEN_DATASETS = 4  # each of them has a chunk cache

Object = h5g.GroupID | h5d.DatasetID | h5t.TypeID  # what a hard link leads to


@dataclass
class Objects:
    """The objects of one file, by their paths. `fd` is `path`, open for reading."""

    fd: int
    path: Path
    follow_external: bool
    on_step: Callable[[int], object] = no_step  # called with the number of each step of a long answer

    def __post_init__(self) -> None:
        """Open the file. HDF5 finds the targets of external links only if it is opened by its name."""
        path = self.path if self.follow_external else path_of_descriptor(self.fd, self.path)
        access = h5p.create(h5p.FILE_ACCESS)
        access.set_file_locking(False, True)
        access.set_fclose_degree(h5f.CLOSE_STRONG)
        if not has_real_path(path):
            access.set_fapl_stdio()
        self._is_live = is_live(self.fd)
        # Of datasets that a program writes to, by address: the fields of DatasetFile when it was made first.
        self._first_state: dict[tuple[int, int], dict[str, Any]] = {}
        mode = h5f.ACC_RDONLY | (h5f.ACC_SWMR_READ if self._is_live else 0)
        self.file = h5f.open(bytes(path), mode, access)
        self._file_number = h5o.get_info(self.file).fileno
        self._first_byte = first_byte(self.file, self.fd)
        self._open_datasets: OrderedDict[bytes, _OpenDataset] = OrderedDict()

    def entries(self, path: bytes, first: int = 0, lost: Collection[int] = ()) -> Iterator[Entry]:
        """The links of a group, sorted by name, without those that lead to a stored type.

        The listing begins with link number `first`. The links with the numbers in `lost` are damaged, and not
        looked at. `on_step` gets the number of each link.
        """
        group = h5o.open(self.file, path or b"/")
        if not isinstance(group, h5g.GroupID):
            raise ValueError("not a group")
        links, is_in_this_file = links_of(group), self._is_in_this_file(group)
        for number, (name, link) in enumerate(links.items()):
            if number < first:
                continue
            self.on_step(number)
            if number in lost:
                yield Entry(name, DAMAGED)
                continue
            entry = self._plain_entry(name, link) if is_in_this_file else None
            entry = entry or self._entry_of_link(group, name, link.type)
            if entry is not None and entry.kind == ARRAY:
                entry = entry._replace(shadowed=name + b".npy" in links)
            if entry is not None:
                yield entry

    def entry(self, path: bytes) -> Entry | None:
        """The object at a path; the root group if the path is empty. None for a stored type."""
        return self._entry_of_object(h5o.open(self.file, path or b"/"), path.rpartition(b"/")[2])

    def _plain_entry(self, name: bytes, link: GroupLink) -> Entry | None:
        """The entry of a hard link that leads to a PlainDataset; None for any other link."""
        if self._first_byte is None or link.type != h5l.TYPE_HARD:
            return None
        plain = read_plain_dataset(self.fd, self._first_byte, link.address, with_attributes=True)
        if plain is None:
            return None
        address = self._file_number, link.address
        return Entry(name, BYTES, address, *plain)

    def _entry_of_link(self, group: h5g.GroupID, name: bytes, link_type: int) -> Entry | None:
        try:
            if link_type == h5l.TYPE_SOFT:
                return self._entry_of_soft_link(group, name)
            if link_type == h5l.TYPE_EXTERNAL:
                return self._entry_of_external_link(group, name)
            return self._entry_of_object(h5o.open(group, name), name)
        except (CannotBeShown, MissingFilter) as reason:
            return Entry(name=name, kind=UNSHOWN, target=str(reason).encode())
        except (*ERRORS_OF_H5PY, TypeError, OverflowError):
            return Entry(name=name, kind=DAMAGED)

    def _entry_of_external_link(self, group: h5g.GroupID, name: bytes) -> Entry | None:
        """What the link leads to; the link itself if it may not be followed or leads nowhere."""
        if self.follow_external:
            with contextlib.suppress(*ERRORS_OF_H5PY):
                return self._entry_of_object(h5o.open(group, name), name)
        file, path = group.links.get_val(name)
        return Entry(name=name, kind=EXTERNAL_LINK, target=file + b":" + path)

    def _entry_of_soft_link(self, group: h5g.GroupID, name: bytes) -> Entry:
        target = group.links.get_val(name)
        try:
            entry = self._entry_of_object(h5o.open(group, target), b"")
            # A link to a link is shown with that link's name, without the ending of an array.
            is_direct = group.links.get_info(target).type != h5l.TYPE_SOFT
            is_array = is_direct and entry is not None and entry.kind == ARRAY
            shadowed = is_array and target + b".npy" in group
        except (*ERRORS_OF_H5PY, CannotBeShown):  # the link leads nowhere
            is_array = shadowed = False
        return Entry(name=name, kind=SOFT_LINK, target=target, target_is_array=is_array, shadowed=shadowed)

    def _entry_of_object(self, h5_object: Object, name: bytes) -> Entry | None:
        info = h5o.get_info(h5_object)
        address, attributes = (info.fileno, info.addr), _times_and_permissions(h5_object)
        if isinstance(h5_object, h5g.GroupID):
            return Entry(name, GROUP, address, info.rc, **attributes)
        if not isinstance(h5_object, h5d.DatasetID):
            return None  # a stored type: it holds no data
        if h5_object.get_offset() is None:
            properties = h5_object.get_create_plist()
            check_known_filters(properties)
            target = unreadable_target(h5_object, properties, self.path.parent, self.follow_external)
            if target is not None:
                return Entry(name=name, kind=EXTERNAL_LINK, target=target)
        stored, size, offset = h5_object.get_storage_size(), length_of_bytes(h5_object), NO_OFFSET
        if size is not None:
            kind, offset = BYTES, data_offset(h5_object)
        else:
            kind, size, offset = self._as_files(h5_object)
        return Entry(name, kind, address, info.rc, size, stored, offset, **attributes)

    def _as_files(self, dataset: h5d.DatasetID) -> tuple[str, int, int]:
        """The kind of an array, its size as a file, and its offset."""
        held = self._held_files(dataset)
        if isinstance(held, OneFile):
            return BYTES, held.size, held.offset
        size = 0 if held == ELEMENTS else self._as_file(dataset).size
        return held, size, NO_OFFSET

    def _as_file(self, dataset: h5d.DatasetID) -> DatasetFile:
        """A dataset as a file. If a program writes to it, it stays as it was at first: its size was told."""
        if not self._is_live:
            return dataset_as_file(dataset, self.follow_external, self._fd_of(dataset))
        info = h5o.get_info(dataset)
        address = info.fileno, info.addr
        if address not in self._first_state:
            as_file = dataset_as_file(dataset, self.follow_external, self._fd_of(dataset))
            state = {name: value for name, value in vars(as_file).items() if name != "dataset"}
            self._first_state[address] = state
        return DatasetFile(dataset=dataset, **self._first_state[address])

    def _held_files(self, dataset: h5d.DatasetID) -> OneFile | str:
        """What an array holds: one file, ELEMENTS that are files, or only an ARRAY."""
        try:
            fd = self._fd_of(dataset)
            held = held_files(dataset, fd, self.follow_external)
            return held or (ELEMENTS if needs_element_files(dataset, fd) else ARRAY)
        except ERRORS_OF_H5PY:  # its bytes cannot be read, or may not be
            return ARRAY

    def _is_in_this_file(self, h5_object: Object) -> bool:
        return h5o.get_info(h5_object).fileno == self._file_number

    def _fd_of(self, dataset: h5d.DatasetID) -> int:
        """The descriptor of this file, if it is the one that holds a dataset."""
        return self.fd if self._is_in_this_file(dataset) else OTHER_FILE

    def element_files(self, path: bytes) -> ElementFiles:
        """The files that a dataset's elements are. Raises ValueError if they are none."""
        dataset = h5d.open(self.file, path)
        if self._held_files(dataset) != ELEMENTS:
            raise ValueError("its elements are no files")
        return element_files(dataset, self._fd_of(dataset), self.follow_external, self.on_step)

    def read(self, path: bytes, offset: int, size: int) -> bytes:
        """Up to `size` bytes from `offset` of a dataset as a file."""
        return self._opened(path).read(offset, size)

    def read_element(self, path: bytes, number: int, offset: int, size: int) -> bytes:
        """Up to `size` bytes from `offset` of one element of a dataset, as a file."""
        return read_element(self._opened(path).dataset, number, offset + size)[offset:]

    def _opened(self, path: bytes) -> _OpenDataset:
        if path not in self._open_datasets:
            self._open_dataset(path)
        self._open_datasets.move_to_end(path)
        return self._open_datasets[path]

    def _open_dataset(self, path: bytes) -> None:
        cache_bytes = chunk_cache_bytes(h5d.open(self.file, path))
        if cache_bytes > CHUNK_CACHE:
            self._open_datasets.clear()
        dataset = open_to_read(self.file, path, cache_bytes=cache_bytes, follow_external=self.follow_external)
        self._open_datasets[path] = _OpenDataset(dataset, self._reader_of(dataset))
        if len(self._open_datasets) > MOST_OPEN_DATASETS:
            self._open_datasets.popitem(last=False)

    def _reader_of(self, dataset: h5d.DatasetID) -> Callable[[int, int], bytes]:
        """What reads up to (offset, size) bytes of a dataset as a file."""
        if is_bytes(dataset) or not isinstance(self._held_files(dataset), OneFile):
            return self._as_file(dataset).read
        if is_vlen_bytes(dataset):
            return lambda offset, size: read_element(dataset, 0, offset + size)[offset:]
        return stored_bytes_of(dataset)

    def missing_sources(self, path: bytes) -> list[str]:
        """The sources of a virtual dataset that are not there (see external_data); none of another object."""
        dataset = h5o.open(self.file, path)
        return missing_sources(dataset, self.path.parent) if isinstance(dataset, h5d.DatasetID) else []

    def attributes(self, path: bytes) -> dict[str, bytes]:
        """The attributes of an object as text (see `text_of`), without those that cannot be read."""
        owner = h5o.open(self.file, path or b"/")
        attributes = {}
        for i in range(h5a.get_num_attrs(owner)):
            name = h5a.open(owner, index=i).name
            try:
                value = h5py.AttributeManager(_AttributeOwner(owner))[name]
            except (*ERRORS_OF_H5PY, TypeError):
                continue
            attributes[stored_names.decode(name)] = text_of(value)
        return attributes

    def typed_attributes(self, path: bytes) -> list[Attribute]:
        """All attributes of an object, those that cannot be read too."""
        owner = h5o.open(self.file, path or b"/")
        values = h5py.AttributeManager(_AttributeOwner(owner))
        attributes = []
        for i in range(h5a.get_num_attrs(owner)):
            name = h5a.open(owner, index=i).name
            try:
                value = values[name]
            except (*ERRORS_OF_H5PY, TypeError) as error:
                attributes.append(Attribute(stored_names.decode(name), error=first_line(error)))
            else:
                attributes.append(Attribute(stored_names.decode(name), text_of(value), json_of(value)))
        return attributes


class _OpenDataset(NamedTuple):
    """A dataset with a chunk cache, and what reads up to (offset, size) bytes of it as a file."""

    dataset: h5d.DatasetID
    read: Callable[[int, int], bytes]


@dataclass
class _AttributeOwner:
    """The part of an h5py object that AttributeManager needs."""

    id: h5o.ObjectID


def _times_and_permissions(h5_object: Object) -> dict[str, int]:
    """The attributes Modified, Created and Permissions of an object, by their names in Entry."""
    if isinstance(h5_object, h5t.TypeID) or not h5a.get_num_attrs(h5_object):
        return {}
    names = {"modified": b"Modified", "created": b"Created", "permissions": b"Permissions"}
    found = {key: integer_attribute(h5_object, name) for key, name in names.items()}
    return {key: value for key, value in found.items() if value is not None}
