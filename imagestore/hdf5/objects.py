"""What the objects of an HDF5 file are when they are seen as files; runs inside the helper process only.

A group is a folder, a one-dimensional uint8 dataset a file with its bytes, any other dataset a NumPy file
(format 1.0 or later, https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html) whose header
is made here and whose data is read a slice at a time. What NumPy has no type for (text of any length,
references, ragged arrays) is shown as text. Used by hdf5, nobody else. Not thread-safe.
"""

from __future__ import annotations

import io
import json
import math
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
from h5py import h5a, h5d, h5f, h5g, h5l, h5o, h5p, h5t

from imagestore.hdf5 import datasets
from imagestore.hdf5.datasets import integer_attribute, is_bytes

GROUP, BYTES, ARRAY, SOFT, EXTERNAL, DAMAGED = "group", "bytes", "array", "soft", "external", "damaged"


KEPT_OPEN = 4


CHUNK_CACHE = (
    16 << 20
)  # bytes for each dataset kept open: a chunk is then decompressed once, not for every slice


MOST_TEXT_BYTES = 64 << 20


MOST_TEXTS = 1 << 17  # elements that are shown as text: all must be read to know how long the longest is


class Entry(NamedTuple):
    """One link of a group and what it leads to; sizes in bytes, times in seconds or None."""

    name: bytes
    kind: str
    address: tuple[int, int] = (0, 0)  # which file, where in it: the same for hard links
    links: int = 1
    size: int = 0
    stored: int = 0
    offset: int = -1  # of the bytes in the file; -1 where only HDF5 can read them
    modified: int | None = None
    created: int | None = None
    permissions: int | None = None
    target: bytes = b""  # of a soft or external link
    target_is_array: bool = False
    shadowed: bool = False  # a link NAME.npy exists beside this array


@dataclass
class Objects:
    """The objects of one file, by their paths."""

    fd: int
    path: Path
    follow_external: bool

    def __post_init__(self) -> None:
        """Open the file by its descriptor; by its name where external links beside it are to be found."""
        opened = Path(f"/proc/self/fd/{self.fd}")
        usable = opened.exists() and not self.follow_external
        access = h5p.create(h5p.FILE_ACCESS)
        access.set_file_locking(False, True)
        access.set_fclose_degree(h5f.CLOSE_STRONG)
        self.file = h5f.open(bytes(opened if usable else self.path), h5f.ACC_RDONLY, access)
        self._open: OrderedDict[bytes, _File] = OrderedDict()

    def entries(self, path: bytes) -> Iterator[Entry]:
        """The links of a group, sorted by name; what cannot be shown as a file is left out."""
        group = h5o.open(self.file, path or b"/")
        if not isinstance(group, h5g.GroupID):
            raise ValueError("not a group")
        names = sorted(group)
        taken = set(names)
        for name in names:
            entry = self._entry(group, name, path.count(b"/"))
            if entry is not None and entry.kind == ARRAY:
                yield entry._replace(shadowed=name + b".npy" in taken)
            elif entry is not None:
                yield entry

    def entry(self, path: bytes) -> Entry | None:
        """The object at a path; the root group where it is empty."""
        return self._described(h5o.open(self.file, path or b"/"), path.rpartition(b"/")[2])

    def _described(self, thing: h5g.GroupID | h5d.DatasetID | h5t.TypeID, name: bytes) -> Entry | None:
        return _described(thing, name, self.follow_external)

    def _entry(self, group: h5g.GroupID, name: bytes, depth: int) -> Entry | None:
        try:
            kind = group.links.get_info(name).type
            if kind == h5l.TYPE_SOFT:
                return self._soft(group, name)
            if kind == h5l.TYPE_EXTERNAL and not self.follow_external:
                file, inside = group.links.get_val(name)
                return Entry(name, EXTERNAL, target=file + b":" + inside)
            return self._described(h5o.open(group, name), name)
        except (OSError, RuntimeError, KeyError, ValueError, TypeError, OverflowError, UnicodeError):
            return Entry(name, DAMAGED)

    def _soft(self, group: h5g.GroupID, name: bytes) -> Entry:
        target = group.links.get_val(name)
        try:
            found = self._described(h5o.open(group, target), b"")
            shown_as_array = (
                group.links.get_info(target).type != h5l.TYPE_SOFT
            )  # a link to a link has its name
            is_array = found is not None and found.kind == ARRAY and shown_as_array
            shadowed = is_array and target + b".npy" in group
        except (OSError, RuntimeError, KeyError, ValueError):
            is_array = shadowed = False  # it leads nowhere
        return Entry(name, SOFT, target=target, target_is_array=is_array, shadowed=shadowed)

    def read(self, path: bytes, offset: int, size: int) -> bytes:
        """Up to `size` bytes from `offset` of a dataset as a file."""
        if path not in self._open:
            dataset = h5d.open(self.file, path)
            access = h5p.create(h5p.DATASET_ACCESS)
            # HDF5 needs the memory for one chunk anyway; not kept, it would be decompressed for every slice.
            largest = max(CHUNK_CACHE, _chunk_bytes(dataset))
            if largest > CHUNK_CACHE:
                self._open.clear()
            access.set_chunk_cache(521, largest, 1.0)
            del dataset  # the cache is made when a dataset is opened that is not open yet
            dataset = h5d.open(self.file, path, access)
            datasets.check(dataset, self.follow_external)
            self._open[path] = _as_file(dataset, self.follow_external)
        self._open.move_to_end(path)
        if len(self._open) > KEPT_OPEN:
            self._open.popitem(last=False)
        return self._open[path].read(offset, size)

    def attributes(self, path: bytes) -> dict[str, bytes]:
        """All attributes of an object that can be read."""
        owner = h5o.open(self.file, path or b"/")
        attributes = {}
        for i in range(h5a.get_num_attrs(owner)):
            name = h5a.open(owner, index=i).name
            try:
                value = h5py.AttributeManager(_Owner(owner))[name]
            except (OSError, RuntimeError, ValueError, TypeError, KeyError):
                continue
            attributes[_text_of(name)] = _attribute(value)
        return attributes


