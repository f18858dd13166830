"""From an image of any mode to 8 bits, and to RGB.

Every picture passes `to_8_bits` before anything is averaged or shown, so a palette, a sheet and a network get
the same colours.
"""

from __future__ import annotations

from PIL import Image

from imagestore.decode.formats import format_of
from imagestore.decode.grey_levels import holds_numbers, to_grey_levels

UNSCALED_GREYS = {"L;2": 85, "L;4": 17}  # raw mode of a PNG -> what Pillow multiplies its greys by


def scale_transparent_colour(image: Image.Image) -> None:
    """Give the transparent colour of an opened PNG the depth that its pixels have once they are loaded."""
    colour = image.info.get("transparency")
    if image.format != "PNG" or colour is None or not image.tile:
        return
    raw_mode = image.tile[0][3]
    if raw_mode in UNSCALED_GREYS:
        image.info["transparency"] = colour * UNSCALED_GREYS[raw_mode]
    elif raw_mode == "RGB;16B":  # Pillow drops the lower half of each number
        image.info["transparency"] = tuple(number >> 8 for number in colour)


def to_8_bits(image: Image.Image) -> Image.Image:
    """The image as L, RGB or RGBA. It is one of Pillow's readers, loaded, or an image of any mode."""
    if image.mode in ("L", "RGB") and "transparency" not in image.info:
        return image
    if holds_numbers(image):
        return to_grey_levels(image)
    if image.has_transparency_data:
        return _without_unused_alpha(_to_rgba(image), image)
    return image.convert("L" if image.mode == "1" else "RGB")


def _to_rgba(image: Image.Image) -> Image.Image:
    if image.mode == "RGBA":
        return image
    return (image.convert("LA") if image.mode == "La" else image).convert("RGBA")


def _without_unused_alpha(rgba: Image.Image, image: Image.Image) -> Image.Image:
    """An RGBA image; as RGB if the format of `image` leaves room for an alpha that nothing was written to."""
    unused = format_of(image).alpha_may_be_unused and rgba.getchannel("A").getextrema() == (0, 0)
    return rgba.convert("RGB") if unused else rgba


def on_white(image: Image.Image) -> Image.Image:
    """An image of `to_8_bits` as RGB."""
    if image.mode == "RGBA":
        white = Image.new("RGB", image.size, "white")
        white.paste(image, mask=image)  # less memory than Image.alpha_composite, and equal
        return white
    return image if image.mode == "RGB" else image.convert("RGB")
