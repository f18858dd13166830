"""Colours and their names: swatches people have named, drawn pictures of every kind, hostile files."""

import io
import os
import random
import struct
import subprocess
import sys
import tarfile
import zipfile
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from matplotlib.colors import CSS4_COLORS, XKCD_COLORS
from PIL import ExifTags, Image, ImageOps

from imagestore import decode
from imagestore.colour.cielab import srgb_to_lab
from imagestore.colour.label import all_labels, basic_term, label_of, name_of, share_covered
from imagestore.colour.palette import CLUSTERS, HEURISTIC_VERSION, Palette, find_palette, heuristic_settings
from imagestore.colour.sample_pixels import PIXELS, sample_pixels
from imagestore.colour.terms import TERMS
from imagestore.decode import NotAnImage
from tests.helpers.commands import ROOT

# What hardly anybody would dispute.
PLAIN = {
    "#000000": "black", "#ffffff": "white", "#808080": "grey", "#ff0000": "red", "#ffa500": "orange",
    "#ffff00": "yellow", "#008000": "green", "#00ff00": "green", "#0000ff": "blue", "#800080": "purple",
    "#ffc0cb": "light-pink", "#964b00": "brown", "#000080": "dark-blue", "#006400": "dark-green",
    "#add8e6": "light-blue", "#90ee90": "light-green", "#8b0000": "dark-red", "#d3d3d3": "light-grey",
    "#654321": "brown", "#ff69b4": "pink", "#ff7f00": "orange", "#e6e6fa": "light-blue",
    "#301934": "dark-purple",
}  # fmt: skip


def lab(code):
    return srgb_to_lab(np.array([list(bytes.fromhex(code[1:]))], np.uint8))[0]


