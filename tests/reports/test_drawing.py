"""reports/drawing.py: pictures of palettes and contact sheets, drawn and checked pixel by pixel."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from imagestore.colour.palette import find_palette
from imagestore.console import UserError
from imagestore.reports import drawing
from imagestore.reports.drawing import CaptionedImage, SheetRow
from tests.helpers.images import encode, stripes


@pytest.fixture(autouse=True)
def no_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    """No window may open, even if there is a screen."""
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)


def draw(figure: Figure) -> np.ndarray:
    """The figure as pixels, uint8 (h, w, 3)."""
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return np.array(Image.open(file).convert("RGB"))


def texts_of(figure: Figure) -> list[str]:
    """All texts of the figure."""
    texts = [text.get_text() for axes in figure.axes for text in axes.texts]
    return texts + [text.get_text() for text in figure.texts]


def count_pixels(drawn: np.ndarray, rgb: tuple[int, int, int]) -> int:
    return int((drawn == np.array(rgb, np.uint8)).all(2).sum())


# ----- an image beside its palette -----


def test_bars_are_as_long_as_the_shares() -> None:
    data = encode(stripes(colours=("#1428c8", "#fadc1e"), parts=(2, 1)))
    figure = drawing.palette_picture(data, find_palette(data), "a/b.jpg")
    texts = texts_of(figure)
    assert any("66.7%" in text and "blue" in text and "#1428c8" in text for text in texts)
    assert any("33.3%" in text and "yellow" in text and "#fadc1e" in text for text in texts)
    assert "a/b.jpg" in texts
    bars = [bar.get_width() for bar in figure.axes[1].patches]
    assert bars == pytest.approx([2 / 3, 1 / 3], abs=1e-6)
    drawn = draw(figure)
    assert count_pixels(drawn, (20, 40, 200)) > 2 * count_pixels(drawn, (250, 220, 30)) * 0.8 > 10_000


def test_texts_neither_overlap_nor_leave_the_picture() -> None:
    random = np.random.default_rng(3)
    noise = Image.fromarray(random.integers(0, 256, (6, 8, 3), np.uint8))
    data = encode(noise.resize((640, 480), Image.Resampling.NEAREST), "JPEG")
    figure = drawing.palette_picture(data, find_palette(data), "a" * 300)
    draw(figure)
    whole = figure.bbox
    boxes = [text.get_window_extent() for text in [*figure.texts, *figure.axes[1].texts]]
    for i, box in enumerate(boxes):
        assert whole.x0 <= box.x0 and box.x1 <= whole.x1 and whole.y0 <= box.y0 and box.y1 <= whole.y1
        assert not any(box.overlaps(other) for other in boxes[i + 1 :])


# ----- contact sheet -----


def test_a_sheet_shows_every_image_and_names_its_rows() -> None:
    red = CaptionedImage(encode(Image.new("RGB", (300, 200), "red")), "one.jpg")
    blue = CaptionedImage(encode(Image.new("RGB", (9, 700), "blue")), "two.jpg")
    broken = CaptionedImage(b"no image", "broken.jpg")
    rows = [SheetRow("red\n2", [red] * 2), SheetRow("odd $x$ name", [broken, blue]), SheetRow("empty", [])]
    figure = drawing.contact_sheet(rows, "flowers.h5: 4 images")
    texts = texts_of(figure)
    assert {"red\n2", "empty", "flowers.h5: 4 images", "broken.jpg", r"odd \$x\$ name"} <= set(texts)
    assert texts.count("one.jpg") == 2
    drawn = draw(figure)
    square = drawing.THUMBNAIL**2
    assert count_pixels(drawn, (255, 0, 0)) == pytest.approx(2 * square, rel=0.05)
    assert count_pixels(drawn, (0, 0, 255)) == pytest.approx(square, rel=0.05)
    assert count_pixels(drawn, (200, 200, 200)) == pytest.approx(square, rel=0.05)


def test_long_captions_stay_below_their_images() -> None:
    image = CaptionedImage(encode(Image.new("RGB", (40, 40), "green")), "IMG_20240131_" * 6)
    figure = drawing.contact_sheet([SheetRow("dark-green" * 6, [image] * 3)], "t" * 500)
    draw(figure)
    boxes = [text.get_window_extent() for text in figure.axes[0].texts]
    for i, box in enumerate(boxes[1:], 1):
        assert not any(box.overlaps(other) for other in boxes[i + 1 :])


def test_a_sheet_without_rows_can_be_drawn() -> None:
    assert draw(drawing.contact_sheet([], "nothing")).size


# ----- window or file -----


@pytest.mark.parametrize(
    ("suffix", "signature"),
    [(".png", b"\x89PNG"), (".pdf", b"%PDF"), (".svg", b"<?xml"), (".JPG", b"\xff\xd8"), ("", b"\x89PNG")],
)
def test_the_suffix_chooses_the_format(suffix: str, signature: bytes, tmp_path: Path) -> None:
    path = tmp_path / f"picture{suffix}"
    assert drawing.show_or_save(Figure((1, 1)), path, tmp_path / "other.png") == path
    assert os.listdir(tmp_path) == [path.name]
    assert path.read_bytes().startswith(signature)


def test_without_screen_and_output_the_default_is_written(tmp_path: Path) -> None:
    default = tmp_path / "picture.png"
    assert drawing.show_or_save(Figure((1, 1)), None, default) == default
    assert default.read_bytes().startswith(b"\x89PNG")


def test_a_screen_that_does_not_answer_leaves_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISPLAY", ":987")
    default = tmp_path / "picture.png"
    assert drawing.show_or_save(Figure((1, 1)), None, default) == default
    assert default.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("name", "reason"),
    [("folder", "is a folder"), ("a.xyz", "not written as .xyz"), ("no/a.png", "there is no folder")],
)
def test_an_unwritable_file_is_an_error_and_leaves_nothing(name: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(UserError, match=reason):
        drawing.show_or_save(Figure((1, 1)), tmp_path / name, tmp_path / "default.png")
    assert os.listdir(tmp_path) == ["folder"]
