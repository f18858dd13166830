"""The labels that a table has for images of a store: a CSV file, such as `classify.py --csv` writes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from imagestore import stored_names
from imagestore.console import UserError, printable
from imagestore.labelling.name_table import base_name, normal_name
from imagestore.labelling.read_tables import NAME_COLUMNS, read_columns, read_table
from imagestore.mending.find_paths import find_path
from imagestore.mending.mend_report import MendReport
from imagestore.store.reader import ImageStore

LABELS = ("label", "predicted", "prediction", "class", "target")
CONFIDENCE = ("confidence",)
LESS_SURE = "rows that are less sure"


@dataclass(frozen=True, kw_only=True)
class TableOptions:
    """The options that say which rows of a table count, and which columns."""

    name_column: str | None = None  # None: the first of NAME_COLUMNS
    label_column: str | None = None  # None: the first of LABELS
    min_confidence: float | None = None  # 0 to 1; None: all rows count


def labels_in_table(
    store: ImageStore, table: Path, options: TableOptions, report: MendReport
) -> dict[int, str]:
    """The label of each image that the table names, by the image's position. Raises UserError.

    A row names an image by its path in the store, by its member's name, or by the base name of either if only
    one image has that. Other rows are noted in the report, by the reason why they are left out.
    """
    images, wanted = _Images(store), dict[int, str]()
    contradicted = set()
    for name, label in _sure_rows(table, options, report):
        found = images.find(normal_name(name))
        if not label.strip():
            report.note("rows without a label", name)
        elif len(found) != 1:
            report.note(f"rows that match {'no image' if not found else 'several images'}", name)
        elif wanted.setdefault(found[0], label) != label:
            report.note("rows that contradict another row, so the image stays as it is", name)
            contradicted.add(found[0])
    if not wanted and LESS_SURE not in report.notes:
        raise UserError(f"{table}: none of its rows gives a label to an image of {store.path}")
    return {i: label for i, label in wanted.items() if i not in contradicted}


def _sure_rows(table: Path, options: TableOptions, report: MendReport) -> Iterator[tuple[str, str]]:
    """(name, label) of each row that is sure enough."""
    if not table.is_file():
        raise UserError(f"--from {printable(str(table))}: no such file")
    labels = (options.label_column,) if options.label_column else LABELS
    if options.min_confidence is None:
        yield from read_table(table, labels, options.name_column)
        return
    names = (options.name_column,) if options.name_column else NAME_COLUMNS
    for name, label, confidence in read_columns(table, names, labels, CONFIDENCE):
        if _number(table, name, confidence) >= options.min_confidence:
            yield name, label
        else:
            report.note(LESS_SURE, name)


def _number(table: Path, name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise UserError(
            f"{table}: the confidence of {printable(name)} is no number: {printable(text)}"
        ) from None


class _Images:
    """The images of a store by their names."""

    def __init__(self, store: ImageStore) -> None:
        self._store = store
        self._by_member, self._by_base = defaultdict[str, list[int]](list), defaultdict[str, list[int]](list)
        for i in range(len(store)):
            name = stored_names.decode(store.index.name(i))
            member = normal_name(stored_names.decode(store.index.member(i)))
            self._by_member[member].append(i)
            for base in {base_name(member) or base_name(name), base_name(name)}:
                self._by_base[base].append(i)

    def find(self, name: str) -> list[int]:
        """The images with this path or member, or else with this base name."""
        if (position := find_path(self._store, name)) is not None:
            return [position]
        return self._by_member.get(name) or self._by_base.get(base_name(name), [])