def encoded(image, kind="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def label(image, kind="PNG", **options):
    return label_of(find_palette(encoded(image, kind, **options)))


def flag(size=(90, 60), colours=("blue", "white", "red"), parts=(6, 3, 1), mode="RGB"):
    """Vertical stripes of the given parts of the width."""
    image = Image.new(mode, size)
    left = 0
    for each, part in zip(colours, parts, strict=True):
        right = left + size[0] * part // sum(parts)
        image.paste(each, (left, 0, right, size[1]))
        left = right
    return image


def scene(seed=1, size=(640, 480)):
    """Blurred blobs of many colours, as unclear as a photograph."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (9, 12, 3), np.uint8))
    return coarse.resize(size, Image.Resampling.BICUBIC)


# ----- names -----


@pytest.mark.parametrize(("code", "wanted"), PLAIN.items())
def test_a_plain_colour_has_the_name_that_people_give_it(code, wanted):
    assert name_of(lab(code)) == wanted


@pytest.mark.parametrize(
    ("names", "least"), [(CSS4_COLORS, 0.8), (XKCD_COLORS, 0.95)], ids=["CSS", "xkcd survey"]
)
def test_swatches_go_by_the_basic_term_in_their_name(names, least):
    """The names that end in a basic term with nothing but a plain qualifier before it."""
    qualifiers = [
        "",
        "light",
        "dark",
        "deep",
        "pale",
        "bright",
        "medium",
        "vivid",
        "hot",
        "royal",
        "sky",
        "forest",
    ]
    right = []
    for written, code in names.items():
        words = written.removeprefix("xkcd:").replace("gray", "grey").replace(" ", "")
        term = next((term for term in TERMS if words.endswith(term)), None)
        if term and words.removesuffix(term) in qualifiers:
            right.append(basic_term(name_of(lab(code))) == term)
    assert len(right) > 25
    assert np.mean(right) >= least


@given(st.tuples(st.floats(0, 100), st.floats(-128, 128), st.floats(-128, 128)))
def test_any_lab_colour_has_a_legal_name(point):
    given_name = name_of(point)
    assert given_name in all_labels()
    assert basic_term(given_name) in TERMS


def test_labels_are_safe_as_names_of_files_and_groups():
    assert len(set(all_labels())) == len(all_labels()) == 11 + 2 * 9
    for each in all_labels():
        assert each.replace("-", "").isalpha() and each.isascii() and each == each.lower()


@pytest.mark.parametrize("level", range(0, 256, 5))
def test_greys_are_never_coloured(level):
    assert basic_term(name_of(lab(f"#{level:02x}{level:02x}{level:02x}"))) in ("black", "grey", "white")


def test_srgb_to_lab_agrees_with_the_published_values():
    # B. Lindbloom's CIE colour calculator: sRGB, D65.
    published = {
        "#ff0000": (53.24, 80.09, 67.20),
        "#00ff00": (87.73, -86.18, 83.18),
        "#0000ff": (32.30, 79.19, -107.86),
    }
    for code, wanted in published.items():
        assert lab(code) == pytest.approx(wanted, abs=0.05)


# ----- palettes -----

small_pictures = arrays(np.uint8, st.tuples(st.integers(1, 12), st.integers(1, 12), st.just(3)))


@given(small_pictures, st.integers(1, 20))
@settings(deadline=None)
def test_a_palette_is_sorted_whole_and_deterministic(picture, clusters):
    image = Image.fromarray(picture)
    found = find_palette(image, clusters)
    assert 1 <= len(found) <= min(clusters, len(np.unique(picture.reshape(-1, 3), axis=0)))
    assert found.share.sum() == pytest.approx(1, abs=1e-5)
    assert (found.share > 0).all() and (np.diff(found.share) <= 0).all()
    assert np.array_equal(found.lab, srgb_to_lab(found.rgb))
    assert np.array_equal(found.table(), find_palette(image, clusters).table())
    assert np.array_equal(Palette.from_table(found.table()).table(), found.table())
    assert label_of(found) in all_labels()
    assert sum(share_covered(found, term) for term in TERMS) == pytest.approx(1)


@given(small_pictures)
@settings(deadline=None)
def test_the_order_of_the_pixels_does_not_matter(picture):
    one = find_palette(Image.fromarray(picture))
    other = find_palette(Image.fromarray(picture[::-1, ::-1].copy()))
    assert np.array_equal(one.table(), other.table())
    assert np.array_equal(one.tally, other.tally)


def test_flat_colours_come_out_exactly_with_their_shares():
    found = find_palette(encoded(flag(), "BMP"))
    assert found.hex_codes() == ["#0000ff", "#ffffff", "#ff0000"]
    assert found.share.tolist() == pytest.approx([0.6, 0.3, 0.1])
    assert label_of(found) == "blue"


def test_a_flat_image_has_the_name_of_its_colour():
    for code in XKCD_COLORS.values():
        assert label_of(find_palette(Image.new("RGB", (4, 4), code))) == name_of(lab(code))


def test_neutral_colours_are_not_split_in_two():
    """Pillow's LAB arrays wrap around at neutral: a grey ramp would fall apart in a and b."""
    found = find_palette(Image.linear_gradient("L"))
    assert np.abs(found.lab[:, 1:]).max() < 0.1
    assert label_of(found) == "grey"


def test_the_label_is_what_covers_most_not_the_largest_cluster():
    share = np.array([0.4, 0.3, 0.3], np.float32)
    codes = ["#000000", "#1f7a1f", "#3c9a3c"]
    assert label_of(Palette(share, np.array([lab(code) for code in codes]), None)) == "green"


def test_the_same_bytes_give_the_same_palette_in_another_process(tmp_path):
    (tmp_path / "scene.jpg").write_bytes(encoded(scene(), "JPEG"))
    code = (
        "import sys; from imagestore.colour.label import label_of; "
        "from imagestore.colour.palette import find_palette; "
        "sys.stdout.write(find_palette(open(sys.argv[1], 'rb').read()).table().tobytes().hex())"
    )
    command = [sys.executable, "-c", code, tmp_path / "scene.jpg"]
    wanted = find_palette((tmp_path / "scene.jpg").read_bytes()).table().tobytes().hex()
    for threads in ("1", "2"):
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": threads, "PYTHONHASHSEED": threads}
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)
        assert done.stdout == wanted, done.stderr


def test_settings_say_what_a_palette_depends_on():
    assert heuristic_settings()["clusters"] == CLUSTERS
    assert HEURISTIC_VERSION


def test_colour_needs_no_heavy_package():
    heavy = ("torch", "scipy", "sklearn", "matplotlib", "h5py")
    code = f"import sys, imagestore.colour.label; print(*set({heavy}) & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout.strip()) == (0, "")


# ----- stability -----

