"""The bytes of a dataset's elements as they are stored, read through HDF5, which converts nothing."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
from h5py import h5d, h5s, h5t

Block = tuple[tuple[int, ...], tuple[int, ...]]  # the first index and the number of indices along each axis


def stored_bytes_of(dataset: h5d.DatasetID) -> Callable[[int, int], bytes]:
    """A function that reads up to (offset, size) bytes of a dataset's elements, which stand in C order.

    Elements of variable length and references are stored elsewhere: this is not for them.
    """
    shape, kind = dataset.shape, dataset.get_type()
    width = kind.get_size()

    def read(offset: int, size: int) -> bytes:
        first, last = offset // width, min(-(-(offset + size) // width), math.prod(shape))
        data = b"".join(read_block(dataset, block, kind) for block in blocks(shape, first, last))
        return data[offset - first * width :][:size]

    return read


def blocks(shape: tuple[int, ...], first: int, last: int) -> Iterator[Block]:
    """The elements first:last of an array, in C order, as the fewest blocks along one axis each."""
    shape = shape or (1,)
    steps = [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]  # elements per index of each axis
    while first < last:
        at = [first // step % length for step, length in zip(steps, shape, strict=True)]
        axis = next(a for a, step in enumerate(steps) if first % step == 0 and step <= last - first)
        count = min((last - first) // steps[axis], shape[axis] - at[axis])
        yield (*at[: axis + 1], *[0] * (len(shape) - axis - 1)), (*[1] * axis, count, *shape[axis + 1 :])
        first += count * steps[axis]


def read_block(dataset: h5d.DatasetID, block: Block, kind: h5t.TypeID) -> bytes:
    """The elements of a block as values of the type `kind`. The dataset's own type needs no conversion."""
    start, count = block
    data = np.empty(math.prod(count), f"V{kind.get_size()}")
    in_file = dataset.get_space()
    if dataset.rank:
        in_file.select_hyperslab(start, count)
    dataset.read(h5s.create_simple(data.shape), in_file, data, mtype=kind)
    return data.tobytes()
