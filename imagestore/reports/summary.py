"""The command `summary`: print the number of images of each label, or all images as CSV."""

from __future__ import annotations

import csv
import sys
from collections import Counter
from contextlib import ExitStack

import numpy as np

from imagestore import stored_names
from imagestore.colour.palette import Palette
from imagestore.console import printable
from imagestore.store.open_stores import open_stores
from imagestore.store.reader import ImageStore

CSV_COLUMNS = ("store", "path", "label", "member", "size", "crc32", "modified", "created", "colours")


def summary(paths: list[str], *, as_csv: bool) -> int:
    """Print the images of stores, given as paths or globs; return the exit status. Raises UserError."""
    with ExitStack() as opened:
        stores = [opened.enter_context(store) for store in open_stores(paths)]
        if as_csv:
            _print_csv(stores)
        else:
            _print_counts(stores)
    return 0


def _print_counts(stores: list[ImageStore]) -> None:
    """A line for each label, the largest first, and a total."""
    counts: Counter[str] = Counter()
    for store in stores:
        counts.update(dict(zip(store.labels, np.diff(store.index.start).tolist(), strict=True)))
    total = sum(counts.values())
    width = max(map(len, counts))
    for label, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        print(f"{printable(label):{width}}  {count:9,}  {count / total:6.1%}")
    print(f"{'total':{width}}  {total:9,}  {len(counts)} labels")


def _print_csv(stores: list[ImageStore]) -> None:
    table = csv.writer(sys.stdout)
    table.writerow(CSV_COLUMNS)
    for store in stores:
        for i in range(len(store)):
            table.writerow(printable(str(cell)) for cell in _row(store, i))


def _row(store: ImageStore, i: int) -> list[object]:
    """The cells of image `i`, in the order of CSV_COLUMNS; unknown values are empty."""
    image = store.index.record(i)
    label, member = stored_names.decode(image.label), stored_names.decode(image.member)
    crc32 = "" if image.crc32 is None else f"{image.crc32:08x}"
    times = ["" if image.modified is None else image.modified, image.created or ""]
    return [store.path, store.path_of(i), label, member, image.size, crc32, *times, _colours(store, i)]


def _colours(store: ImageStore, i: int) -> str:
    """The stored palette of image `i` as 'CODE:SHARE CODE:SHARE ...'; empty if there is none."""
    table = store.palette(i)
    if table is None:
        return ""
    palette = Palette.from_table(table)
    pairs = zip(palette.hex_codes(), palette.share.tolist(), strict=True)
    return " ".join(f"{code}:{share:.3f}" for code, share in pairs)
