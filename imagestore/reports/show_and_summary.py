"""Looking into archives, stores and image files: the colours of an image, the labels of a store.

`identify`, `show` and `summary` are the commands of colourHeuristic.py without their arguments. Colours
that a store keeps are printed as they are; only what has none is decoded.
"""

from __future__ import annotations

import csv
import os
import random
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from imagestore.colour.palette import Palette
from imagestore.console import UserError, printable
from imagestore.decode import NotAnImage
from imagestore.hdf5.superblock import is_hdf5
from imagestore.reports import pictures
from imagestore.store.open import open_stores
from imagestore.store.reader import ImageStore

if TYPE_CHECKING:
    from matplotlib.figure import Figure
from imagestore.reports.find_images import find_images

SAMPLES = 8  # images of each label on a store's sheet


SAMPLE_SEED = 0  # the same store, the same sheet


def show(source: str, name: str | None, output: Path | None, index: Path | None) -> int:
    """Show an image beside its colours or, without `name`, a sheet of a store's labels.

    In a window where there is a screen and no `output`, else as a file. Returns the exit status. Raises
    UserError.
    """
    path = Path(source)
    if name is None and path.is_file() and is_hdf5(path):
        figure, default = _sheet(path), Path(f"{path.stem}_labels.png")
    else:
        figure, default = _picture(path, name, index)
    written = pictures.show_or_save(figure, output, default)
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
            figure = pictures.palette_picture(image.read(), colours, f"{image.name}   {label}")
        except NotAnImage as error:
            raise UserError(f"{printable(image.name)}: {error}") from None
    return figure, Path(f"{Path(image.name).stem}_colours.png")


def _sheet(path: Path) -> Figure:
    with ImageStore(path) as store:
        rows = []
        for i in sorted(range(len(store.labels)), key=lambda i: -_count(store, i)):
            images = range(int(store.index.start[i]), int(store.index.start[i + 1]))
            sample = sorted(random.Random(SAMPLE_SEED).sample(images, min(SAMPLES, len(images))))
            sample_pictures = [(store.read(j), os.fsdecode(store.index.name(j))) for j in sample]
            rows.append((f"{store.labels[i]}\n{len(images):,}", sample_pictures))
        return pictures.contact_sheet(rows, f"{path.name}: {len(store):,} images, {len(rows)} labels")


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
            image, kept = store.index.record(i), store.palette(i)
            colours = None if kept is None else Palette.from_table(kept)
            checksum = "" if image.crc32 is None else f"{image.crc32:08x}"
            cells = [store.path, store.path_of(i), os.fsdecode(image.label), os.fsdecode(image.member)]
            cells += [image.size, checksum, image.mtime or "", image.created or ""]
            cells.append("" if colours is None else _as_cell(colours))
            table.writerow(printable(str(cell)) for cell in cells)
