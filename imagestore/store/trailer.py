"""The index of a store in the store's own file: a trailer behind the HDF5 data.

HDF5 ignores everything behind the end-of-file address in its superblock. It cuts these bytes off whenever a
tool opens the file for writing. So a trailer was written after the last change of the file, and can be
believed, if it begins at the end-of-file address and its checksums are right.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np

from imagestore import stored_names
from imagestore.files.checksummed_columns import StoredColumns, begin_of_columns, read_columns, write_columns
from imagestore.store.index import StoreIndex, column_names
from imagestore.store.remarks import Remarks

MAGIC = b"imagestore-index"


def write_trailer(fd: int, end_of_file: int, index: StoreIndex) -> None:
    """Write `index` behind the HDF5 data of the file `fd`, which end at `end_of_file`. Raises OSError."""
    labels = [stored_names.decode(label) for label in index.label_bytes]
    facts = {"labels": labels, "start": index.start.tolist(), "whole": index.covers_whole_file}
    if index.remarks:
        facts["remarks"] = index.remarks.as_json()
    write_columns(fd, end_of_file, MAGIC, facts, ((key, index.column(key)) for key in column_names()))


def read_trailer(
    fd: int,
    end_of_file: int | None,
    open_again: Callable[[], contextlib.AbstractContextManager[int]] | None = None,
) -> StoreIndex | None:
    """The index behind the data of the open file `fd`; None if there is none that can be believed.

    `end_of_file` is where the data end: in a store, its end_of_file_address. Columns are read through `fd`
    when they are first used: keep it open as long as the index. With `open_again`, they are read through the
    descriptor that it gives, and `fd` may be closed.
    """
    stored = read_columns(fd, end_of_file, MAGIC)
    if stored is None or not stored.are_intact():
        return None
    return StoreIndex(
        labels=[stored_names.encode(label) for label in stored.facts["labels"]],
        start=np.array(stored.facts["start"], np.int64),
        columns={},
        load=stored.load if open_again is None else partial(_load_again, stored, open_again),
        written_with_store=True,
        covers_whole_file=stored.facts.get("whole", False),
        remarks=Remarks.from_json(stored.facts["remarks"]) if "remarks" in stored.facts else None,
    )


def begin_of_trailer(end_of_file: bytes) -> int | None:
    """Where the index begins, by the last bytes of a store; None if there is none."""
    return begin_of_columns(end_of_file, MAGIC)


def _load_again(
    stored: StoredColumns, open_again: Callable[[], contextlib.AbstractContextManager[int]], key: str
) -> np.ndarray:
    with open_again() as fd:
        return replace(stored, fd=fd).load(key)