CHANGES = {
    "mirrored": lambda image: encoded(ImageOps.mirror(image), "JPEG", quality=95),
    "quality 70": lambda image: encoded(image, "JPEG", quality=70),
    "halved": lambda image: encoded(image.resize((image.width // 2, image.height // 2)), "JPEG", quality=90),
}


@pytest.mark.parametrize("change", CHANGES)
def test_photographs_keep_their_label(flowers, change):
    kept = []
    with tarfile.open(flowers) as archive:
        images = [member for member in archive.getmembers() if member.name.endswith(".jpg")]
        for member in random.Random(5).sample(images, min(60, len(images))):
            data = archive.extractfile(member).read()
            before = label_of(find_palette(data))
            after = label_of(find_palette(CHANGES[change](Image.open(io.BytesIO(data)).convert("RGB"))))
            kept.append((basic_term(before) == basic_term(after), before == after))
    basic, whole = np.mean(kept, axis=0)
    assert basic >= 0.95
    assert whole >= 0.92


# ----- kinds of pictures -----

ROTATED = Image.Exif()
ROTATED[ExifTags.Base.Orientation] = 6
HALF_GREY = np.full((50, 80), 0x8080, np.uint16)
KINDS = {
    "one pixel": (Image.new("RGB", (1, 1), "red"), "PNG", {}, "red"),
    "one pixel, JPEG": (Image.new("RGB", (1, 1), "orange"), "JPEG", {}, "orange"),
    "flat and large": (Image.new("RGB", (2000, 1500), "blue"), "PNG", {}, "blue"),
    "grey": (Image.new("L", (64, 64), 128), "JPEG", {}, "grey"),
    "bilevel": (Image.new("1", (2000, 2000), 1), "TIFF", {}, "white"),
    "palette": (flag().quantize(4), "GIF", {}, "blue"),
    "palette, large": (flag((1800, 1200)).quantize(4), "PNG", {}, "blue"),
    "CMYK": (Image.new("CMYK", (300, 200), (0, 255, 255, 0)), "JPEG", {"quality": 95}, "red"),
    "CMYK, TIFF": (Image.new("CMYK", (300, 200), (255, 0, 255, 0)), "TIFF", {}, "green"),
    "Lab": (Image.new("RGB", (40, 40), "red").convert("LAB"), "TIFF", {}, "red"),
    "16 bits, PNG": (Image.fromarray(HALF_GREY), "PNG", {}, "grey"),
    "16 bits, TIFF": (Image.fromarray(HALF_GREY.repeat(20, 0)), "TIFF", {}, "grey"),
    "32 bits": (Image.fromarray(HALF_GREY.astype(np.int32)), "TIFF", {}, "grey"),
    "floating point": (Image.fromarray(np.full((40, 40), 0.5, np.float32)), "TIFF", {}, "grey"),
    "not a number": (Image.fromarray(np.full((40, 40), np.nan, np.float32)), "TIFF", {}, "black"),
    "invisible": (Image.new("RGBA", (40, 40), (255, 0, 0, 0)), "PNG", {}, "white"),
    "half transparent": (Image.new("RGBA", (40, 40), (255, 0, 0, 64)), "PNG", {}, "light-pink"),
    "rotated by EXIF": (flag(), "JPEG", {"exif": ROTATED}, "blue"),
    "WebP": (flag(), "WEBP", {"lossless": True}, "blue"),
    "BMP": (flag(), "BMP", {}, "blue"),
    "panorama": (flag((8000, 400)), "JPEG", {}, "blue"),
    "panorama, PNG": (flag((8000, 400)), "PNG", {}, "blue"),
    "a line across": (flag((60_000, 1)), "PNG", {}, "blue"),
    "a line down": (Image.new("RGB", (1, 20_000), "red"), "JPEG", {}, "red"),
    "progressive": (flag((1200, 900)), "JPEG", {"progressive": True}, "blue"),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_picture_gets_a_sensible_name(kind):
    image, format_, options, wanted = KINDS[kind]
    assert label(image, format_, **options) == wanted


def test_what_cannot_be_seen_does_not_count():
    image = Image.new("RGBA", (200, 200), (0, 255, 0, 0))
    image.paste((0, 0, 255, 255), (80, 80, 120, 120))
    assert label(image) == label(image, "WEBP", lossless=True) == "blue"


def test_an_animation_goes_by_its_first_picture():
    frames = [Image.new("RGB", (60, 60), each) for each in ("green", "red", "blue")]
    for kind in ("GIF", "WEBP"):
        assert basic_term(label(frames[0], kind, save_all=True, append_images=frames[1:], loop=0)) == "green"


def test_a_pillow_image_is_left_as_it_was():
    image = Image.fromarray(HALF_GREY.repeat(40, 0))
    before = image.tobytes(), dict(image.info), image.size
    assert label_of(find_palette(image)) == "grey"
    assert (image.tobytes(), dict(image.info), image.size) == before


def test_large_and_small_pictures_are_looked_at_alike():
    for size in ((300, 225), (640, 480), (4000, 3000)):
        for kind in ("JPEG", "PNG"):
            assert PIXELS <= len(sample_pixels(encoded(scene(2, size), kind))) < 4 * PIXELS


# ----- hostile files -----


def png(width, height, data):
    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def jpeg_claiming(width, height, **options):
    data = bytearray(encoded(Image.new("RGB", (16, 16), "red"), "JPEG", **options))
    start = data.find(b"\xff\xc2" if options.get("progressive") else b"\xff\xc0")
    data[start + 5 : start + 9] = struct.pack(">HH", height, width)
    return bytes(data)


def zipped():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("image.txt", "x" * 1000)
    return buffer.getvalue()


def many_scans():
    data = encoded(scene(), "JPEG", progressive=True)
    start = data.rfind(b"\xff\xda")
    return data[:start] + data[start:-2] * 200 + data[-2:]


def gif_of(width, height):
    data = encoded(Image.new("P", (4, 4)), "GIF")
    return data[:6] + struct.pack("<HH", width, height) + data[10:]


def damaged_tiff():
    data = bytearray(encoded(scene(), "TIFF", compression="tiff_lzw"))
    data[1000:1400] = b"\xa5" * 400
    return bytes(data)


HOSTILE = {
    "nothing": lambda: b"",
    "text": lambda: b"not an image" * 100,
    "zip": zipped,
    "PostScript": lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n",
    "cut short": lambda: encoded(scene(), "JPEG")[:9000],
    "cut to its header": lambda: encoded(scene(), "JPEG")[:200],
    "PNG cut short": lambda: encoded(scene(), "PNG")[:9000],
    "WebP cut short": lambda: encoded(scene(), "WEBP")[:2000],
    "TIFF cut short": lambda: encoded(scene(), "TIFF", compression="tiff_lzw")[:9000],
    "TIFF damaged": damaged_tiff,
    "enormous PNG": lambda: png(60_000, 60_000, zlib.compress(bytes(1000))),
    "large PNG": lambda: png(12_000, 12_000, zlib.compress(bytes(36_001 * 1000), 1)),
    "enormous JPEG": lambda: jpeg_claiming(60_000, 60_000),
    "large progressive JPEG": lambda: jpeg_claiming(9_000, 9_000, progressive=True),
    "progressive JPEG without end": many_scans,
    "enormous GIF": lambda: gif_of(65_535, 65_535),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_files_are_refused_in_one_line(kind, recwarn, capfd):
    with pytest.raises(NotAnImage) as refused:
        find_palette(HOSTILE[kind]())
    assert str(refused.value) and "\n" not in str(refused.value)
    assert not recwarn.list
    assert capfd.readouterr().err == ""


def test_a_bomb_takes_no_memory():
    """Each in a process of its own that may not grow by more than the bound."""
    code = """
import sys
from pathlib import Path
from imagestore.colour.label import label_of
from imagestore.colour.palette import find_palette
from imagestore.decode import NotAnImage
def peak():  # MiB; ru_maxrss would begin with the peak of the process that started this one
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) >> 10
data = sys.stdin.buffer.read()
before = peak()
try:
    find_palette(data)
except NotAnImage:
    pass
print(peak() - before)
"""
    large = Image.new("RGB", (6000, 4500), "teal")  # 27 megapixels: decoded, within bounds
    for data in (
        HOSTILE["large PNG"](),
        HOSTILE["large progressive JPEG"](),
        encoded(large, "PNG", compress_level=1),
    ):
        done = subprocess.run(
            [sys.executable, "-c", code], input=data, cwd=ROOT, capture_output=True, timeout=60
        )
        assert done.returncode == 0, done.stderr
        assert int(done.stdout) < 1.2 * (decode.MOST_BYTES >> 20)


def test_a_phone_photograph_of_fifty_megapixels_is_named():
    assert label(flag((8160, 6120)), "JPEG") == "blue"


@given(st.sampled_from(["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP"]), st.data())
@settings(deadline=None, max_examples=150)
def test_damaged_files_raise_nothing_else(kind, data):
    options = {"compression": "tiff_lzw"} if kind == "TIFF" else {}
    damaged = bytearray(encoded(flag((40, 30)), kind, **options))
    for place in data.draw(st.lists(st.integers(0, len(damaged) - 1), min_size=1, max_size=12)):
        damaged[place] = data.draw(st.integers(0, 255))
    try:
        found = find_palette(bytes(damaged))
    except NotAnImage as error:
        assert "\n" not in str(error)
    else:
        assert label_of(found) in all_labels()
