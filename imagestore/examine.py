"""Looking into archives, stores and image files: the colours of an image, the labels of a store.

`identify`, `show` and `summary` are the commands of colourHeuristic.py without their arguments. Colours
that a store keeps are printed as they are; only what has none is decoded.
"""

from __future__ import annotations

import csv
import difflib
import fnmatch
import json
import os
import random
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from imagestore import plot
from imagestore.archive import Archive, is_store, open_archive
from imagestore.archive_index import Member
from imagestore.archive_walk import is_image
from imagestore.colour import NotAnImage, Palette, basic, covered, label, labels, name, palette
from imagestore.console import UserError, describe, note, printable
from imagestore.store import GLOB_CHARACTERS, ImageStore, open_stores

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS_SHOWN = 3
BEGINNING = 16  # bytes by which a file is known for an image
SAMPLES = 8  # images of each label on a store's sheet
NAMES_TO_COMPARE = 20_000
SAMPLE_SEED = 0  # the same store, the same sheet


@dataclass(frozen=True)
class Found:
    """One image that was asked for: under which name, and how to get at it."""

    name: str
    read: Callable[[], bytes]
    kept_palette: Callable[[], Palette | None] = lambda: None
    kept_label: str | None = None

    def colours(self) -> tuple[str, Palette]:
        """Its label and its palette: what is kept, else what is found now. Raises NotAnImage."""
        kept = self.kept_palette()
        found = kept or palette(self.read())
        known = kept is not None and self.kept_label in labels()
        return (self.kept_label if known and self.kept_label else label(found)), found


@contextmanager
def find_images(path: Path, wanted: list[str], every: bool, index: Path | None) -> Iterator[Iterable[Found]]:
    """The images that names and globs mean in an archive, a folder, a store, or an image file by itself.

    All names are looked up before the first image is yielded. Raises UserError.
    """
    with ExitStack() as opened:
        if path.is_file() and is_store(path):
            yield _in_store(opened.enter_context(ImageStore(path)), wanted, every)
        elif path.is_dir() or not _is_image_file(path):
            archive = opened.enter_context(open_archive(path, index))
            yield _streamed(archive) if every else _in_archive(archive, wanted)
        elif wanted and wanted != [path.name]:
            raise UserError(f"{path}: is one image by itself; leave out {wanted[0]!r}")
        else:
            yield [Found(path.name, path.read_bytes)]


def _is_image_file(path: Path) -> bool:
    if not path.is_file():  # open_archive says what it is; opening a pipe would wait for ever
        return False
    try:
        with path.open("rb") as file:
            beginning = file.read(BEGINNING)
    except OSError as error:
        raise UserError(describe(error)) from None
    return is_image("", beginning)


def _streamed(archive: Archive) -> Iterator[Found]:
    for member, data in archive.stream():
        yield Found(member.name, partial(bytes, data))


def _in_archive(archive: Archive, wanted: list[str]) -> list[Found]:
    members = [member for pattern in wanted for member in _members(archive, pattern)]
    unique = {member.position: member for member in members}
    return [Found(member.name, partial(archive.read, member)) for member in unique.values()]


def _members(archive: Archive, pattern: str) -> list[Member]:
    if not GLOB_CHARACTERS & set(pattern):
        return [archive.find(pattern)]
    meant = re.compile(fnmatch.translate(pattern)).match
    # A name may hold a bracket itself.
    matches = [member for member in archive.members() if member.name == pattern or meant(member.name)]
    if not matches:
        raise UserError(f"{archive.path}: no image matches {pattern!r}")
    return matches


def _in_store(store: ImageStore, wanted: list[str], every: bool) -> list[Found]:
    positions = range(len(store)) if every else [i for pattern in wanted for i in _positions(store, pattern)]
    return [
        Found(
            store.path_of(i),
            partial(store.read, i),
            partial(_kept, store, i),
            store.labels[store.index.label_of(i)],
        )
        for i in dict.fromkeys(positions)
    ]


def _kept(store: ImageStore, i: int) -> Palette | None:
    table = store.palette(i)
    return None if table is None else Palette.from_table(table)


def _positions(store: ImageStore, pattern: str) -> list[int]:
    """The images with this path, or this name below their label or in their archive, or that a glob means."""
    with suppress(KeyError):
        return [store.find(pattern)]
    if GLOB_CHARACTERS & set(pattern):
        meant = re.compile(fnmatch.translate(pattern.strip("/"))).match
        matches = [i for i in range(len(store)) if meant(store.path_of(i))]
        complaint = f"{store.path}: no image matches {pattern!r}"
    else:
        key, index = os.fsencode(pattern), store.index
        matches = [i for i in range(len(store)) if key in (index.name(i), index.member(i))]
        complaint = f"{store.path}: no image {pattern!r}; there is {_like(store, pattern)}"
    if not matches:
        raise UserError(complaint)
    return matches


