"""The commands `mv` and `rename-label`: give images of a store other labels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from imagestore import stored_names
from imagestore.console import UserError, did_you_mean, note, printable
from imagestore.mending.change_images import change_images, labels_to_mend
from imagestore.mending.find_paths import find_paths, label_argument
from imagestore.mending.mend_report import MendReport
from imagestore.mending.open_to_mend import open_to_mend
from imagestore.mending.table_of_labels import TableOptions, labels_in_table
from imagestore.run_summary import RunSummary
from imagestore.store.corrections import RELABELLED
from imagestore.store.labels import StoreLabels
from imagestore.store.movable_images import group_of_label
from imagestore.store.reader import ImageStore


def relabel(path: Path, names: Sequence[str], label: str, dry_run: bool, summary: RunSummary) -> int:
    """Give the images that paths, globs and names mean a label; return the exit status. Raises UserError."""
    wanted_label = label_argument(label, ends_in_slash=True)
    report = MendReport(path, RELABELLED, dry_run, summary)
    with open_to_mend(path, dry_run) as (store, writer):
        change_images(store, writer, dict.fromkeys(find_paths(store, names), wanted_label), report)
        return report.finish(writer)


def relabel_by_table(
    path: Path, table: Path, options: TableOptions, dry_run: bool, summary: RunSummary
) -> int:
    """Give images the labels that a table has for them; return the exit status. Raises UserError."""
    report = MendReport(path, RELABELLED, dry_run, summary)
    with open_to_mend(path, dry_run) as (store, writer):
        change_images(store, writer, labels_in_table(store, table, options, report), report)
        return report.finish(writer)


def rename_label(path: Path, old: str, new: str, dry_run: bool, summary: RunSummary) -> int:
    """Give all images of a label another one; return the exit status. Raises UserError."""
    old_label, new_label = label_argument(old), label_argument(new)
    report = MendReport(path, RELABELLED, dry_run, summary)
    with open_to_mend(path, dry_run) as (store, writer):
        labels = labels_to_mend(store)
        positions = labels.images_of(_number_of_label(store, labels, old_label)).tolist()
        change_images(store, writer, dict.fromkeys(positions, new_label), report)
        if group_of_label(store, new_label) in store.index.label_bytes and report.done:
            note(f"{printable(new_label)} had images already: the two labels are one now")
        return report.finish(writer)


def _number_of_label(store: ImageStore, labels: StoreLabels, label: str) -> int:
    """The number of a label, which may be given by the name of its group. Raises UserError."""
    group = stored_names.decode(group_of_label(store, label))
    for number, name in enumerate(labels.names):
        if stored_names.decode(group_of_label(store, name)) == group:
            return number
    raise UserError(f"{store.path}: no label {printable(label)}{did_you_mean(label, labels.names)}")
