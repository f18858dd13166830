"""Labels that HDF5 files have at single images: an attribute of the image, or a scalar dataset beside it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable

import h5py
import numpy as np

from imagestore import stored_names
from imagestore.archive.label_text import LABEL_KEYS, text_of


class LabelsBeside:
    """The labels of images that are a dataset each.

    An image has the label of its attribute `label`, `class` or `cls`. If it is the only image of its group, a
    dataset with such a name and one value in this group is its label, too.
    """

    def __init__(self, paths: Iterable[str], key: str | None) -> None:
        """`paths` are those of all images. `key` names another attribute or dataset."""
        self._keys = LABEL_KEYS if key is None else (key,)
        self._images_in = Counter(map(os.path.dirname, paths))

    def of(self, file: h5py.File, path: str) -> str | None:
        """The label of the image at `path`; None if it has none. Raises the errors of h5py."""
        group, dataset = os.path.dirname(path), file.get(stored_names.encode(path))
        if not isinstance(dataset, h5py.Dataset):
            return None
        values = [dataset.attrs[key] for key in self._keys if key in dataset.attrs]
        if group and self._images_in[group] == 1:
            items = file[stored_names.encode(group)]
            beside = [
                items[key] for key in self._keys if isinstance(items.get(key, getlink=True), h5py.HardLink)
            ]
            values += [item[()] for item in beside if isinstance(item, h5py.Dataset) and item.size == 1]
        return next((text for value in values if (text := text_of(_plain(value))) is not None), None)


def _plain(value: object) -> object:
    """A value of HDF5 as one of Python; an array of one value as that value."""
    return value.item() if isinstance(value, (np.generic, np.ndarray)) and value.size == 1 else value
