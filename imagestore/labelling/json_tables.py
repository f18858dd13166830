"""The forms in which JSON says something of images by their names."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from imagestore.console import UserError, printable
from imagestore.image_formats import has_image_suffix
from imagestore.labelling.column_titles import find_column, has_column

WRAPPERS = ("labels", "annotations", "data", "images", "items", "samples")  # of everything else in a file
OF_COCO = ("images", "annotations", "categories")

Pairs = list[tuple[object, object]]  # name, value


def pairs_in_json(path: Path, table: object, names: Sequence[str], values: Sequence[str]) -> Pairs:
    """The (name, value) pairs of a JSON document. Raises UserError.

    `names` and `values` are the titles that stand for them. The forms: name -> value; name -> record; a list
    of records, or of pairs; the columns of pandas; value -> names of images; and COCO, whose images have the
    names of their categories.
    """
    pairs: Pairs | None = None
    if isinstance(table, dict):
        pairs = _pairs_of_object(path, table, names, values)
    elif isinstance(table, list) and table and all(isinstance(record, dict) for record in table):
        pairs = _pairs_of_records(path, table, names, values)
    elif isinstance(table, list) and table and all(map(_is_pair, table)):
        pairs = [(name, value) for name, value in table]
    if pairs is None or any(isinstance(cell, (dict, list)) for pair in pairs for cell in pair):
        raise UserError(
            f'{path} is not of the form {{"name": "label", ...}}, and no list of records '
            '{"name": ..., "label": ...}'
        )
    return pairs


def is_missing(value: object) -> bool:
    """Whether a value of JSON is null or NaN, as pandas writes what it does not have."""
    return value is None or (isinstance(value, float) and math.isnan(value))


def value_as_text(value: object) -> str:
    """A label that may be a number: 3 and 3.0 are both "3"."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value)


def _is_pair(item: object) -> bool:
    return isinstance(item, list) and len(item) == 2 and isinstance(item[0], str)


def _pairs_of_object(
    path: Path, table: Mapping[str, object], names: Sequence[str], values: Sequence[str]
) -> Pairs | None:
    """The pairs of one of the forms that are an object; None if it has another."""
    if all(isinstance(table.get(key), list) for key in OF_COCO):
        return _pairs_of_coco(path, table)
    if has_column(list(table), names) and has_column(list(table), values):
        return _pairs_of_columns(path, table, names, values)
    inner = [table[key] for key in WRAPPERS if isinstance(table.get(key), (dict, list))]
    if len(inner) == 1 and not any(map(has_image_suffix, table)):
        if isinstance(titles := table.get("columns"), list) and isinstance(
            inner[0], list
        ):  # "split" of pandas
            inner = [[dict(zip(titles, row, strict=False)) for row in inner[0] if isinstance(row, list)]]
        return pairs_in_json(path, inner[0], names, values)
    if table and all(isinstance(value, dict) for value in table.values()):
        records = [{names[0]: name, **record} for name, record in table.items()]
        return _pairs_of_records(path, records, names[:1], values)
    if table and all(isinstance(value, list) for value in table.values()):
        return _pairs_of_lists(table)
    return list(table.items())


def _pairs_of_lists(table: Mapping[str, list[object]]) -> Pairs:
    """Names of images by their value, or a list of one value for each name."""
    items = [item for items in table.values() for item in items]
    if items and all(isinstance(item, str) and has_image_suffix(item) for item in items):
        return [(name, value) for value, names in table.items() for name in names]
    return [(name, values[0] if len(values) == 1 else values) for name, values in table.items()]


def _pairs_of_columns(
    path: Path, table: Mapping[str, object], names: Sequence[str], values: Sequence[str]
) -> Pairs | None:
    """The pairs of two columns: lists of one length, or objects with the same keys; or a single record."""
    titles = list(table)
    name, value = (table[titles[find_column(path, titles, columns)]] for columns in (names, values))
    if isinstance(name, dict) and isinstance(value, dict):
        return [(name[key], value.get(key)) for key in name]
    if isinstance(name, list) and isinstance(value, list) and len(name) == len(value):
        return list(zip(name, value, strict=True))
    return None if isinstance(name, (dict, list)) or isinstance(value, (dict, list)) else [(name, value)]


def _pairs_of_records(
    path: Path, records: list[dict[str, object]], names: Sequence[str], values: Sequence[str]
) -> Pairs:
    titles = list(dict.fromkeys(title for record in records for title in record))
    name, value = (titles[find_column(path, titles, columns)] for columns in (names, values))
    for number, record in enumerate(records, 1):
        if is_missing(record.get(name)):
            raise UserError(f"{path}: record {number:,} has no {printable(name)}")
    return [(record[name], record.get(value)) for record in records]


def _pairs_of_coco(path: Path, table: Mapping[str, list[dict[str, object]]]) -> Pairs:
    """An image has the name of its category. It has none if it has no category, or several.

    See https://cocodataset.org/#format-data.
    """
    try:
        titles = {category["id"]: category["name"] for category in table["categories"]}
        found: dict[object, set[object]] = {image["id"]: set() for image in table["images"]}
        for annotation in table["annotations"]:
            found[annotation["image_id"]].add(titles[annotation["category_id"]])
        pairs = [(image["file_name"], found[image["id"]]) for image in table["images"]]
    except (KeyError, TypeError) as error:
        raise UserError(
            f"{path} has images and annotations as COCO has them, but {error} is not there"
        ) from None
    return [(name, next(iter(labels)) if len(labels) == 1 else None) for name, labels in pairs]
