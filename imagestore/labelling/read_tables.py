"""Read the files that say something of images by their names: CSV, TSV and JSON."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from imagestore.console import UserError
from imagestore.image_formats import has_image_suffix
from imagestore.labelling.column_titles import NAME_COLUMNS, find_column, has_column
from imagestore.labelling.json_tables import is_missing, pairs_in_json, value_as_text
from imagestore.labelling.text_files import read_json, read_text

DELIMITERS = ",;\t|"
JSON_SUFFIXES = (".json", ".jsonl", ".ndjson")
EXCELS_DELIMITER = re.compile(r"\s*sep=(.)[\r\n]+", re.IGNORECASE)  # a first line that tells it
LONGEST_FIELD = 1 << 40  # characters; Python's csv refuses fields of more than 128 K by itself
NUMBER = re.compile(r"\s*-?\d{1,15}(\.\d*(e[+-]\d\d)?)?\s*", re.ASCII)
ONE, ZERO = frozenset(("1", "1.0")), frozenset(("0", "0.0", ""))

Row = tuple[int, list[str]]  # the number of its line, and its cells


def read_table(
    path: Path, value_columns: Sequence[str], name_column: str | None
) -> list[tuple[str, str | None]]:
    """The (name, value) pairs of a CSV, TSV or JSON file, by its suffix. Raises UserError.

    The value of an empty cell, of JSON's null and of NaN is None. If all values are whole numbers, 3.0 is
    "3": pandas writes them so where values are missing. `value_columns` are the titles that the column of the
    values may have; `name_column` is the title of the column of the names, if it is none of NAME_COLUMNS.
    Without a column of values, the titles of columns with a single 1 in each row are the values.
    """
    name_columns = (name_column,) if name_column else NAME_COLUMNS
    if path.suffix.lower() in JSON_SUFFIXES:
        pairs = _read_json(path, name_columns, value_columns)
    else:
        titles, rows = _titles_and_rows(path, name_columns, value_columns)
        rows = list(rows)
        if not has_column(titles, value_columns) and len(value_columns) > 1:
            pairs = _one_hot(path, titles, rows, name_columns, value_columns)
        else:
            cells = _cells(path, titles, rows, (name_columns, value_columns))
            pairs = [(name, value_of(cell)) for name, cell, _ in cells]
    if not pairs:
        raise UserError(f"{path} names no image")
    return _as_whole_numbers(pairs)


def _as_whole_numbers(pairs: list[tuple[str, str | None]]) -> list[tuple[str, str | None]]:
    """The pairs with 3 for 3.0 and nothing for NaN, if no value is anything but a whole number."""
    values = {value for _, value in pairs if value is not None and value.strip().lower() != "nan"}
    if not any("." in value for value in values) or not all(map(_is_whole_number, values)):
        return pairs
    texts = {value: str(int(float(value))) for value in values}
    return [(name, texts.get(value)) for name, value in pairs]


def _is_whole_number(text: str) -> bool:
    return NUMBER.fullmatch(text) is not None and float(text).is_integer()


def read_columns(path: Path, *columns: Sequence[str], optional: Sequence[str] = ()) -> Iterator[list[str]]:
    """Some cells of each row of a CSV or TSV file: for each of `columns`, those of the first title it has.

    The last cell is that of the first title of `optional`; empty if the file has none. Raises UserError.
    """
    titles, rows = _titles_and_rows(path, *columns)
    yield from _cells(path, titles, rows, columns, optional)


def _cells(
    path: Path,
    titles: Sequence[str],
    rows: Iterable[Row],
    columns: Sequence[Sequence[str]],
    optional: Sequence[str] = (),
) -> Iterator[list[str]]:
    places = [find_column(path, titles, candidates) for candidates in columns]
    more = [find_column(path, titles, optional)] if has_column(titles, optional) else []
    for number, row in rows:
        if len(row) <= max(places + more):
            raise UserError(f"{path}, line {number}: it has {len(row)} of {len(titles)} columns")
        yield [row[place] for place in places + more] + ([] if more else [""])


def _one_hot(
    path: Path,
    titles: Sequence[str],
    rows: Iterable[Row],
    name_columns: Sequence[str],
    value_columns: Sequence[str],
) -> list[tuple[str, str | None]]:
    """The title of the column with the 1, for each row. Raises UserError if there are other cells, or two."""
    place = find_column(path, titles, name_columns)
    classes = [i for i in range(len(titles)) if i != place]
    pairs: list[tuple[str, str | None]] = []
    for _, row in rows:
        cells = [row[i].strip() if i < len(row) else "" for i in classes]
        ones = [titles[i] for i, cell in zip(classes, cells, strict=True) if cell in ONE]
        if not set(cells) <= ONE | ZERO or len(ones) > 1 or len(row) <= place:
            find_column(path, titles, value_columns)
        pairs.append((row[place], ones[0] if ones else None))
    return pairs


def value_of(cell: str) -> str | None:
    """What a cell of a CSV file says; None if it is empty. JSON alone can tell an empty text from none."""
    return cell if cell.strip() else None


def _titles_and_rows(path: Path, *columns: Sequence[str]) -> tuple[list[str], Iterator[Row]]:
    """The titles of a table and its rows, without empty ones. Raises UserError.

    `columns` are the titles that are looked for, first those of names. A table of two columns may lack titles
    if one column has names of images.
    """
    text = read_text(path)
    if not text.strip():
        raise UserError(f"{path} is empty")
    csv.field_size_limit(LONGEST_FIELD)
    first, lines, delimiter = _beginning(path, text, columns)
    titles = next(csv.reader([lines[0]], delimiter=delimiter), [])
    rows = _rows(path, "".join(lines), delimiter, first)
    images = [has_image_suffix(cell.strip()) for cell in titles]
    if len(titles) == 2 and any(images) and not has_column(titles, columns[0]):
        names, *others = (candidates[0] for candidates in columns)
        titles = [names, *others[:1]] if images[0] else [*others[:1], names]
    else:
        next(rows)
    return [title.strip() for title in titles], rows


def _beginning(path: Path, text: str, columns: Sequence[Sequence[str]]) -> tuple[int, list[str], str]:
    """The number of the line of the titles, the lines from there on, and the character between the columns.

    Empty lines, comments (#) and Excel's `sep=;` may come before.
    """
    told = EXCELS_DELIMITER.match(text)
    lines = (text[told.end() :] if told else text).splitlines(keepends=True)
    first = len(text[: told.end()].splitlines()) + 1 if told else 1
    while not lines[0].strip() or (lines[0].startswith("#") and len(lines) > 1):
        without_sign = lines[0].lstrip("# ")
        if has_column(without_sign.split(_delimiter(path, without_sign)), columns[0]):
            lines[0] = without_sign
            break
        first, lines = first + 1, lines[1:]
    return first, lines, told[1] if told else _delimiter(path, lines[0])


def _rows(path: Path, text: str, delimiter: str, first: int) -> Iterator[Row]:
    """The rows of a CSV text whose first line has the number `first`; empty rows are left out."""
    titles = text.splitlines()[0]
    # Titles such as `name, label` tell that a blank belongs to the delimiter.
    has_blanks = 0 < titles.count(delimiter) == titles.count(delimiter + " ")
    is_padded = 0 < titles.count(delimiter) == titles.count(" " + delimiter)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=has_blanks)
    try:
        for row in rows:
            if any(map(str.strip, row)):
                yield first + rows.line_num - 1, [cell.strip() for cell in row] if is_padded else row
    except csv.Error as error:
        raise UserError(f"{path}, line {first + rows.line_num - 1}: {error}") from None


def _delimiter(path: Path, titles: str) -> str:
    """The character between the columns: the commonest candidate in the line of the titles, or a blank."""
    if path.suffix.lower() == ".tsv":
        return "\t"
    delimiter = max(DELIMITERS, key=titles.count)
    return delimiter if delimiter in titles or " " not in titles.strip() else " "


def _read_json(
    path: Path, name_columns: Sequence[str], value_columns: Sequence[str]
) -> list[tuple[str, str | None]]:
    pairs = pairs_in_json(path, read_json(path), name_columns, value_columns)
    return [
        (value_as_text(name), None if is_missing(value) else value_as_text(value)) for name, value in pairs
    ]
