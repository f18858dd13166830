"""Read the files that say something of images by their names: CSV, TSV and JSON."""

from __future__ import annotations

import codecs
import csv
import io
import json
import math
import re
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from imagestore import stored_names
from imagestore.console import UserError, describe, did_you_mean, note, printable

COLUMN_FLAGS = {"name": "--name-column", "label": "--label-column"}  # by the first of the usual titles
NAME_COLUMNS = ("name", "path", "file", "filename", "file_name", "image", "member")
DELIMITERS = ",;\t|"
NUMBER = re.compile(r"\s*-?\d{1,15}(\.\d*(e[+-]\d\d)?)?\s*", re.ASCII)
LONGEST_FIELD = 1 << 20  # characters; Python's csv refuses fields of more than 128 K by itself


def read_table(
    path: Path, value_columns: Sequence[str], name_column: str | None
) -> list[tuple[str, str | None]]:
    """The (name, value) pairs of a CSV, TSV or JSON file, by its suffix. Raises UserError.

    The value of an empty cell, of JSON's null and of NaN is None. If all values are whole numbers, 3.0 is
    "3": pandas writes them so where values are missing. `value_columns` are the titles that the column of the
    values may have; `name_column` is the title of the column of the names, if it is none of NAME_COLUMNS.
    Capital and small letters of titles are equal.
    """
    name_columns = (name_column,) if name_column else NAME_COLUMNS
    if path.suffix.lower() == ".json":
        return _as_whole_numbers(_read_json(path, name_columns, value_columns))
    cells = read_columns(path, name_columns, value_columns)
    return _as_whole_numbers([(name, value_of(cell)) for name, cell, _ in cells])


def _as_whole_numbers(pairs: list[tuple[str, str | None]]) -> list[tuple[str, str | None]]:
    """The pairs with 3 for 3.0 and nothing for NaN, if no value is anything but a whole number."""
    values = {value for _, value in pairs if value is not None and value.strip().lower() != "nan"}
    if not any("." in value for value in values) or not all(map(_is_whole_number, values)):
        return pairs
    texts = {value: str(int(float(value))) for value in values}
    return [(name, texts.get(value)) for name, value in pairs]


def _is_whole_number(text: str) -> bool:
    return NUMBER.fullmatch(text) is not None and float(text).is_integer()


def value_of(cell: str) -> str | None:
    """What a cell of a CSV file says; None if it is empty. JSON alone can tell an empty text from none."""
    return cell if cell.strip() else None


def read_columns(path: Path, *columns: Sequence[str], optional: Sequence[str] = ()) -> Iterator[list[str]]:
    """Some cells of each row of a CSV or TSV file: for each of `columns`, those of the first title it has.

    The last cell is that of the first title of `optional`; empty if the file has none. Raises UserError.
    """
    text = read_text(path)
    if not text.strip():
        raise UserError(f"{path} is empty")
    csv.field_size_limit(LONGEST_FIELD)
    first_line = text.splitlines()[0]
    delimiter = _delimiter(path, first_line)
    # Titles such as `name, label` tell that a blank belongs to the delimiter.
    has_blanks = 0 < first_line.count(delimiter) == first_line.count(delimiter + " ")
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=has_blanks)
    try:
        titles = [title.strip() for title in next(rows)]
        places = [_column(path, titles, candidates) for candidates in columns]
        has_more = bool(set(optional) & {title.lower() for title in titles})
        more = [_column(path, titles, optional)] if has_more else []
        for row in rows:
            if not any(row):
                continue
            if len(row) <= max(places + more):
                raise UserError(f"{path}, line {rows.line_num}: it has {len(row)} of {len(titles)} columns")
            yield [row[place] for place in places + more] + ([] if has_more else [""])
    except csv.Error as error:
        raise UserError(f"{path}, line {rows.line_num}: {error}") from None