def _like(store: ImageStore, path: str) -> str:
    some = [store.path_of(i) for i in range(min(len(store), NAMES_TO_COMPARE))]
    return ", ".join(difflib.get_close_matches(path.strip("/"), some, 3, 0.5) or some[:1])


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
        {"share": round(share, 4), "name": name(lab), "hex": code, "lab": [round(x, 2) for x in lab]}
        for share, lab, code in _largest(colours)
    ]
    described = {"name": wanted, "label": label, "covered": round(covered(colours, basic(label)), 4)}
    return json.dumps({**described, "colours": found})


def _as_text(wanted: str, label: str, colours: Palette) -> str:
    term = basic(label)
    lines = [f"{printable(wanted)}: {label}  ({term} covers {covered(colours, term):.0%})"]
    for share, lab, code in _largest(colours):
        lines.append(f"  {share:6.1%}  {name(lab):12}  {code}{_swatch(code)}")
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


def show(source: str, name: str | None, output: Path | None, index: Path | None) -> int:
    """Show an image beside its colours or, without `name`, a sheet of a store's labels.

    In a window where there is a screen and no `output`, else as a file. Returns the exit status. Raises
    UserError.
    """
    path = Path(source)
    if name is None and path.is_file() and is_store(path):
        figure, default = _sheet(path), Path(f"{path.stem}_labels.png")
    else:
        figure, default = _picture(path, name, index)
    written = plot.show_or_save(figure, output, default)
    if written:
        print(written)
    return 0


def _picture(path: Path, wanted: str | None, index: Path | None) -> tuple[Figure, Path]:
    with find_images(path, [] if wanted is None else [wanted], False, index) as found:
        images = list(found)
        if len(images) != 1:
            raise UserError(f"{path}: show takes the NAME of one image; {len(images):,} were meant")
        image = images[0]
        try:
            label, colours = image.colours()
            figure = plot.palette_picture(image.read(), colours, f"{image.name}   {label}")
        except NotAnImage as error:
            raise UserError(f"{printable(image.name)}: {error}") from None
    return figure, Path(f"{Path(image.name).stem}_colours.png")


def _sheet(path: Path) -> Figure:
    with ImageStore(path) as store:
        rows = []
        for i in sorted(range(len(store.labels)), key=lambda i: -_count(store, i)):
            images = range(int(store.index.start[i]), int(store.index.start[i + 1]))
            sample = sorted(random.Random(SAMPLE_SEED).sample(images, min(SAMPLES, len(images))))
            pictures = [(store.read(j), os.fsdecode(store.index.name(j))) for j in sample]
            rows.append((f"{store.labels[i]}\n{len(images):,}", pictures))
        return plot.contact_sheet(rows, f"{path.name}: {len(store):,} images, {len(rows)} labels")


def _count(store: ImageStore, i: int) -> int:
    return int(store.index.start[i + 1] - store.index.start[i])


def summary(stores: list[str], as_csv: bool) -> int:
    """Print the images by label, or all of them as CSV; returns the exit status. Raises UserError."""
    with ExitStack() as opened:
        found = [opened.enter_context(store) for store in open_stores(stores)]
        if as_csv:
            _print_csv(found)
        else:
            _print_counts(found)
    return 0


def _print_counts(stores: list[ImageStore]) -> None:
    counts: dict[str, int] = {}
    for store in stores:
        for i, each in enumerate(store.labels):
            counts[each] = counts.get(each, 0) + _count(store, i)
    total = sum(counts.values())
    width = max(map(len, counts))
    for each, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        print(f"{printable(each):{width}}  {count:9,}  {count / total:6.1%}")
    print(f"{'total':{width}}  {total:9,}  {len(counts)} labels")


def _as_cell(colours: Palette) -> str:
    pairs = zip(colours.hex_codes(), colours.share.tolist(), strict=True)
    return " ".join(f"{code}:{share:.3f}" for code, share in pairs)


def _print_csv(stores: list[ImageStore]) -> None:
    table = csv.writer(sys.stdout)
    table.writerow(["store", "path", "label", "member", "size", "crc32", "modified", "created", "colours"])
    for store in stores:
        for i in range(len(store)):
            row, kept = store.index.row(i), store.palette(i)
            colours = None if kept is None else Palette.from_table(kept)
            checksum = "" if row.crc32 is None else f"{row.crc32:08x}"
            cells = [store.path, store.path_of(i), os.fsdecode(row.label), os.fsdecode(row.member)]
            cells += [row.size, checksum, row.mtime or "", row.created or ""]
            cells.append("" if colours is None else _as_cell(colours))
            table.writerow(printable(str(cell)) for cell in cells)
