"""Pictures of palettes and contact sheets: drawn, written, and looked at pixel by pixel."""

import io
import os

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from imagestore.colour.palette import find_palette
from imagestore.console import UserError
from imagestore.reports import pictures


@pytest.fixture(autouse=True)
def no_screen(monkeypatch):
    """Whoever runs the tests may have a screen; no window shall open on it."""
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)


def encoded(image, kind="PNG"):
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


def two_colours():
    image = Image.new("RGB", (90, 60), (20, 40, 200))
    image.paste((250, 220, 30), (60, 0, 90, 60))
    return encoded(image)


def drawn(figure):
    """The figure as pixels, uint8 (h, w, 3)."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return np.array(Image.open(buffer).convert("RGB"))


def texts(figure):
    """Everything that is written anywhere in the figure."""
    written = [text.get_text() for axes in figure.axes for text in axes.texts]
    return written + [text.get_text() for text in figure.texts]


def pixels_of(picture, rgb):
    return int((picture == np.array(rgb, np.uint8)).all(2).sum())


def test_bars_are_as_long_as_the_shares_and_say_name_and_code():
    data = two_colours()
    figure = pictures.palette_picture(data, find_palette(data), "a/b.jpg")
    written = texts(figure)
    assert any("66.7%" in text and "blue" in text and "#1428c8" in text for text in written)
    assert any("33.3%" in text and "yellow" in text and "#fadc1e" in text for text in written)
    assert "a/b.jpg" in written
    bars = [bar.get_width() for bar in figure.axes[1].patches]
    assert bars == pytest.approx([2 / 3, 1 / 3], abs=1e-6)
    picture = drawn(figure)
    assert pixels_of(picture, (20, 40, 200)) > 2 * pixels_of(picture, (250, 220, 30)) * 0.8 > 10_000


def test_texts_neither_overlap_nor_leave_the_picture():
    rng = np.random.default_rng(3)
    noise = Image.fromarray(rng.integers(0, 256, (6, 8, 3), np.uint8)).resize(
        (640, 480), Image.Resampling.NEAREST
    )
    data = encoded(noise, "JPEG")
    figure = pictures.palette_picture(data, find_palette(data), "a" * 300)
    drawn(figure)
    whole = figure.bbox
    boxes = [text.get_window_extent() for text in [*figure.texts, *figure.axes[1].texts]]
    for i, box in enumerate(boxes):
        assert whole.x0 <= box.x0 and box.x1 <= whole.x1 and whole.y0 <= box.y0 and box.y1 <= whole.y1
        assert not any(box.overlaps(other) for other in boxes[i + 1 :])


def test_a_sheet_shows_every_image_and_names_its_rows():
    rows = [
        ("red\n2", [(encoded(Image.new("RGB", (300, 200), "red")), "one.jpg")] * 2),
        (
            "odd $x$ name",
            [(b"no image", "broken.jpg"), (encoded(Image.new("RGB", (9, 700), "blue")), "two.jpg")],
        ),
        ("empty", []),
    ]
    figure = pictures.contact_sheet(rows, "flowers.h5: 4 images")
    written = texts(figure)
    assert {"red\n2", "empty", "flowers.h5: 4 images", "broken.jpg", r"odd \$x\$ name"} <= set(written)
    assert written.count("one.jpg") == 2
    picture = drawn(figure)
    square = pictures.THUMBNAIL**2
    assert pixels_of(picture, (255, 0, 0)) == pytest.approx(2 * square, rel=0.05)
    assert pixels_of(picture, (0, 0, 255)) == pytest.approx(square, rel=0.05)
    assert pixels_of(picture, (200, 200, 200)) == pytest.approx(square, rel=0.05)


def test_long_captions_stay_below_their_images():
    image = encoded(Image.new("RGB", (40, 40), "green"))
    figure = pictures.contact_sheet([("dark-green" * 6, [(image, "IMG_20240131_" * 6)] * 3)], "t" * 500)
    drawn(figure)
    boxes = [text.get_window_extent() for text in figure.axes[0].texts]
    for i, box in enumerate(boxes[1:], 1):
        assert not any(box.overlaps(other) for other in boxes[i + 1 :])


def test_a_sheet_of_nothing_can_be_drawn():
    assert drawn(pictures.contact_sheet([], "nothing")).size


@pytest.mark.parametrize("suffix", [".png", ".pdf", ".svg", ".JPG", ""])
def test_a_figure_is_written_where_asked_in_the_kind_of_its_suffix(suffix, tmp_path):
    path = tmp_path / f"picture{suffix}"
    assert pictures.show_or_save(Figure((1, 1)), path, tmp_path / "other.png") == path
    assert os.listdir(tmp_path) == [path.name]
    start = {".png": b"\x89PNG", ".pdf": b"%PDF", ".svg": b"<?xml", ".JPG": b"\xff\xd8", "": b"\x89PNG"}[
        suffix
    ]
    assert path.read_bytes().startswith(start)


def test_without_screen_and_output_the_default_is_written(tmp_path):
    assert pictures.show_or_save(Figure((1, 1)), None, tmp_path / "picture.png") == tmp_path / "picture.png"


def test_a_screen_that_is_none_leaves_a_file(tmp_path, monkeypatch):
    monkeypatch.setenv("DISPLAY", ":987")
    assert pictures.show_or_save(Figure((1, 1)), None, tmp_path / "picture.png") == tmp_path / "picture.png"


@pytest.mark.parametrize(
    ("name", "reason"),
    [("folder", "is a folder"), ("a.xyz", "not written as .xyz"), ("no/a.png", "there is no folder")],
)
def test_what_cannot_be_written_is_said_and_leaves_nothing(name, reason, tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(UserError, match=reason):
        pictures.show_or_save(Figure((1, 1)), tmp_path / name, tmp_path / "default.png")
    assert os.listdir(tmp_path) == ["folder"]
