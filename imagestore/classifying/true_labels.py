"""True labels that the source does not hold as they are needed: the colour heuristic's, or other names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from imagestore.classifying.answer import Picture
from imagestore.console import note, printable


def heuristic_label(data: bytes) -> str | None:
    """The label that `colourHeuristic.py` gives an image; None if it cannot be decoded."""
    # Imported here, because only --heuristic needs them.
    from imagestore.colour.label import label_of
    from imagestore.colour.palette import find_palette
    from imagestore.decode.errors import NotAnImage

    try:
        return label_of(find_palette(data))
    except NotAnImage:
        return None


def with_class_names(pictures: Iterable[Picture], true_labels: set[str], file: Path) -> Iterator[Picture]:
    """The pictures, with the names that a file gives to those of all `true_labels` that are numbers.

    The file is read as `sort` and `partition` read it. If it names none of the labels, the user is told.
    Raises UserError.
    """
    from imagestore.labelling.class_names import read_class_names

    names = read_class_names(file, true_labels)
    are_numbers = any(map(str.isdecimal, true_labels))  # then those without a name are told already
    if true_labels and true_labels.isdisjoint(names) and not are_numbers:
        note(f"classify: --class-names {printable(str(file))}: names none of the true labels")
    return (
        replace(picture, true_label=names.get(picture.true_label, picture.true_label)) for picture in pictures
    )
