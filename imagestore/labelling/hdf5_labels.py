"""The labels in an HDF5 file of their own, such as PatchCamelyon has beside each file of images."""

from __future__ import annotations

from pathlib import Path

from imagestore.archive.label_text import NoLabels
from imagestore.archive.members import SourceLabels
from imagestore.console import UserError, counted, first_line, printable
from imagestore.hdf5.open_descriptor import open_descriptor
from imagestore.hdf5.open_hdf5 import ERRORS_OF_H5PY, open_hdf5
from imagestore.tables.label_arrays import find_labels_of


def read_labels(path: Path, array: str | None, count: int) -> list[str | None]:
    """The labels of `count` images: from the array of that name, or the likeliest of that length.

    Raises UserError.
    """
    with open(open_descriptor(path), "rb") as opened, open_hdf5(opened.fileno(), path) as file:
        try:
            return find_labels_of(file, path, "", count, SourceLabels(array))
        except NoLabels as error:
            labels = f"{counted(count, 'label')}, as many as the archive has images"
            if error.candidates:
                choices = printable(", ".join(error.candidates))
                raise UserError(
                    f"{path}: several arrays have {labels}: name one with --label-column: {choices}"
                ) from None
            raise UserError(f"{path}: no array has {labels}: they do not belong together") from None
        except ERRORS_OF_H5PY as error:
            raise UserError(f"{path}: cannot be read ({first_line(error)})") from error
