"""The true label of an image: the group of a store's image, or the label that the colour heuristic gives."""

from __future__ import annotations


def group_label(path: str) -> str:
    """The true label of a store's image with this path: its top-level group."""
    return path.partition("/")[0]


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
