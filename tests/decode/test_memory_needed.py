"""memory_needed.py: decoding takes no more memory than it says, and too large images are refused."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from imagestore.colour.palette import find_palette
from imagestore.decode.decode_image import decode_rgb
from tests.helpers.commands import ROOT
from tests.helpers.images import encode

MEASURED_IN_FORKS = """
import json, os, sys
from pathlib import Path
import numpy as np
from PIL import Image
from imagestore.decode.decode_image import decode_rgb
from imagestore.decode.formats import open_image
from imagestore.decode.memory_needed import memory_needed
from imagestore.decode.orientation import read_orientation
from imagestore.decode.pixels_and_metadata import pixels_only, read_metadata
from tests.helpers.images import encode

WIDTH, HEIGHT = 2400, 2000
noise = Image.effect_noise((WIDTH, HEIGHT), 60)
rgb, rgba = noise.convert("RGB"), noise.convert("RGBA")
rgba.putalpha(noise)
numbers = np.asarray(noise)
turned = Image.Exif()
turned[0x0112] = 6
KINDS = {
    "jpeg": lambda: encode(rgb, "JPEG"),
    "jpeg turned": lambda: encode(rgb, "JPEG", exif=turned),
    "jpeg cmyk": lambda: encode(rgb.convert("CMYK"), "JPEG"),
    "jpeg progressive": lambda: encode(rgb, "JPEG", progressive=True),
    "jpeg progressive 444": lambda: encode(rgb, "JPEG", progressive=True, subsampling=0),
    "png": lambda: encode(rgb, "PNG", compress_level=1),
    "png rgba": lambda: encode(rgba, "PNG", compress_level=1),
    "png palette": lambda: encode(rgb.quantize(16), "PNG", compress_level=1),
    "png palette alpha": lambda: encode(rgb.quantize(16), "PNG", compress_level=1, transparency=0),
    "png grey": lambda: encode(noise, "PNG", compress_level=1),
    "png grey alpha": lambda: encode(rgba.convert("LA"), "PNG", compress_level=1),
    "png 16 bits": lambda: encode(Image.fromarray(numbers.astype(np.uint16) * 257), "PNG", compress_level=1),
    "png one bit": lambda: encode(noise.convert("1"), "PNG", compress_level=1),
    "gif": lambda: encode(rgb.quantize(16), "GIF"),
    "webp": lambda: encode(rgb, "WEBP", method=0),
    "webp rgba": lambda: encode(rgba, "WEBP", method=0),
    "tiff": lambda: encode(rgb, "TIFF"),
    "tiff lzw": lambda: encode(rgb, "TIFF", compression="tiff_lzw"),
    "tiff one strip": lambda: encode(rgb, "TIFF", compression="tiff_lzw", strip_size=1 << 30),
    "tiff jpeg": lambda: encode(rgb, "TIFF", compression="jpeg"),
    "tiff float": lambda: encode(Image.fromarray(numbers.astype(np.float32)), "TIFF"),
    "tiff int": lambda: encode(Image.fromarray(numbers.astype(np.int32)), "TIFF"),
    "tiff cmyk": lambda: encode(rgb.convert("CMYK"), "TIFF"),
    "bmp": lambda: encode(rgb, "BMP"),
}

def memory(key):  # bytes
    return int(Path("/proc/self/status").read_text().split(key + ":")[1].split()[0]) << 10

def report(kind):
    data = KINDS[kind]()
    opened, turned_by = open_image(pixels_only(data)), read_orientation(read_metadata(data).exif)
    needed = memory_needed(opened, is_turned=turned_by != 1)
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = memory("VmRSS")
    decode_rgb(data)
    print(json.dumps([kind, memory("VmHWM") - before - len(data), needed]), flush=True)

decode_rgb(encode(rgb, "JPEG"), (8, 8))  # what is loaded once is not measured
for kind in KINDS:
    if not os.fork():
        report(kind)
        os._exit(0)
    os.wait()
"""


@pytest.mark.slow
def test_no_image_takes_more_memory_than_estimated() -> None:
    done = subprocess.run(
        [sys.executable, "-c", MEASURED_IN_FORKS], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    figures = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(figures) == MEASURED_IN_FORKS.count("lambda")
    assert [line for line in figures if line[1] > line[2] + (4 << 20)] == []


def photograph(width: int, height: int) -> Image.Image:
    """Orange, with a navy quarter at the left."""
    image = Image.new("RGB", (width, height), (250, 130, 0))
    image.paste((0, 0, 90), (0, 0, width // 4, height))
    return image


LARGE = {  # ordinary sizes of phones, cameras and scanners
    "WebP of 12 megapixels": ((4032, 3024), "RGB", {"format": "WEBP", "method": 0}),
    "WebP of 24 megapixels": ((6000, 4000), "RGB", {"format": "WEBP", "method": 0}),
    "TIFF of 24 megapixels": ((6000, 4000), "RGB", {"format": "TIFF"}),
    "TIFF of 35 megapixels": ((4961, 7016), "RGB", {"format": "TIFF", "compression": "tiff_lzw"}),
    "TIFF of 48 megapixels": ((8064, 6048), "RGB", {"format": "TIFF"}),
    "fax of 35 megapixels": ((4961, 7016), "1", {"format": "TIFF", "compression": "group4"}),
    "PNG of 24 megapixels": ((6000, 4000), "RGBA", {"format": "PNG", "compress_level": 1}),
    "PNG of 35 megapixels": ((4961, 7016), "RGB", {"format": "PNG", "compress_level": 1}),
    "BMP of 48 megapixels": ((8064, 6048), "RGB", {"format": "BMP"}),
    "progressive JPEG of 24 megapixels": (
        (6000, 4000), "RGB", {"format": "JPEG", "progressive": True, "subsampling": 0},
    ),
    "progressive JPEG of 48 megapixels": (
        (8064, 6048), "RGB", {"format": "JPEG", "progressive": True, "subsampling": 0},
    ),
    "JPEG of 200 megapixels": ((16_320, 12_240), "RGB", {"format": "JPEG"}),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("kind", LARGE)
def test_ordinary_large_pictures_are_decoded(kind: str) -> None:
    size, mode, how = LARGE[kind]
    data = encode(photograph(*size).convert(mode), **how)
    palette = find_palette(data)
    share, colour = palette.share[0], palette.rgb[0]
    assert share > 0.5 and (mode == "1" or np.abs(colour.astype(int) - (250, 130, 0)).max() <= 4)
    for picture in (decode_rgb(data, (224, 224)), decode_rgb(data)):
        red, green, blue = picture.getpixel((picture.width - 9, picture.height // 2))
        assert mode == "1" or max(abs(red - 250), abs(green - 130), abs(blue)) <= 4
        assert min(picture.size) >= 224
