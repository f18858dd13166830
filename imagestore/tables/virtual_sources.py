"""Virtual datasets need their sources: without one, HDF5 gives fill values, such as black pictures."""

from __future__ import annotations

from pathlib import Path

import h5py

from imagestore.console import UserError, printable
from imagestore.hdf5.external_data import missing_sources

SHOWN = 3


def check_sources(path: Path, name: str, dataset: h5py.Dataset) -> None:
    """Raise UserError if sources of the dataset `name` are not there. `path` is that of its file."""
    missing = missing_sources(dataset.id, Path(dataset.file.filename).resolve().parent)
    if missing:
        shown = ", ".join(map(printable, missing[:SHOWN])) + (", …" if len(missing) > SHOWN else "")
        raise UserError(
            f"{path}: {printable(name)} is virtual, and has no data without {shown}: copy it here too"
        )
