"""Texts that matplotlib draws as they are, and pictures in files."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from imagestore.drawing.figures import plain_line, save_figure


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("dark-green", "dark-green"),
        ("ünï_çödé αβγ", "ünï_çödé αβγ"),
        ("$x$", r"\$x\$"),
        ("two\nlines", "two lines"),
        ("\x1b[1m", r"\x1b[1m"),
        ("no-utf8-\udcff", r"no-utf8-\xff"),
        ("玫瑰", r"\u73ab\u7470"),
        ("🌹 rose", r"\U0001f339 rose"),
        ("begin" + "x" * 30, "…" + "x" * 19),
        ("begin" + "$" * 30, "…" + r"\$" * 19),
    ],
)
def test_a_text_becomes_one_plain_line(text: str, line: str) -> None:
    assert plain_line(text, 20) == line


@pytest.mark.parametrize("text", ["玫瑰", "🌹", "$x^2$", "$", "\udcff", "\\$a$", "{x}_2"])
def test_a_plain_line_is_drawn_without_a_warning(text: str) -> None:
    """A glyph that is missing would be a warning, a formula an error or another picture."""
    figure = Figure((3, 1))
    figure.text(0.1, 0.5, plain_line(text, 30))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure.savefig(io.BytesIO(), format="png")


def test_empty_margins_are_cut_off(tmp_path: Path) -> None:
    figure = Figure((4, 4), dpi=100)
    figure.add_axes((0.5, 0.5, 0.1, 0.1)).set_facecolor("black")
    save_figure(figure, tmp_path / "whole.png")
    save_figure(figure, tmp_path / "cropped.png", is_cropped=True)
    whole, cropped = (np.asarray(Image.open(tmp_path / f"{name}.png")) for name in ("whole", "cropped"))
    assert whole.shape[:2] == (400, 400)
    assert cropped.shape[0] < 150 and cropped.shape[1] < 150