def _chunk_bytes(dataset: h5d.DatasetID) -> int:
    properties = dataset.get_create_plist()
    if properties.get_layout() != h5d.CHUNKED:
        return 0
    return math.prod(properties.get_chunk()) * dataset.get_type().get_size()


@dataclass
class _Owner:
    """As much of an h5py object as AttributeManager asks for."""

    id: h5o.ObjectID


def _described(
    thing: h5g.GroupID | h5d.DatasetID | h5t.TypeID, name: bytes, follow_external: bool
) -> Entry | None:
    info = h5o.get_info(thing)
    common = {"address": (info.fileno, info.addr), "links": info.rc, **_times(thing)}
    if isinstance(thing, h5g.GroupID):
        return Entry(name, GROUP, **common)
    if not isinstance(thing, h5d.DatasetID):
        return None  # a stored type: it holds no data
    stored = thing.get_storage_size()
    if is_bytes(thing):
        offset = thing.get_offset()
        return Entry(
            name, BYTES, size=thing.shape[0], stored=stored, offset=-1 if offset is None else offset, **common
        )
    file = _as_file(thing, follow_external)
    size = len(file.header) + math.prod(file.shape) * file.dtype.itemsize
    return Entry(name, ARRAY, size=size, stored=stored, **common)


def _times(thing: h5g.GroupID | h5d.DatasetID | h5t.TypeID) -> dict[str, int]:
    if isinstance(thing, h5t.TypeID) or not h5a.get_num_attrs(thing):
        return {}
    names = {"modified": b"Modified", "created": b"Created", "permissions": b"Permissions"}
    found = {key: integer_attribute(thing, name) for key, name in names.items()}
    return {key: value for key, value in found.items() if value is not None}


