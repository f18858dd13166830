#!/usr/bin/env python3
"""Draw the pictures of README.md from what `make demo` left: small copies, and a terminal with a mount.

./demo/draw_pictures.py demo-output docs/images
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

WIDTH = 860  # pixels of each picture
ROWS = 4  # of a contact sheet
HEADING, ROW = 46, 156  # pixels of a contact sheet whose captions have one line
CAPTION_LINE = 16  # pixels
QUALITY = 80  # of a JPEG
LETTERS, LINE = 15, 21  # pixels
INK, PROMPT, PAPER = "#e6e6e6", "#7fd17f", "#1c1f24"
SESSION = (
    "./h5vfs.py train.h5 mnt",
    "ls mnt",
    "ls -l mnt/yellow | head -4",
    "find mnt -name '*.jpg' | wc -l",
    "tar cf copy.tar mnt/red && tar tf copy.tar | tail -2",
    "./h5vfs.py -u mnt",
)


def main() -> None:
    """Draw all of them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("demo", type=Path, help="the output folder of `make demo`")
    parser.add_argument("output", type=Path, help="where to put the pictures")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    sheets = {"labels": ROW, "classified": ROW + CAPTION_LINE}
    for name, row in sheets.items():
        sheet = Image.open(arguments.demo / f"{name}.png").convert("RGB")
        top = sheet.crop((0, 0, sheet.width, HEADING + ROWS * row))
        _smaller(top).save(arguments.output / f"{name}.jpg", quality=QUALITY)
    _smaller(_palette(arguments.demo)).save(arguments.output / "palette.jpg", quality=QUALITY)
    _terminal(_session(arguments.demo / "train.h5")).save(arguments.output / "mount.png", optimize=True)


def _smaller(picture: Image.Image) -> Image.Image:
    """The picture, WIDTH pixels wide."""
    return picture.resize((WIDTH, round(picture.height * WIDTH / picture.width)), Image.Resampling.LANCZOS)


def _palette(demo: Path) -> Image.Image:
    """What `show` draws of the first yellow image."""
    store = demo / "train.h5"
    listed = _output([sys.executable, ROOT / "h5vfs.py", "ls", store, "yellow"], demo)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "palette.png")
        name = f"yellow/{listed.split()[0]}"
        _output([sys.executable, ROOT / "colourHeuristic.py", "show", store, name, "-o", path], demo)
        return Image.open(path).convert("RGB")


def _session(store: Path) -> list[tuple[str, str]]:
    """(command, output) of a session in a terminal, in a folder with the store and the command."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "train.h5").symlink_to(store.resolve())
        Path(folder, "h5vfs.py").symlink_to(ROOT / "h5vfs.py")
        return [(line, _output(["bash", "-c", f"{line} 2>&1"], Path(folder))) for line in SESSION]


def _output(command: list, folder: Path) -> str:
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        list(map(str, command)), cwd=folder, env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout.replace(str(folder), "/tmp/you")


def _terminal(session: list[tuple[str, str]]) -> Image.Image:
    """The session as it looks on a screen."""
    lines = []
    for command, output in session:
        lines.append((f"$ {command}", PROMPT))
        lines += [(line, INK) for line in _in_columns(command, output.splitlines())]
    font = _monospaced()
    picture = Image.new("RGB", (WIDTH, LINE * (len(lines) + 1)), PAPER)
    drawer = ImageDraw.Draw(picture)
    for number, (line, colour) in enumerate(lines):
        drawer.text((LETTERS, LINE // 2 + LINE * number), line, colour, font)
    return picture.quantize(32)


def _in_columns(command: str, lines: list[str]) -> list[str]:
    """The names of a plain `ls` beside each other, as on a terminal; other lines as they are."""
    if not command.startswith("ls ") or "-l" in command:
        return lines
    width = max(map(len, lines)) + 2
    columns = WIDTH // (width * LETTERS * 6 // 10)
    rows = -(-len(lines) // columns)
    return ["".join(name.ljust(width) for name in lines[row::rows]) for row in range(rows)]


def _monospaced() -> ImageFont.FreeTypeFont:
    from matplotlib import font_manager

    return ImageFont.truetype(font_manager.findfont("DejaVu Sans Mono"), LETTERS)


if __name__ == "__main__":
    main()
