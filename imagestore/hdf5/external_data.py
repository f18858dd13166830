"""Datasets whose bytes are elsewhere: in external files, or (virtual datasets) in other datasets."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import h5py
from h5py import h5d, h5f, h5i, h5o, h5p

from imagestore.hdf5.open_hdf5 import ERRORS_OF_H5PY

THIS_FILE = "."  # the name by which a virtual dataset calls its own file
NUMBER = re.compile(r"%(%|\d*b)")  # in names of sources: the place of a number, or "%%" for "%"


class Source(NamedTuple):
    """Where a virtual dataset finds some of its elements. Both names may be patterns for many numbers."""

    file: str
    path: str

    def numbered(self, number: int) -> Source:
        """The source with this number; the source itself if its names are no patterns."""
        return Source(_with_number(self.file, number), _with_number(self.path, number))


def has_external_data(dataset: h5d.DatasetID) -> bool:
    """Whether a dataset names other files: in a store from a stranger, these may be the reader's own.

    Sources in its own file count if they name other files in turn.
    """
    return next(_other_files(dataset), None) is not None


def unreadable_target(
    dataset: h5d.DatasetID, properties: h5p.PropDCID, folder: Path, follow_external: bool
) -> bytes | None:
    """Where a dataset's bytes should be, if they are not there or may not be read; None if they can be.

    Without `follow_external` no other file may be read. With it, an external file must be there. Of the
    sources of a virtual dataset, one is enough: HDF5 gives fill values for the others. `folder` is that of
    the HDF5 file, and `properties` are those with which the dataset was created.
    """
    if not properties.get_external_count() and properties.get_layout() != h5d.VIRTUAL:
        return None
    files = list(_other_files(dataset))
    if files and not follow_external:
        return os.fsencode(files[0])
    external = _external_files(dataset)
    if any(_find_file(folder, name) is None for name in external):
        return os.fsencode(external[0])
    sources = virtual_sources(dataset)
    missing = missing_sources(dataset, folder)
    return os.fsencode(missing[0]) if sources and len(missing) == len(set(sources)) else None


def missing_sources(dataset: h5d.DatasetID, folder: Path) -> list[str]:
    """The sources of a virtual dataset that are not there, as FILE:PATH, or PATH in the dataset's own file.

    HDF5 gives the fill value in their place. Of numbered sources, only the first is looked for, since any
    count of them is right.
    """
    own_file, missing = h5i.get_file_id(dataset), []
    for source in virtual_sources(dataset):
        file, path = source.numbered(0)
        if file == THIS_FILE:
            if not _has_object(own_file, path):
                missing.append(path)
        elif not _file_has_object(_find_file(folder, file), path):
            missing.append(f"{file}:{path}")
    return list(dict.fromkeys(missing))


def virtual_sources(dataset: h5d.DatasetID) -> list[Source]:
    """The sources of a virtual dataset; none of another dataset."""
    properties = dataset.get_create_plist()
    if properties.get_layout() != h5d.VIRTUAL:
        return []
    return [
        Source(properties.get_virtual_filename(i), properties.get_virtual_dsetname(i))
        for i in range(properties.get_virtual_count())
    ]


def sources_in_this_file(dataset: h5d.DatasetID) -> Iterator[h5d.DatasetID]:
    """The sources of a virtual dataset in its own file, as far as they are there, and their own sources."""
    seen, waiting = {_address(dataset)}, [dataset]
    while waiting:
        for source in _direct_sources_in_this_file(waiting.pop()):
            if _address(source) not in seen:
                seen.add(_address(source))
                waiting.append(source)
                yield source


def _direct_sources_in_this_file(dataset: h5d.DatasetID) -> Iterator[h5d.DatasetID]:
    own_file = h5i.get_file_id(dataset)
    for source in virtual_sources(dataset):
        if source.file != THIS_FILE:
            continue
        for number in itertools.count():
            path = source.numbered(number).path
            if not _has_object(own_file, path):
                break
            found = h5o.open(own_file, path.encode())
            if isinstance(found, h5d.DatasetID):
                yield found
            if path == source.path:  # no pattern
                break


def _address(dataset: h5d.DatasetID) -> tuple[int, int]:
    info = h5o.get_info(dataset)
    return info.fileno, info.addr


def _external_files(dataset: h5d.DatasetID) -> list[str]:
    properties = dataset.get_create_plist()
    return [os.fsdecode(properties.get_external(i)[0]) for i in range(properties.get_external_count())]


def _other_files(dataset: h5d.DatasetID) -> Iterator[str]:
    """The names of all files, other than its own, that a dataset or one of its sources names."""
    own_number, _ = _address(dataset)
    for part in itertools.chain([dataset], sources_in_this_file(dataset)):
        if _address(part)[0] != own_number:  # an external link led there
            yield os.fsdecode(h5f.get_name(part))
        yield from _external_files(part)
        yield from (source.numbered(0).file for source in virtual_sources(part) if source.file != THIS_FILE)


def _with_number(name: str, number: int) -> str:
    return NUMBER.sub(lambda match: "%" if match[1] == "%" else str(number), name)


def _find_file(folder: Path, name: str) -> Path | None:
    """The file that a file in `folder` names. As HDF5 does, this looks there for a lost absolute path."""
    others = [folder / Path(name).name] if Path(name).is_absolute() else []
    return next((path for path in (folder / name, *others) if path.is_file()), None)


def _file_has_object(file: Path | None, path: str) -> bool:
    if file is None:
        return False
    access = h5p.create(h5p.FILE_ACCESS)
    access.set_file_locking(False, True)
    try:
        return _has_object(h5f.open(bytes(file), h5f.ACC_RDONLY, access), path)
    except ERRORS_OF_H5PY:
        return False


def _has_object(file: h5f.FileID, path: str) -> bool:
    return path in h5py.Group(h5o.open(file, b"/"))
