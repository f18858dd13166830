"""Views of pictures: the part that was chosen, at the right size, from bytes and from a square."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms.v2.functional import resized_crop

from imagestore.decode.errors import NotAnImage
from imagestore.loading.crops import draw
from imagestore.loading.squares import decode_square
from imagestore.loading.views import View, cut_view, decode_view
from tests.helpers.images import encode

KINDS = ["JPEG", "PNG", "WEBP"]
NUMBERS = draw(5, 0, np.arange(12).astype(np.uint64))


def picture(width: int = 640, height: int = 560) -> Image.Image:
    coarse = np.random.default_rng(0).integers(0, 256, (6, 7, 3), np.uint8)
    return Image.fromarray(coarse).resize((width, height))


def expected(image: Image.Image, view: View, numbers: np.ndarray | None) -> np.ndarray:
    """By torchvision, from the whole picture."""
    box = view.box(*image.size, numbers)
    whole = torch.from_numpy(np.array(image)).permute(2, 0, 1)
    crop = resized_crop(whole, *box, [view.side, view.side], antialias=True)
    crop = crop.flip(2) if view.is_mirrored(numbers) else crop
    return crop.permute(1, 2, 0).numpy()


def difference(some: np.ndarray, others: np.ndarray) -> float:
    assert (some.shape, some.dtype) == (others.shape, np.uint8)
    return float(np.abs(some.astype(int) - others.astype(int)).mean())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("view", [View(48), View(48, "centre"), View(300), View(600, "centre")])
def test_a_plain_view_holds_the_pixels_of_its_part(kind: str, view: View) -> None:
    image = picture()
    seen = decode_view(encode(image, kind, quality=95), view)
    assert difference(seen, expected(image, view, None)) < 4


@pytest.mark.parametrize("kind", KINDS)
def test_a_crop_holds_the_pixels_of_its_box(kind: str) -> None:
    """At a small scale of a JPEG they differ a little from those of the whole picture."""
    image, view = picture(), View(48, augment="crop")
    data = encode(image, kind, quality=95)
    for numbers in NUMBERS:
        assert difference(decode_view(data, view, numbers), expected(image, view, numbers)) < 4


@pytest.mark.parametrize(
    "view", [View(48), View(48, "centre"), View(48, augment="flip"), View(48, augment="crop")]
)
def test_a_square_shows_the_same_part(view: View) -> None:
    """At the resolution of the square."""
    data = encode(picture(), "JPEG", quality=95)
    square, size = decode_square(data, view.side_to_keep)
    assert (square.shape, size) == ((view.side_to_keep, view.side_to_keep, 3), (640, 560))
    for numbers in (None, *NUMBERS):
        assert difference(cut_view(square, size, view, numbers), decode_view(data, view, numbers)) < 10


def test_what_is_kept_is_enough_for_the_view() -> None:
    assert View(224).side_to_keep == View(224, augment="flip").side_to_keep == 224
    assert View(224, "centre").side_to_keep == View(224, augment="crop").side_to_keep == 256


def test_the_centre_is_that_of_a_picture_of_any_shape() -> None:
    assert View(224, "centre").box(500, 400, None) == (25, 75, 350, 350)
    assert View(224, "centre").box(300, 1200, None) == (469, 19, 262, 262)
    assert View(224, "centre").box(1, 1, None) == (0, 0, 1, 1)


@pytest.mark.parametrize("size", [(1, 1), (3, 400), (1000, 20), (64, 64)])
def test_a_picture_of_any_shape_has_every_view(size: tuple[int, int]) -> None:
    data = encode(picture(*size), "JPEG")
    for view in (View(20), View(20, "centre"), View(20, augment="crop")):
        for numbers in (None, *NUMBERS):
            assert decode_view(data, view, numbers).shape == (20, 20, 3)


def test_what_is_no_picture_has_no_view() -> None:
    with pytest.raises(NotAnImage):
        decode_view(b"no picture", View(20))


def test_a_picture_of_the_right_size_is_not_changed() -> None:
    image = picture(32, 32)
    assert np.array_equal(decode_view(encode(image, "PNG"), View(32)), np.array(image))
