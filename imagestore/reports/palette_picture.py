"""An image beside its palette: a bar for each colour."""

from __future__ import annotations

from PIL import ImageOps

from imagestore.colour.colour_names import name_of
from imagestore.colour.palette import Palette
from imagestore.decode.decode_image import decode_rgb
from imagestore.drawing.canvas import Box, Canvas

# Pixels.
WIDTH, HEIGHT = 1100, 520
HEADING_HEIGHT = 50
MARGIN = 20
IMAGE_ROOM = (590, HEIGHT - HEADING_HEIGHT - MARGIN)
BARS_LEFT = 640
LONGEST_BAR = 200
HIGHEST_BAR = 110  # with the gap below it
GAP = 10
HEADING_SIZE, TEXT_SIZE = 19, 15  # of the letters
SMALLEST_SHARE = 0.005  # of a colour that gets a bar
OUTLINE = "#999999"


def palette_picture(image: bytes, palette: Palette, heading: str) -> Canvas:
    """An encoded image beside its colours: a bar for each, as long as its share. Raises NotAnImage."""
    canvas = Canvas(WIDTH, HEIGHT)
    canvas.write(WIDTH / 2, HEADING_HEIGHT / 2, heading, HEADING_SIZE, WIDTH - 2 * MARGIN, anchor="mm")
    pixels = ImageOps.contain(decode_rgb(image, IMAGE_ROOM), IMAGE_ROOM)
    left, top = ((room - size) // 2 for room, size in zip(IMAGE_ROOM, pixels.size, strict=True))
    canvas.images.append((MARGIN + left, HEADING_HEIGHT + top, pixels))
    _add_bars(canvas, palette)
    return canvas


def _add_bars(canvas: Canvas, palette: Palette) -> None:
    bars = max(1, int((palette.share >= SMALLEST_SHARE).sum()))
    share = palette.share[:bars].tolist()
    step = min(HIGHEST_BAR, (HEIGHT - HEADING_HEIGHT - MARGIN) / bars)
    for bar, lab, code in zip(range(bars), palette.lab, palette.hex_codes(), strict=False):
        top = round(HEADING_HEIGHT + bar * step)
        bottom = round(HEADING_HEIGHT + (bar + 0.8) * step)
        right = BARS_LEFT + max(2, round(LONGEST_BAR * share[bar] / share[0]))
        canvas.boxes.append(Box(BARS_LEFT, top, right, bottom, code, OUTLINE))
        text = f"{share[bar]:6.1%}   {name_of(lab)}   {code}"
        canvas.write(right + GAP, (top + bottom) / 2, text, TEXT_SIZE, WIDTH - MARGIN - right - GAP)
