"""A picture goes into a window or into a file, whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from PIL import Image

from imagestore.console import UserError
from imagestore.drawing.show_or_save import show_or_save

PICTURE = Image.new("RGB", (20, 10), "red")


@pytest.fixture(autouse=True)
def no_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    """No window may open, even if there is a screen."""
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)


@pytest.mark.parametrize(
    ("suffix", "signature"),
    [(".png", b"\x89PNG"), (".pdf", b"%PDF"), (".JPG", b"\xff\xd8"), (".webp", b"RIFF"), ("", b"\x89PNG")],
)
def test_the_suffix_chooses_the_format(suffix: str, signature: bytes, tmp_path: Path) -> None:
    path = tmp_path / f"picture{suffix}"
    assert show_or_save(PICTURE, path, tmp_path / "other.png") == path
    assert os.listdir(tmp_path) == [path.name]
    assert path.read_bytes().startswith(signature)


@pytest.mark.parametrize("screen", [None, ":987"])
def test_without_a_screen_that_answers_the_default_is_written(
    screen: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if screen:
        monkeypatch.setenv("DISPLAY", screen)
    default = tmp_path / "picture.png"
    assert show_or_save(PICTURE, None, default) == default
    assert default.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("name", "reason"),
    [("folder", "is a folder"), ("a.xyz", "not written as .xyz"), ("no/a.png", "there is no folder")],
)
def test_an_unwritable_file_is_an_error_and_leaves_nothing(name: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(UserError, match=reason):
        show_or_save(PICTURE, tmp_path / name, tmp_path / "default.png")
    assert os.listdir(tmp_path) == ["folder"]


def test_a_picture_too_large_for_its_format_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"choose \.png"):
        show_or_save(Image.new("L", (20_000, 2)), tmp_path / "wide.webp", tmp_path / "default.png")
    assert os.listdir(tmp_path) == []
