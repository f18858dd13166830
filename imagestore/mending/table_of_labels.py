"""The labels that a table has for images of a store: a CSV file, such as `classify.py --csv` writes."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from imagestore import stored_names
from imagestore.console import UserError, printable
from imagestore.labelling.column_titles import NAME_COLUMNS
from imagestore.labelling.name_table import last_parts, normal_name, with_same_end, without_suffix
from imagestore.labelling.read_tables import read_columns, read_table, value_of
from imagestore.mending.find_paths import find_path
from imagestore.mending.mend_report import MendReport
from imagestore.store.reader import ImageStore

LABELS = ("label", "predicted", "prediction", "class", "target")
CONFIDENCE = ("confidence",)
STORES = ("store", "source")  # that the image is in, where classify.py or summary read several
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

    A row names an image by its path in the store, by its member's name, or by the base name of either. If
    several images have that, those count that have most of the last folders too. Other rows are noted in the
    report, by the reason why they are left out.
    """
    images, wanted = _Images(store), dict[int, str]()
    contradicted = set()
    for row in _sure(_of_this_store(_read(table, options), store, report), table, options, report):
        found = images.find(normal_name(row.name))
        if row.label is None:
            report.note("rows without a label", row.name)
        elif len(found) != 1:
            report.note(f"rows that match {'no image' if not found else 'several images'}", row.name)
        elif wanted.setdefault(found[0], row.label) != row.label:
            report.note("rows that contradict another row, so the image stays as it is", row.name)
            contradicted.add(found[0])
    if not wanted and LESS_SURE not in report.notes:
        raise UserError(f"{table}: none of its rows gives a label to an image of {store.path}")
    return {i: label for i, label in wanted.items() if i not in contradicted}


@dataclass(frozen=True)
class _Row:
    """A row of a table."""

    name: str
    label: str | None  # None if the table has none
    confidence: str  # empty if it is not asked for
    store: str  # the file that the image is in, as the table has it; empty if it does not say that


def _read(table: Path, options: TableOptions) -> list[_Row]:
    """The rows of a table. Raises UserError."""
    if not table.is_file():
        raise UserError(f"--from {printable(str(table))}: no such file")
    names = (options.name_column,) if options.name_column else NAME_COLUMNS
    labels = (options.label_column,) if options.label_column else LABELS
    is_json = table.suffix.lower() == ".json"
    if is_json and options.min_confidence is not None:
        raise UserError(f"{printable(str(table))}: --min-confidence needs a CSV or TSV file")
    if is_json:
        return [_Row(name, label, "", "") for name, label in read_table(table, labels, options.name_column)]
    more = () if options.min_confidence is None else (CONFIDENCE,)
    rows = read_columns(table, names, labels, *more, optional=STORES)
    return [
        _Row(name, value_of(label), *(confidence or [""]), store) for name, label, *confidence, store in rows
    ]


def _of_this_store(rows: list[_Row], store: ImageStore, report: MendReport) -> list[_Row]:
    """The rows of this store if the table names it, because a path may be in several; else all rows."""
    is_this = {named: _is_this_store(named, store.path) for named in {row.store for row in rows}}
    if not any(is_this.values()):
        return rows
    for row in rows:
        if not is_this[row.store]:
            report.note("rows of other stores", row.name)
    return [row for row in rows if is_this[row.store]]


def _is_this_store(named: str, path: Path) -> bool:
    """Whether a table means the store at `path`; its folder may have been another one then."""
    if os.path.exists(named):
        return os.path.realpath(named) == os.path.realpath(path)
    return os.path.basename(named) == path.name


def _sure(rows: list[_Row], table: Path, options: TableOptions, report: MendReport) -> Iterator[_Row]:
    """The rows that are sure enough."""
    for row in rows:
        if options.min_confidence is None or _confidence(row, table) >= options.min_confidence:
            yield row
        else:
            report.note(LESS_SURE, row.name)


def _confidence(row: _Row, table: Path) -> float:
    try:
        return float(row.confidence)
    except ValueError:
        name, text = printable(row.name), printable(row.confidence)
        raise UserError(f"{table}: the confidence of {name} is no number: {text}") from None


class _Images:
    """The images of a store by their names."""

    def __init__(self, store: ImageStore) -> None:
        self._store = store
        self._by_member = defaultdict[str, list[int]](list)
        self._by_end: dict[tuple[bool, int], dict[str, list[int]]] = {}  # see _with_end
        self._members = [normal_name(stored_names.decode(store.index.member(i))) for i in range(len(store))]
        for i, member in enumerate(self._members):
            self._by_member[member].append(i)

    def find(self, name: str) -> list[int]:
        """The images with this path or member, or else those that have most of its last parts in common.

        If there are none, the name may lack the suffix.
        """
        if (position := find_path(self._store, name)) is not None:
            return [position]
        if name in self._by_member:
            return self._by_member[name]
        whole, bare = (partial(self._with_end, is_bare) for is_bare in (False, True))
        return with_same_end(name, whole) or with_same_end(name, bare)

    def _with_end(self, is_bare: bool, parts: int) -> dict[str, list[int]]:
        """The images by the last parts of their members and of their paths; bare ones have no suffix."""
        if (is_bare, parts) not in self._by_end:
            by_end = self._by_end[is_bare, parts] = defaultdict[str, list[int]](list)
            for i, member in enumerate(self._members):
                path = self._store.path_of(i)
                names = {without_suffix(name) if is_bare else name for name in (member or path, path)}
                for end in {last_parts(name, parts) for name in names if name}:
                    by_end[end].append(i)
        return self._by_end[is_bare, parts]
