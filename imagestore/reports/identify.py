"""The command `identify`: print the dominant colours of images, as text or as JSON."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from imagestore.colour.colour_names import basic_term, name_of
from imagestore.colour.label import share_covered
from imagestore.colour.palette import Palette
from imagestore.console import FAILED, UserError, note, printable
from imagestore.decode.errors import NotAnImage
from imagestore.reports.find_images import find_images
from imagestore.reports.source_options import SourceOptions

PRINTED_COLOURS = 3


def identify(
    source: str,
    names: list[str],
    *,
    all_images: bool,
    as_json: bool,
    options: SourceOptions,
) -> int:
    """Print the label and the three most dominant colours of each image; return the exit status.

    Images that cannot be decoded are named on standard error, and the status is then 1. Raises UserError.
    """
    path = Path(source)
    format_image = _as_json if as_json else _as_text
    found = failed = 0
    with find_images(path, options, names=names, all_images=all_images) as images:
        for image in images:
            found += 1
            try:
                label, palette = image.label_and_palette()
            except NotAnImage as error:
                note(f"{printable(image.name)}: {error}")
                failed += 1
            else:
                print(format_image(image.name, label, palette))
    if not found:
        raise UserError(f"{path}: give the NAME of an image, a quoted glob, or --all")
    return FAILED if failed else 0


@dataclass(frozen=True, kw_only=True)
class _Colour:
    """One of the dominant colours of an image."""

    name: str
    share: float  # of the image, 0 to 1
    hex_code: str  # '#rrggbb'
    lab: list[float]


def _dominant_colours(palette: Palette) -> list[_Colour]:
    rows = zip(palette.share.tolist(), palette.hex_codes(), palette.lab.tolist(), strict=True)
    colours = [_Colour(name=name_of(lab), share=share, hex_code=code, lab=lab) for share, code, lab in rows]
    return colours[:PRINTED_COLOURS]


def _as_text(name: str, label: str, palette: Palette) -> str:
    """A line with the label, and a line for each colour."""
    term = basic_term(label)
    lines = [f"{printable(name)}: {label}  ({term} covers {share_covered(palette, term):.0%})"]
    for colour in _dominant_colours(palette):
        swatch = _swatch(colour.hex_code)
        lines.append(f"  {colour.share:6.1%}  {colour.name:12}  {colour.hex_code}{swatch}")
    return "\n".join(lines)


def _swatch(hex_code: str) -> str:
    """A patch of the colour if standard output is a terminal that shows colours (see no-color.org)."""
    if not sys.stdout.isatty() or "NO_COLOR" in os.environ or os.environ.get("TERM", "dumb") == "dumb":
        return ""
    red, green, blue = bytes.fromhex(hex_code[1:])
    return f"  \x1b[48;2;{red};{green};{blue}m      \x1b[0m"


def _as_json(name: str, label: str, palette: Palette) -> str:
    """One line: an object with the label and a list of colours."""
    return json.dumps(
        {
            "name": name,
            "label": label,
            "covered": round(share_covered(palette, basic_term(label)), 4),
            "colours": [
                {
                    "share": round(colour.share, 4),
                    "name": colour.name,
                    "hex": colour.hex_code,
                    "lab": [round(x, 2) for x in colour.lab],
                }
                for colour in _dominant_colours(palette)
            ],
        }
    )
