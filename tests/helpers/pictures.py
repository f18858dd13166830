"""What a picture for people shows: its texts, and how many pixels have a colour."""

from __future__ import annotations

import numpy as np
from PIL import Image

from imagestore.drawing.canvas import Canvas


def texts_of(canvas: Canvas) -> list[str]:
    """All texts of a picture, those of several lines with newlines."""
    return ["\n".join(text.lines) for text in canvas.texts]


def count_pixels(drawn: Image.Image, rgb: tuple[int, int, int]) -> int:
    """The pixels that have exactly this colour."""
    return int((np.asarray(drawn.convert("RGB")) == np.array(rgb, np.uint8)).all(2).sum())
