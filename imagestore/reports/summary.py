"""The command `summary`: print the number of images of each label, or all images as CSV."""

from __future__ import annotations

import csv
import sys
from collections import Counter
from contextlib import ExitStack

import numpy as np

from imagestore import stored_names
from imagestore.colour.palette import Palette
from imagestore.console import counted, note, printable
from imagestore.reports.label_sheet import NO_LABEL_TITLE
from imagestore.sources.no_store import check_are_stores
from imagestore.store.corrections import corrections_of, counts_text
from imagestore.store.labels import NO_LABEL, StoreLabels, find_labels, note_what_is_left_out
from imagestore.store.open_stores import open_stores
from imagestore.store.reader import ImageStore
from imagestore.text_width import padded, text_width

CSV_COLUMNS = ("store", "path", "label", "member", "size", "crc32", "modified", "created", "colours")


def summary(paths: list[str], *, as_csv: bool, follow_external: bool = False) -> int:
    """Print the images of stores, given as paths or globs; return the exit status. Raises UserError.

    `follow_external` is that of ImageStore.
    """
    check_are_stores(paths)
    with ExitStack() as opened:
        stores = [opened.enter_context(store) for store in open_stores(paths, follow_external)]
        labels = [find_labels(store) for store in stores]
        for store, found in zip(stores, labels, strict=True):
            note_what_is_left_out("colourHeuristic", store, found)
            if parts := found.parts_text():
                note(f"colourHeuristic: {store.path}: {parts}")
            if origins := _origins(store):
                note(f"colourHeuristic: {store.path}: labels come from: {', '.join(origins)}")
            if by_hand := counts_text(corrections_of(store)):
                note(f"colourHeuristic: {store.path}: by hand: {by_hand}")
        if as_csv:
            _print_csv(stores, labels)
        else:
            _print_counts(labels)
    return 0


def _origins(store: ImageStore) -> list[str]:
    """Files and kinds of --labels that the labels of a store come from; empty if colours made all of them."""
    records = store.heuristics()
    origins = [str(record.get("file", record.get("labels", "colour"))) for record in records]
    return [] if set(origins) <= {"colour"} else [printable(origin) for origin in dict.fromkeys(origins)]


def _print_counts(labels: list[StoreLabels]) -> None:
    """A line for each label, the largest first, and a total."""
    counts: Counter[str] = Counter()
    for found in labels:
        number = np.bincount(found.label[found.label != NO_LABEL], minlength=len(found.names))
        counts.update(dict(zip(found.names, number.tolist(), strict=True)))
    label_count, without_label = len(counts), sum(found.without_label for found in labels)
    if without_label:
        counts[NO_LABEL_TITLE] = without_label
    total = sum(counts.values())
    width = max(text_width(printable(label)) for label in [*counts, "total"])
    for label, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        print(f"{padded(printable(label), width)}  {count:9,}  {count / total:6.1%}")
    print(f"{'total':{width}}  {total:9,}  {counted(label_count, 'label')}")


def _print_csv(stores: list[ImageStore], labels: list[StoreLabels]) -> None:
    table = csv.writer(sys.stdout)
    table.writerow(CSV_COLUMNS)
    for store, found in zip(stores, labels, strict=True):
        for i in np.flatnonzero(found.is_counted).tolist():
            table.writerow(printable(str(cell)) for cell in _row(store, i, found.name_of(i) or ""))


def _row(store: ImageStore, i: int, label: str) -> list[object]:
    """The cells of image `i`, in the order of CSV_COLUMNS; unknown values are empty."""
    image = store.index.record(i)
    member = stored_names.decode(image.member)
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
