"""Which files are images, and why the others are skipped."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from imagestore.archive.image_files import is_image, reason_to_skip_name


@pytest.mark.parametrize("format", ["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP"])
def test_first_bytes_tell_an_image(format):
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, format)
    assert is_image("no_suffix", file.getvalue())
    assert not is_image("no_suffix", file.getvalue()[1:])


@pytest.mark.parametrize("name", ["a.jpg", "b/A.JPEG", "a.b.Tif", "a.webp"])
def test_a_suffix_tells_an_image(name):
    assert is_image(name, b"")


@pytest.mark.parametrize(
    ("name", "data"), [("a.txt", b"text"), ("jpg", b""), ("BMW.txt", b"BMW makes cars, and no images")]
)
def test_other_files_are_no_images(name, data):
    assert not is_image(name, data)


@pytest.mark.parametrize(
    ("name", "size", "reason"),
    [
        ("a.jpg", 2 << 20, None),
        ("./a.jpg", 1, None),
        ("../b/a.jpg", 1, None),
        ("a.jpg", (2 << 20) + 1, "too large"),
        ("a.bin", (2 << 20) + 1, "not images"),
        (".a.jpg", 1, "hidden"),
        (".thumbnails/a.jpg", 1, "hidden images"),
        ("__MACOSX/a.jpg", 1, "hidden"),
    ],
)
def test_reasons_to_skip_a_file(name, size, reason, monkeypatch):
    monkeypatch.setenv("IMAGESTORE_DECODE_MEMORY", "2M")
    assert reason_to_skip_name(name, size) == reason
