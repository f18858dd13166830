"""An image beside its palette, checked pixel by pixel."""

from __future__ import annotations

import numpy as np
from PIL import Image

from imagestore.colour.palette import find_palette
from imagestore.reports.palette_picture import palette_picture
from tests.helpers.images import encode, stripes
from tests.helpers.pictures import count_pixels, texts_of


def test_bars_are_as_long_as_the_shares() -> None:
    data = encode(stripes(colours=("#1428c8", "#fadc1e"), parts=(2, 1)))
    canvas = palette_picture(data, find_palette(data), "a/b.jpg")
    texts = texts_of(canvas)
    assert any("66.7%" in text and "blue" in text and "#1428c8" in text for text in texts)
    assert any("33.3%" in text and "yellow" in text and "#fadc1e" in text for text in texts)
    assert "a/b.jpg" in texts
    long, short = (box.right - box.left for box in canvas.boxes)
    assert abs(short / long - 1 / 2) < 0.01
    drawn = canvas.draw()
    assert count_pixels(drawn, (20, 40, 200)) > 2 * count_pixels(drawn, (250, 220, 30)) * 0.8 > 10_000


def test_texts_neither_overlap_nor_leave_the_picture() -> None:
    random = np.random.default_rng(3)
    noise = Image.fromarray(random.integers(0, 256, (6, 8, 3), np.uint8))
    data = encode(noise.resize((640, 480), Image.Resampling.NEAREST), "JPEG")
    canvas = palette_picture(data, find_palette(data), "a" * 300)
    places = [canvas.place_of(text) for text in canvas.texts]
    assert len(places) > 6
    for i, (left, top, right, bottom) in enumerate(places):
        assert left >= 0 and right <= canvas.width and top >= 0 and bottom <= canvas.height
        for other in places[i + 1 :]:
            assert right <= other[0] or other[2] <= left or bottom <= other[1] or other[3] <= top