def read_text(path: Path) -> str:
    """A text file as UTF-8, with or without a byte-order mark, or as UTF-16 with one. Raises UserError.

    Bytes that are not UTF-8 are read as Windows-1252, whose letters are those of Latin-1; the user is told.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(describe(error)) from error
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16", "replace")
    text = data.decode("utf-8-sig", "surrogateescape")
    letters = stored_names.as_windows_1252(text)
    if letters != text:
        note(f"{path} is not UTF-8 and is read as Windows-1252: if letters are wrong, save it as UTF-8")
    return letters


def read_json(path: Path) -> object:
    """The value of a JSON file. Raises UserError, also if an object has two values for one name."""
    try:
        return json.loads(read_text(path), object_pairs_hook=partial(_object, path))
    except (json.JSONDecodeError, RecursionError) as error:
        raise UserError(f"{path} is no JSON file ({error})") from None


def _object(path: Path, pairs: list[tuple[str, object]]) -> dict[str, object]:
    """An object of a JSON file. Raises UserError if a name in it has two different values."""
    values = dict[str, object]()
    for name, value in pairs:
        if name in values and values[name] != value:
            raise UserError(f"{path} names {printable(name)} twice, with different values: leave one of them")
        values[name] = value
    return values


def _read_json(
    path: Path, name_columns: Sequence[str], value_columns: Sequence[str]
) -> list[tuple[str, str | None]]:
    """The pairs of an object, or of a list of records such as {"name": "1.jpg", "label": "rose"}."""
    table = read_json(path)
    pairs = list(table.items()) if isinstance(table, dict) else None
    if isinstance(table, list) and table and all(isinstance(record, dict) for record in table):
        pairs = _pairs_of_records(path, table, name_columns, value_columns)
    if pairs is None or any(isinstance(cell, (dict, list)) for pair in pairs for cell in pair):
        raise UserError(f'{path} is not of the form {{"name": "label", ...}}, and no list of records')
    return [
        (value_as_text(name), None if is_missing(value) else value_as_text(value)) for name, value in pairs
    ]


def _pairs_of_records(
    path: Path, records: list[dict[str, object]], name_columns: Sequence[str], value_columns: Sequence[str]
) -> list[tuple[object, object]]:
    titles = list(dict.fromkeys(title for record in records for title in record))
    name, value = (titles[_column(path, titles, columns)] for columns in (name_columns, value_columns))
    for number, record in enumerate(records, 1):
        if is_missing(record.get(name)):
            raise UserError(f"{path}: record {number:,} has no {printable(name)}")
    return [(record[name], record.get(value)) for record in records]


def is_missing(value: object) -> bool:
    """Whether a value of JSON is null or NaN, as pandas writes what it does not have."""
    return value is None or (isinstance(value, float) and math.isnan(value))


def value_as_text(value: object) -> str:
    """A label that may be a number: 3 and 3.0 are both "3"."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value)


def _delimiter(path: Path, titles: str) -> str:
    """The character between the columns: the commonest candidate in the line of the titles."""
    if path.suffix.lower() == ".tsv":
        return "\t"
    return max(DELIMITERS, key=titles.count)


def _column(path: Path, titles: Sequence[str], candidates: Sequence[str]) -> int:
    """The place of the first candidate among the titles. Raises UserError."""
    lower = [title.lower() for title in titles]
    for candidate in candidates:
        if candidate.lower() in lower:
            return lower.index(candidate.lower())
    if len(candidates) == 1:
        raise UserError(f"{path} has no column {candidates[0]!r}{did_you_mean(candidates[0], titles)}")
    columns = printable(", ".join(titles[:10]))
    flag = COLUMN_FLAGS.get(candidates[0])
    advice = f"name it with {flag}" if flag else "give one of its columns such a title"
    raise UserError(
        f"{path} has no column {', '.join(candidates[:-1])} or {candidates[-1]}; it has {columns}: {advice}"
    )
