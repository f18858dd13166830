"""The true label of an archive's image: the label that the colour heuristic gives it."""

from __future__ import annotations


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
