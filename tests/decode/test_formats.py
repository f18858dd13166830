"""formats.py: every format of the table is decoded, within bounds, or it is said what is missing."""

from __future__ import annotations

import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, features

from imagestore.decode.decode_image import decode_rgb
from imagestore.decode.errors import NotAnImage
from imagestore.decode.memory_bound import VARIABLE
from imagestore.image_formats import FORMATS
from tests.helpers.commands import ROOT, environment
from tests.helpers.image_kinds import ORANGE, SIZE, encode_flat, ico, ppm, psd, qoi
from tests.helpers.images import encode

needs_avif = pytest.mark.skipif(not features.check("avif"), reason="Pillow is built without AVIF")
LEVELS = np.full((SIZE[1], SIZE[0], 3), ORANGE, np.uint8)


def heic() -> bytes:
    heif = pytest.importorskip("pillow_heif")
    return encode_with(heif)


def encode_with(heif: object) -> bytes:
    heif.register_heif_opener(thumbnails=False)
    return encode_flat("HEIF", quality=90)


WRITTEN: dict[str, Callable[[], bytes]] = {  # an orange picture in each format of the table
    "JPEG": lambda: encode_flat("JPEG", quality=95),
    "PNG": lambda: encode_flat("PNG"),
    "GIF": lambda: encode(Image.new("RGB", SIZE, ORANGE), "GIF"),
    "WEBP": lambda: encode_flat("WEBP", quality=90),
    "TIFF": lambda: encode_flat("TIFF"),
    "BMP": lambda: encode_flat("BMP"),
    "AVIF": lambda: encode_flat("AVIF", quality=90),
    "HEIF": heic,
    "JPEG2000": lambda: encode_flat("JPEG2000"),
    "PPM": lambda: encode_flat("PPM"),
    "ICO": lambda: ico(encode_flat("PNG")),
    "QOI": qoi,
    "PCX": lambda: encode_flat("PCX"),
    "SGI": lambda: encode_flat("SGI"),
    "DDS": lambda: encode_flat("DDS"),
    "PSD": psd,
    "DIB": lambda: encode_flat("DIB"),
    "TGA": lambda: encode_flat("TGA"),
}
OTHERS: dict[str, Callable[[], bytes]] = {
    "MPO": lambda: encode_flat("MPO", quality=95, save_all=True, append_images=[Image.new("RGB", SIZE)]),
    "JPEG 2000 without a container": lambda: encode_flat("JPEG2000", no_jp2=True),
    "PPM as text": lambda: ppm(LEVELS, 255, kind=3),
    "PPM up to 65535": lambda: ppm(LEVELS.astype(np.uint16) * 257, 65535, kind=6),
    "compressed TGA": lambda: encode_flat("TGA", compression="tga_rle"),
    "compressed DDS": lambda: encode_flat("DDS", pixel_format="DXT1"),
    "compressed SGI": lambda: b"\x01\xda\1\1\0\3" + sgi_runs(),
    "BigTIFF": lambda: encode_flat("TIFF", big_tiff=True),
}


def sgi_runs() -> bytes:
    """An SGI picture whose rows are runs (the SGI image file format, version 1.00)."""
    width, height = SIZE
    head = struct.pack(">HHH", width, height, 3) + struct.pack(">II", 0, 255)
    head = head.ljust(512 - 6, b"\0")
    rows = 3 * height
    first = 512 + 8 * rows
    table = b"".join(struct.pack(">I", first + 3 * row) for row in range(rows)) + struct.pack(">I", 3) * rows
    runs = b"".join(bytes([width, level, 0]) for level in ORANGE for _ in range(height))
    return head + table + runs


@pytest.mark.parametrize("kind", [*WRITTEN, *OTHERS])
def test_every_format_is_decoded(kind: str) -> None:
    if kind == "AVIF" and not features.check("avif"):
        pytest.skip("Pillow is built without AVIF")
    picture = decode_rgb((WRITTEN | OTHERS)[kind]())
    assert picture.size == SIZE
    assert np.abs(np.asarray(picture, np.int64) - ORANGE).max() <= 6


def test_every_row_of_the_table_is_tried() -> None:
    assert set(WRITTEN) == {row.name for row in FORMATS}


# ----- what is not read -----

PROGRAMS = {  # formats that start another program, or that nothing of the table reads
    "EPS": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\nshowpage\n",
    "EPS with a preview": b"\xc5\xd0\xd3\xc6"
    + struct.pack("<II", 32, 60)
    + bytes(20)
    + b"%!PS-Adobe-3.0 EPSF-3.0\n",
    "WMF": b"\xd7\xcd\xc6\x9a" + bytes(18) + b"\1\0\t\0\0\3" + bytes(60),
    "EMF": b"\1\0\0\0" + bytes(36) + b" EMF" + bytes(80),
    "PDF": b"%PDF-1.4\n" + bytes(60),
    "SVG": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
}


@pytest.mark.parametrize("kind", PROGRAMS)
def test_no_format_starts_a_program(kind: str) -> None:
    with pytest.raises(NotAnImage, match="not an image of a known format"):
        decode_rgb(PROGRAMS[kind])