@dataclass
class _File:
    """A dataset as a file: a header (none for plain bytes), then the elements in C order."""

    dataset: h5d.DatasetID
    header: bytes
    shape: tuple[int, ...]
    dtype: np.dtype
    text: bytes | None = None  # all of the data, where it is no array of a NumPy type

    def read(self, offset: int, size: int) -> bytes:
        """Up to `size` bytes from `offset`."""
        head = self.header[offset : offset + size]
        return head + self._data(max(0, offset - len(self.header)), size - len(head))

    def _data(self, offset: int, size: int) -> bytes:
        if self.text is not None:
            return self.text[offset : offset + size]
        first = offset // self.dtype.itemsize
        last = min(-(-(offset + size) // self.dtype.itemsize), math.prod(self.shape))
        skip = offset - first * self.dtype.itemsize
        return b"".join(self._blocks(first, last))[skip : skip + size]

    def _blocks(self, first: int, last: int) -> Iterator[bytes]:
        """The elements first:last in C order, read as the fewest blocks that make them up."""
        source, shape = h5py.Dataset(self.dataset), self.shape or (1,)
        steps = [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]
        while first < last:
            at = [first // step % length for step, length in zip(steps, shape, strict=True)]
            axis = next(a for a, step in enumerate(steps) if first % step == 0 and step <= last - first)
            count = min((last - first) // steps[axis], shape[axis] - at[axis])
            wanted = (*at[:axis], slice(at[axis], at[axis] + count)) if self.shape else ()
            yield np.ascontiguousarray(source[wanted]).astype(self.dtype.base, copy=False).tobytes()
            first += count * steps[axis]


def _as_file(dataset: h5d.DatasetID, follow_external: bool) -> _File:
    shape = dataset.shape if dataset.shape is not None else (0,)
    if is_bytes(dataset):
        return _File(dataset, b"", shape, np.dtype(np.uint8))
    if dataset.dtype.hasobject:
        texts = _texts(dataset, shape, follow_external)
        return _File(dataset, _npy_header(shape, texts.dtype), shape, texts.dtype, texts.tobytes())
    dtype = _plain(dataset.dtype)
    # Elements that are arrays themselves are further axes of NumPy's.
    return _File(dataset, _npy_header(shape + dtype.shape, dtype.base), shape, dtype)


def _plain(dtype: np.dtype) -> np.dtype:
    """The type without what h5py notes in it (names of an enumeration), which no NumPy file can hold."""
    if dtype.subdtype is not None:
        base, shape = dtype.subdtype
        return np.dtype((_plain(base), shape))
    if dtype.names is None:
        return np.dtype(dtype.str)
    fields = [dtype.fields[name] for name in dtype.names]
    formats, offsets = [_plain(field[0]) for field in fields], [field[1] for field in fields]
    return np.dtype(
        {"names": dtype.names, "formats": formats, "offsets": offsets, "itemsize": dtype.itemsize}
    )


def _npy_header(shape: tuple[int, ...], dtype: np.dtype) -> bytes:
    buffer = io.BytesIO()
    fields = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    try:
        np.lib.format.write_array_header_1_0(buffer, fields)
    except UnicodeEncodeError:  # names of fields that are not Latin-1: format 3.0
        return _npy_header_3(fields)
    except ValueError:  # longer than 64 KB: thousands of fields
        np.lib.format.write_array_header_2_0(buffer, fields)
    return buffer.getvalue()


def _npy_header_3(fields: dict[str, object]) -> bytes:
    text = repr(fields).encode()
    padding = -(len(text) + 13) % 64
    text += b" " * padding + b"\n"
    return np.lib.format.magic(3, 0) + len(text).to_bytes(4, "little") + text


def _texts(dataset: h5d.DatasetID, shape: tuple[int, ...], follow_external: bool) -> np.ndarray:
    """The elements as text of one length, as NumPy needs it."""
    count = math.prod(shape)
    if count > MOST_TEXTS:
        raise ValueError("too many texts to show as one file")
    datasets.check(dataset, follow_external)
    values = np.empty(count, object)
    if count:
        values[:] = np.asarray(h5py.Dataset(dataset)[()], object).reshape(count)
    texts = [_attribute(value) for value in values]
    longest = max([1, *map(len, texts)])
    if count * longest > MOST_TEXT_BYTES:
        raise ValueError("texts too long to show as one file")
    return np.array(texts, dtype=f"S{longest}")


def _attribute(value: object) -> bytes:
    """Text as it is, everything else as JSON."""
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape")
    if isinstance(value, bytes):
        return value
    return json.dumps(_jsonable(value), ensure_ascii=False).encode("utf-8", "surrogateescape")


def _jsonable(value: object) -> object:
    if isinstance(value, h5py.Empty):
        return None
    if isinstance(value, np.ndarray):
        return [_jsonable(item) for item in value]
    if isinstance(value, np.void) and value.dtype.names:
        return {name: _jsonable(value[name]) for name in value.dtype.names}
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, complex):
        return [value.real, value.imag]
    if isinstance(value, bytes):
        return _text_of(value)
    return value if isinstance(value, (str, int, float, bool, list)) or value is None else str(value)


def _text_of(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")
