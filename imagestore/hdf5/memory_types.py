"""How the elements of a dataset are read into memory: as numbers that NumPy knows, or as the bytes they are.

HDF5 has types that NumPy lacks: times, integers of 24 bits, floats of 128 bits, and what a program makes up.
Values of these types are read without a conversion, as raw bytes (NumPy's type "V"). In a compound type, only
the fields of such types are raw.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from h5py import h5t

from imagestore.stored_names import decode

ERRORS_OF_TYPES = (TypeError, ValueError, RuntimeError, KeyError, OverflowError)  # of h5py, for its own lacks
ADDRESSES = {h5t.STD_REF_OBJ: np.dtype("=u8"), h5t.STD_REF_DSETREG: np.dtype("V12")}  # types of references
PLAIN = (h5t.TypeIntegerID, h5t.TypeFloatID, h5t.TypeStringID, h5t.TypeEnumID)  # always converted


class CannotBeShown(Exception):
    """The reason why a dataset that is not damaged cannot be shown as a file."""


class MemoryType(NamedTuple):
    """A type of elements in memory: NumPy's, and HDF5's, to read them with."""

    numpy: np.dtype
    hdf5: h5t.TypeID


def is_unknown(kind: h5t.TypeID) -> bool:
    """Whether h5py has no type for values of a type."""
    return _type_of_h5py(kind) is None


def holds_objects(kind: h5t.TypeID) -> bool:
    """Whether h5py takes elements of a type for Python objects: texts and lists of any length."""
    dtype = _type_of_h5py(kind)
    return dtype is not None and dtype.hasobject and not isinstance(kind, h5t.TypeReferenceID)


def numpy_type(kind: h5t.TypeID) -> np.dtype | None:
    """The NumPy type as which h5py reads elements of a type, if a NumPy file can hold it; otherwise None."""
    dtype = _type_of_h5py(kind)
    if dtype is None or dtype.hasobject or not _is_converted(kind, dtype):
        return None
    dtype = _plain_type(dtype)
    try:
        np.lib.format.dtype_to_descr(dtype)
    except ValueError:  # its fields are not in the order of their offsets
        return None
    return dtype


def memory_type(kind: h5t.TypeID) -> MemoryType:
    """A type to read elements with for which `numpy_type` has no answer.

    A reference to an object is the object's address in the file, which is also its inode number in a tree.
    Raises CannotBeShown for a type that has lists of any length in it.
    """
    if (dtype := numpy_type(kind)) is not None:
        return MemoryType(dtype, h5t.py_create(_type_of_h5py(kind)))
    if isinstance(kind, h5t.TypeCompoundID):
        return _compound(kind)
    if isinstance(kind, h5t.TypeArrayID):
        base, shape = memory_type(kind.get_super()), kind.get_array_dims()
        return MemoryType(np.dtype((base.numpy, shape)), h5t.array_create(base.hdf5, shape))
    if isinstance(kind, h5t.TypeReferenceID):
        return _reference(kind)
    if isinstance(kind, h5t.TypeVlenID) or (isinstance(kind, h5t.TypeStringID) and kind.is_variable_str()):
        raise CannotBeShown(
            "its elements have texts or lists of any length, with values that h5py has no type for"
        )
    return MemoryType(np.dtype(f"V{kind.get_size()}"), kind)


def _type_of_h5py(kind: h5t.TypeID) -> np.dtype | None:
    try:
        return kind.dtype
    except ERRORS_OF_TYPES:
        return None


def _is_converted(kind: h5t.TypeID, dtype: np.dtype) -> bool:
    """Whether HDF5 has a conversion: it has none for opaque values that a program marked as its own."""
    if isinstance(kind, PLAIN):
        return True
    try:
        return h5t.find(kind, h5t.py_create(dtype)) is not None
    except ERRORS_OF_TYPES:
        return False


def _plain_type(dtype: np.dtype) -> np.dtype:
    """A type without h5py's notes (such as the names of an enumeration), which no NumPy file can hold."""
    if dtype.subdtype is not None:
        base, shape = dtype.subdtype
        return np.dtype((_plain_type(base), shape))
    if dtype.names is None:
        return np.dtype(dtype.str)
    fields = [dtype.fields[name] for name in dtype.names]
    formats, offsets = [_plain_type(field[0]) for field in fields], [field[1] for field in fields]
    return np.dtype(
        {"names": dtype.names, "formats": formats, "offsets": offsets, "itemsize": dtype.itemsize}
    )


def _reference(kind: h5t.TypeReferenceID) -> MemoryType:
    for known, dtype in ADDRESSES.items():
        if kind.equal(known):
            return MemoryType(dtype, kind)
    raise CannotBeShown("its elements are references of a type that h5py does not know")


def _compound(kind: h5t.TypeCompoundID) -> MemoryType:
    """The fields of a compound type in the order of their offsets, without gaps."""
    members = sorted(range(kind.get_nmembers()), key=kind.get_member_offset)
    fields = [(kind.get_member_name(i), memory_type(kind.get_member_type(i))) for i in members]
    in_memory = h5t.create(h5t.COMPOUND, max(1, sum(field.hdf5.get_size() for _, field in fields)))
    offset = 0
    for name, field in fields:
        in_memory.insert(name, offset, field.hdf5)
        offset += field.hdf5.get_size()
    return MemoryType(np.dtype([(decode(name), field.numpy) for name, field in fields]), in_memory)
