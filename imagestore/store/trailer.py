"""The index of a store in its own file: a trailer behind the HDF5 data.

HDF5 ignores what is behind its end-of-file address, and cuts it off whenever a tool opens the file for
writing. So a trailer is believed when the end-of-file address points at it and its checksums are right:
then it was written after the last change of the file.
"""

from __future__ import annotations

import os

import numpy as np

from imagestore.columns import read_columns, write_columns
from imagestore.store.index import StoreIndex, column_names

MAGIC = b"imagestore-index"


def write_trailer(fd: int, end_of_file: int, index: StoreIndex) -> None:
    """Write `index` behind the HDF5 data of the file `fd`, which ends at `end_of_file`. Raises OSError."""
    labels = [os.fsdecode(label) for label in index.label_bytes]
    facts = {"labels": labels, "start": index.start.tolist(), "whole": index.whole}
    write_columns(fd, end_of_file, MAGIC, facts, ((key, index.column(key)) for key in column_names()))


def read_trailer(fd: int, end_of_file: int | None) -> StoreIndex | None:
    """The index behind the data of the open file `fd`; None where there is none to be believed.

    The data end at `end_of_file`: of a store, its end_of_file_address. Columns are read through `fd`
    when they are first used: keep it open as long as the index.
    """
    stored = read_columns(fd, end_of_file, MAGIC)
    if stored is None or not stored.intact():
        return None
    labels = [os.fsencode(label) for label in stored.facts["labels"]]
    start = np.array(stored.facts["start"], np.int64)
    whole = stored.facts.get("whole", False)
    return StoreIndex(labels, start, {}, load=stored.load, fresh=True, whole=whole)
