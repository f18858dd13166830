"""colour/palette.py: the dominant colours, whole, sorted, and equal in every run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from imagestore.colour.cielab import srgb_to_lab
from imagestore.colour.colour_names import TERMS, all_labels
from imagestore.colour.label import label_of, share_covered
from imagestore.colour.palette import CLUSTERS, HEURISTIC_VERSION, Palette, find_palette, heuristic_settings
from imagestore.decode.errors import NotAnImage
from tests.helpers.commands import ROOT
from tests.helpers.images import blobs, encode, stripes

small_images = arrays(np.uint8, st.tuples(st.integers(1, 12), st.integers(1, 12), st.just(3)))


@given(small_images, st.integers(1, 20))
def test_a_palette_is_sorted_whole_and_deterministic(pixels: np.ndarray, clusters: int) -> None:
    image = Image.fromarray(pixels)
    palette = find_palette(image, clusters)
    assert 1 <= len(palette) <= min(clusters, len(np.unique(pixels.reshape(-1, 3), axis=0)))
    assert palette.share.sum() == pytest.approx(1, abs=1e-5)
    assert (palette.share > 0).all() and (np.diff(palette.share) <= 0).all()
    assert np.array_equal(palette.lab, srgb_to_lab(palette.rgb))
    assert np.array_equal(palette.table(), find_palette(image, clusters).table())
    assert np.array_equal(Palette.from_table(palette.table()).table(), palette.table())
    assert label_of(palette) in all_labels()
    assert sum(share_covered(palette, term) for term in TERMS) == pytest.approx(1)


@given(small_images)
def test_the_order_of_the_pixels_does_not_matter(pixels: np.ndarray) -> None:
    palette = find_palette(Image.fromarray(pixels))
    turned = find_palette(Image.fromarray(pixels[::-1, ::-1].copy()))
    assert np.array_equal(palette.table(), turned.table())
    assert np.array_equal(palette.coverage.share, turned.coverage.share)
    assert np.array_equal(palette.coverage.lab, turned.coverage.lab)


def test_flat_colours_are_found_exactly() -> None:
    palette = find_palette(encode(stripes(), "BMP"))
    assert palette.hex_codes() == ["#0000ff", "#ffffff", "#ff0000"]
    assert palette.share.tolist() == pytest.approx([0.6, 0.3, 0.1])
    assert label_of(palette) == "blue"


def test_neutral_colours_are_not_split_in_two() -> None:
    """Pillow's LAB arrays wrap around at neutral: a grey ramp would fall apart in a and b."""
    palette = find_palette(Image.linear_gradient("L"))
    assert np.abs(palette.lab[:, 1:]).max() < 0.1
    assert label_of(palette) == "grey"


def test_equal_bytes_give_equal_palettes_in_other_processes(tmp_path: Path) -> None:
    path = tmp_path / "blobs.jpg"
    path.write_bytes(encode(blobs(), "JPEG"))
    code = (
        "import sys; from imagestore.colour.label import label_of; "
        "from imagestore.colour.palette import find_palette; "
        "sys.stdout.write(find_palette(open(sys.argv[1], 'rb').read()).table().tobytes().hex())"
    )
    command = [sys.executable, "-c", code, path]
    here = find_palette(path.read_bytes()).table().tobytes().hex()
    for threads in ("1", "2"):
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": threads, "PYTHONHASHSEED": threads}
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)
        assert done.stdout == here, done.stderr


def test_the_settings_name_the_number_of_clusters() -> None:
    assert heuristic_settings()["clusters"] == CLUSTERS
    assert HEURISTIC_VERSION


@given(st.sampled_from(["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP"]), st.data())
@settings(max_examples=150)
def test_damaged_images_have_a_palette_or_are_refused(format: str, data: st.DataObject) -> None:
    options = {"compression": "tiff_lzw"} if format == "TIFF" else {}
    damaged = bytearray(encode(stripes((40, 30)), format, **options))
    for offset in data.draw(st.lists(st.integers(0, len(damaged) - 1), min_size=1, max_size=12)):
        damaged[offset] = data.draw(st.integers(0, 255))
    try:
        palette = find_palette(bytes(damaged))
    except NotAnImage as error:
        assert "\n" not in str(error)
    else:
        assert label_of(palette) in all_labels()
