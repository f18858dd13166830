"""Stores for the tests of loading and training."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers.small_stores import COLOURS, add, make_store, picture

WHITE = {"white": (250, 250, 245)}


@pytest.fixture
def two_stores(tmp_path: Path) -> list[Path]:
    """12 images of three labels, and 6 of a fourth label."""
    first = make_store(tmp_path / "part-1.h5", 12)
    return [first, make_store(tmp_path / "part-2.h5", 6, first=12, colours=WHITE)]


@pytest.fixture
def broken_stores(two_stores: list[Path]) -> list[Path]:
    """The same stores, each with one more file, which cannot be decoded."""
    add(two_stores[0], "blue/half.jpg", picture(COLOURS["blue"], 1)[:700])
    add(two_stores[1], "white/text.jpg", b"not an image at all")
    return two_stores
