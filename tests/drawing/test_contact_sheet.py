"""Contact sheets: every image, named, and no text over another."""

from __future__ import annotations

import pytest
from PIL import Image

from imagestore.drawing.contact_sheet import THUMBNAIL, CaptionedImage, SheetRow, contact_sheet
from tests.helpers.images import encode
from tests.helpers.pictures import count_pixels, texts_of


def test_a_sheet_shows_every_image_and_names_its_rows() -> None:
    red = CaptionedImage(encode(Image.new("RGB", (300, 200), "red")), "one.jpg")
    blue = CaptionedImage(encode(Image.new("RGB", (9, 700), "blue")), "two.jpg")
    broken = CaptionedImage(b"no image", "broken.jpg")
    rows = [SheetRow("red\n2", [red] * 2), SheetRow("odd $x$ name", [broken, blue]), SheetRow("empty", [])]
    canvas = contact_sheet(rows, "flowers.h5: 4 images")
    texts = texts_of(canvas)
    assert {"red\n2", "empty", "flowers.h5: 4 images", "broken.jpg", "odd $x$ name"} <= set(texts)
    assert texts.count("one.jpg") == 2
    drawn = canvas.draw()
    assert drawn.size == (canvas.width, canvas.height)
    assert count_pixels(drawn, (255, 0, 0)) == 2 * THUMBNAIL**2
    assert count_pixels(drawn, (0, 0, 255)) == THUMBNAIL**2
    assert count_pixels(drawn, (200, 200, 200)) == pytest.approx(THUMBNAIL**2, rel=0.01)


def test_long_captions_stay_below_their_images() -> None:
    image = CaptionedImage(encode(Image.new("RGB", (40, 40), "green")), "IMG_20240131_" * 6)
    canvas = contact_sheet([SheetRow("dark-green" * 6, [image] * 3)], "t" * 500)
    places = [canvas.place_of(text) for text in canvas.texts]
    for i, (left, top, right, bottom) in enumerate(places):
        assert left >= 0 and right <= canvas.width and top >= 0 and bottom <= canvas.height
        for other in places[i + 1 :]:
            assert right <= other[0] or other[2] <= left or bottom <= other[1] or other[3] <= top


def test_an_image_with_a_colour_has_a_frame() -> None:
    image = CaptionedImage(encode(Image.new("RGB", (40, 40), "blue")), "", "#1a7f37")
    drawn = contact_sheet([SheetRow("row", [image])], "heading").draw()
    inner = (THUMBNAIL - 8) ** 2
    assert count_pixels(drawn, (0x1A, 0x7F, 0x37)) == THUMBNAIL**2 - inner
    assert count_pixels(drawn, (0, 0, 255)) == inner


def test_a_sheet_without_rows_can_be_drawn() -> None:
    assert contact_sheet([], "nothing").draw().size[0] > 0
