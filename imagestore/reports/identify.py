"""What `colourHeuristic.py identify` does: print the dominant colours of images."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from imagestore.colour.label import basic_term, name_of, share_covered
from imagestore.colour.palette import Palette
from imagestore.console import UserError, note, printable
from imagestore.decode import NotAnImage

if TYPE_CHECKING:
    pass
from imagestore.reports.find_images import find_images

COLOURS_SHOWN = 3


def identify(source: str, names: list[str], every: bool, as_json: bool, index: Path | None) -> int:
    """Print the three most dominant colours of images; returns the exit status. Raises UserError.

    An image that cannot be decoded is named on standard error and makes the status 1.
    """
    path = Path(source)
    failed = shown = 0
    with find_images(path, names, every, index) as images:
        for image in images:
            shown += 1
            try:
                colours = image.colours()
            except NotAnImage as error:
                note(f"{printable(image.name)}: {error}")
                failed += 1
            else:
                print((_as_json if as_json else _as_text)(image.name, *colours))
    if not shown:
        raise UserError(f"{path}: say which images, by NAME, by a quoted glob, or --all")
    return 1 if failed else 0


def _as_json(wanted: str, label: str, colours: Palette) -> str:
    found = [
        {"share": round(share, 4), "name": name_of(lab), "hex": code, "lab": [round(x, 2) for x in lab]}
        for share, lab, code in _largest(colours)
    ]
    described = {
        "name": wanted,
        "label": label,
        "covered": round(share_covered(colours, basic_term(label)), 4),
    }
    return json.dumps({**described, "colours": found})


def _as_text(wanted: str, label: str, colours: Palette) -> str:
    term = basic_term(label)
    lines = [f"{printable(wanted)}: {label}  ({term} covers {share_covered(colours, term):.0%})"]
    for share, lab, code in _largest(colours):
        lines.append(f"  {share:6.1%}  {name_of(lab):12}  {code}{_swatch(code)}")
    return "\n".join(lines)


def _largest(colours: Palette) -> list[tuple[float, list[float], str]]:
    shares, codes = colours.share.tolist(), colours.hex_codes()
    return list(zip(shares, colours.lab.tolist(), codes, strict=True))[:COLOURS_SHOWN]


def _swatch(code: str) -> str:
    """A patch of the colour, on a terminal that shows colours (see no-color.org)."""
    if not sys.stdout.isatty() or "NO_COLOR" in os.environ or os.environ.get("TERM", "dumb") == "dumb":
        return ""
    red, green, blue = bytes.fromhex(code[1:])
    return f"  \x1b[48;2;{red};{green};{blue}m      \x1b[0m"
