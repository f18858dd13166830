"""Write images as torchvision's ImageFolder has them: a folder for each label, with plain files.

    FOLDER/<label>/<name>, or FOLDER/train/<label>/<name> if the store has such parts

No name is lost, and none is passed over by those who read such folders. What cannot stand in the name of a
visible file is escaped (`AC%2FDC`, `%2Ehidden.jpg`). A name without the suffix of an image gets one, and a
name that is taken gets a number. If the name of a folder does not tell its label, labels.csv tells the labels
of all images; or labels.json if a label is blank, since an empty cell of a CSV file means no label.
"""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from imagestore import stored_names
from imagestore.files.write_and_copy import write_all
from imagestore.image_formats import has_image_suffix, suffix_of
from imagestore.store.image_names import numbered_name
from imagestore.store.label_names import group_name, label_of_group
from imagestore.tools.folder_writer import set_time
from imagestore.tools.labelled_images import ImageList, LabelledImage
from imagestore.vfs import shown_names

TABLE, TABLE_OF_BLANKS = "labels.csv", "labels.json"
MADE_BY_MACOS = b"__MACOSX"  # what readers of folders pass over
LONGEST = shown_names.LONGEST - 8  # bytes: a number may follow


def write_image_folder(
    folder: Path, lists: Sequence[ImageList], labels: Sequence[str], on_image: Callable[[], object]
) -> None:
    """Write the images of all lists, which have one of `labels` each. Raises OSError."""
    parts = {os.fsencode(images.name) for images in lists if images.is_part}
    writer = _FolderWriter(folder, labels, taken={*map(os.fsencode, (TABLE, TABLE_OF_BLANKS)), *parts})
    for images in lists:
        top = os.fsencode(images.name) if images.is_part else b""
        for image in images.read(on_image):
            writer.add(top, image)
    writer.write_table()


class _FolderWriter:
    """Writes images into the folders of their labels."""

    def __init__(self, folder: Path, labels: Sequence[str], taken: set[bytes]) -> None:
        """`taken` are names at the top that no label may have."""
        self._folder = os.fsencode(folder)
        self._folder_of = {label: _free(folder_name(label), taken) for label in labels}
        names = self._folder_of.items()
        self._needs_table = any(label_of_group(stored_names.decode(name)) != label for label, name in names)
        self._taken: dict[bytes, set[bytes]] = {}  # folder below the top -> its names
        self._rows: list[tuple[bytes, str]] = []  # path and label of each image, if they are needed

    def add(self, top: bytes, image: LabelledImage) -> None:
        """Write one image."""
        assert image.label is not None
        below = os.path.join(top, self._folder_of[image.label])
        if below not in self._taken:
            self._taken[below] = set()
            os.makedirs(os.path.join(self._folder, below))
        place = os.path.join(below, _free(file_name(image), self._taken[below]))
        path = os.path.join(self._folder, place)
        with open(path, "xb", buffering=0) as file:
            write_all(file.fileno(), image.data, 0)
        if image.modified is not None:
            set_time(path, image.modified * 10**9)
        if self._needs_table:
            self._rows.append((place, image.label))

    def write_table(self) -> None:
        """Write the labels of all images, if the names of the folders do not tell them."""
        if not self._needs_table:
            return
        has_blanks = any(not label.strip() for label in self._folder_of)
        path = os.path.join(self._folder, os.fsencode(TABLE_OF_BLANKS if has_blanks else TABLE))
        rows = [(stored_names.decode(place), label) for place, label in self._rows]
        with open(path, "w", encoding="utf-8", errors="surrogateescape", newline="") as file:
            if has_blanks:
                json.dump(dict(rows), file, indent=0)
            else:
                csv.writer(file).writerows([("name", "label"), *rows])


def folder_name(label: str) -> bytes:
    """The name of the folder of a label: that of its group in a store, if a visible folder can have it."""
    return _visible(stored_names.encode(group_name(label)), LONGEST)


def file_name(image: LabelledImage) -> bytes:
    """The name of an image's file."""
    name = image.name
    if not has_image_suffix(stored_names.decode(name)):
        name += suffix_of(image.data).encode()
    return _visible(name, LONGEST)


def _visible(name: bytes, longest: int) -> bytes:
    name = name.replace(b"/", b"%2F") or shown_names.EMPTY_NAME
    if name.startswith(b"."):
        name = b"%2E" + name[1:]
    elif name == MADE_BY_MACOS:
        name = b"%5F" + name[1:]
    return name if len(name) <= longest else shown_names.shorten(name, longest)


def _free(name: bytes, taken: set[bytes]) -> bytes:
    """The name, or a numbered one if it is taken; it is taken from now on."""
    free, number = name, 2
    while free in taken:
        free, number = numbered_name(name, number), number + 1
    taken.add(free)
    return free