@pytest.mark.parametrize("kind", [kind for kind in WRITTEN if kind not in ("AVIF", "HEIF", "DDS")])
def test_a_cut_picture_is_refused_in_one_line(kind: str) -> None:
    data = WRITTEN[kind]()
    with pytest.raises(NotAnImage) as refused:
        decode_rgb(data[: len(data) // 3])
    assert len(str(refused.value).splitlines()) == 1


# ----- what is not installed -----

DECODE = """
import sys
from imagestore.decode.decode_image import decode_rgb
from imagestore.decode.errors import NotAnImage
try:
    decode_rgb(sys.stdin.buffer.read())
except NotAnImage as error:
    print(error)
"""


def said_of(data: bytes, modules: Path) -> str:
    """What decoding says in a process that finds the modules of this folder first."""
    done = subprocess.run(
        [sys.executable, "-c", DECODE], input=data, cwd=ROOT, capture_output=True, timeout=120,
        env=environment({"PYTHONPATH": str(modules)}),
    )  # fmt: skip
    assert done.returncode == 0 and not done.stderr, done.stderr
    return done.stdout.decode().strip()


def test_heic_without_pillow_heif_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "pillow_heif.py").write_text("raise ImportError('not here')")
    said = said_of(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100), tmp_path)
    assert "pip install pillow-heif" in said


MISSING = """
import sys
for name in {!r}:
    sys.modules[name] = None
"""


@pytest.mark.parametrize(
    ("kind", "module"), [("AVIF", "PIL._avif"), ("WEBP", "PIL._webp")], ids=["AVIF", "WebP"]
)
def test_a_pillow_without_a_format_is_named(kind: str, module: str, tmp_path: Path) -> None:
    if not features.check(kind.lower()):
        pytest.skip("this Pillow cannot write the sample")
    (tmp_path / "sitecustomize.py").write_text(MISSING.format([module]))
    assert "Pillow is built without it" in said_of(WRITTEN[kind](), tmp_path)


# ----- bounds -----

SIDE = 16_000  # pixels: 256 megapixels need more than any bound that a test sets


def claims_to_be_large(kind: str) -> bytes:
    """A small file whose header says SIDE x SIDE pixels."""
    data = bytearray(WRITTEN[kind]())
    places = {  # where the width stands, and how; the height follows
        "JPEG2000": (data.find(b"\xff\x51") + 6, ">II"),
        "PPM": None,
        "QOI": (4, ">II"),
        "PCX": (8, "<HH"),
        "SGI": (6, ">HH"),
        "DDS": (12, "<II"),
        "PSD": (14, ">II"),
        "DIB": (4, "<II"),
        "TGA": (12, "<HH"),
        "AVIF": (data.find(b"ispe") + 8, ">II"),
    }
    if kind == "PPM":
        return bytes(data).replace(b"60 40", b"%d %d" % (SIDE, SIDE))
    place, how = places[kind]
    struct.pack_into(how, data, place, SIDE, SIDE)
    if kind == "JPEG2000":
        struct.pack_into(">II", data, data.find(b"ihdr") + 4, SIDE, SIDE)
        struct.pack_into(">II", data, place + 16, SIDE, SIDE)  # one tile
    if kind == "PCX":  # it has the last column and the last row, and the length of a line
        struct.pack_into("<HH", data, place, SIDE - 1, SIDE - 1)
        struct.pack_into("<H", data, 66, SIDE)
    return bytes(data)


LARGE = [
    "JPEG2000",
    "PPM",
    "QOI",
    "PCX",
    "SGI",
    "DDS",
    "PSD",
    "DIB",
    "TGA",
    pytest.param("AVIF", marks=needs_avif),
]
PEAK = """
import sys
from pathlib import Path
from imagestore.decode.decode_image import decode_rgb
from imagestore.decode.errors import NotAnImage
def peak():
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) >> 10
data = sys.stdin.buffer.read()
decode_rgb(Path(sys.argv[1]).read_bytes())  # what is loaded once
before = peak()
try:
    decode_rgb(data)
    print("decoded")
except NotAnImage as error:
    print(peak() - before, error)
"""


def test_a_plain_ppm_of_48_megapixels_is_decoded() -> None:
    assert decode_rgb(b"P6\n8000 6000\n255\n" + bytes(3 * 48_000_000)).size == (8000, 6000)


@pytest.mark.parametrize("kind", LARGE)
def test_a_header_that_claims_too_much_takes_no_memory(kind: str, tmp_path: Path) -> None:
    sound = tmp_path / "sound"
    sound.write_bytes(WRITTEN[kind]())
    done = subprocess.run(
        [sys.executable, "-c", PEAK, sound], input=claims_to_be_large(kind), cwd=ROOT, capture_output=True,
        timeout=120, env=environment({VARIABLE: "100M"}),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    taken, _, message = done.stdout.decode().partition(" ")
    assert int(taken) < 20, message
    assert f"{SIDE:,} x {SIDE:,} pixels" in message
