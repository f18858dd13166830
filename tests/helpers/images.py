"""Images of known colours, drawn and encoded."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image


def encode(image: Image.Image, format: str = "PNG", **options: object) -> bytes:
    """An image as a file of that format; `options` are those of Pillow's `save`."""
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def stripes(
    size: tuple[int, int] = (90, 60),
    colours: tuple[str, ...] = ("blue", "white", "red"),
    parts: tuple[int, ...] = (6, 3, 1),
) -> Image.Image:
    """Vertical stripes; `parts` are their shares of the width."""
    image = Image.new("RGB", size)
    left = 0
    for colour, part in zip(colours, parts, strict=True):
        right = left + size[0] * part // sum(parts)
        image.paste(colour, (left, 0, right, size[1]))
        left = right
    return image


def blobs(size: tuple[int, int] = (640, 480), seed: int = 1) -> Image.Image:
    """Blurred blobs of many colours, as unclear as a photograph."""
    random = np.random.default_rng(seed)
    coarse = Image.fromarray(random.integers(0, 256, (9, 12, 3), np.uint8))
    return coarse.resize(size, Image.Resampling.BICUBIC)
