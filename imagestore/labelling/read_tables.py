"""Read the files that say something of images by their names: CSV, TSV and JSON."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from imagestore.console import UserError
from imagestore.image_formats import has_image_suffix
from imagestore.labelling.column_titles import NAME_COLUMNS, find_column, has_column
from imagestore.labelling.json_tables import is_missing, pairs_in_json, value_as_text
from imagestore.labelling.text_files import read_json, read_text

DELIMITERS = ",;\t|"
JSON_SUFFIXES = (".json", ".jsonl", ".ndjson")
LINE = re.compile(r"[^\r\n]*")
LINE_TO_SKIP = re.compile(r"[^\S\n]*(?:#+[^\S\n]*(?P<comment>[^\n]*))?\n")
EXCELS_DELIMITER = re.compile(r"\s*sep=(.)[\r\n]+", re.IGNORECASE)  # a first line that tells it
LONGEST_FIELD = 1 << 40  # characters; Python's csv refuses fields of more than 128 K by itself
NUMBER = re.compile(r"\s*-?\d{1,15}(\.\d*(e[+-]\d\d)?)?\s*", re.ASCII)
ONE, ZERO = frozenset(("1", "1.0")), frozenset(("0", "0.0", ""))


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
        table = _open_table(path, name_columns, value_columns)
        if not has_column(table.titles, value_columns) and len(value_columns) > 1:
            pairs = _one_hot(path, table, name_columns, value_columns)
        else:
            cells = _cells(path, table, (name_columns, value_columns))
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
    return _cells(path, _open_table(path, *columns), columns, optional)


def _cells(
    path: Path, table: _Table, columns: Sequence[Sequence[str]], optional: Sequence[str] = ()
) -> Iterator[list[str]]:
    titles = table.titles
    places = [find_column(path, titles, candidates) for candidates in columns]
    if has_more := has_column(titles, optional):
        places.append(find_column(path, titles, optional))
    last = max(places)
    for row in table.rows:
        if len(row) <= last:
            raise UserError(f"{path}, line {table.line()}: it has {len(row)} of {len(titles)} columns")
        cells = [row[place] for place in places]
        yield cells if has_more else [*cells, ""]


def _one_hot(
    path: Path, table: _Table, name_columns: Sequence[str], value_columns: Sequence[str]
) -> list[tuple[str, str | None]]:
    """The title of the column with the 1, for each row. Raises UserError if there are other cells, or two."""
    titles = table.titles
    place = find_column(path, titles, name_columns)
    classes = [i for i in range(len(titles)) if i != place]
    pairs: list[tuple[str, str | None]] = []
    for row in table.rows:
        cells = [row[i].strip() if i < len(row) else "" for i in classes]
        ones = [titles[i] for i, cell in zip(classes, cells, strict=True) if cell in ONE]
        if not set(cells) <= ONE | ZERO or len(ones) > 1 or len(row) <= place:
            find_column(path, titles, value_columns)
        pairs.append((row[place], ones[0] if ones else None))
    return pairs


def value_of(cell: str) -> str | None:
    """What a cell of a CSV file says; None if it is empty. JSON alone can tell an empty text from none."""
    return cell if cell.strip() else None


class _Table(NamedTuple):
    """A CSV text."""

    titles: list[str]
    rows: Iterator[list[str]]  # without empty ones
    line: Callable[[], int]  # the number of the line that was read last


def _open_table(path: Path, *columns: Sequence[str]) -> _Table:
    """The table in a file. Raises UserError.

    `columns` are the titles that are looked for, first those of names. A table of two columns may lack titles
    if one column has names of images.
    """
    text = read_text(path)
    if not text.strip():
        raise UserError(f"{path} is empty")
    begin, first_line, delimiter = _beginning(path, text, columns)
    reader = _reader(io.StringIO(text[begin:], newline=""), first_line, delimiter)
    lines_before = text.count("\n", 0, begin)

    def line() -> int:
        return lines_before + reader.line_num

    rows = _rows(path, reader, line, is_padded=_is_around(delimiter, first_line, before=True))
    titles = next(rows, [])
    images = [has_image_suffix(cell.strip()) for cell in titles]
    if len(titles) == 2 and any(images) and not has_column(titles, columns[0]):
        rows = chain([titles], rows)
        names, *others = (candidates[0] for candidates in columns)
        titles = [names, *others[:1]] if images[0] else [*others[:1], names]
    return _Table([title.strip() for title in titles], rows, line)


def _beginning(path: Path, text: str, columns: Sequence[Sequence[str]]) -> tuple[int, str, str]:
    """Where the titles begin, their line, and the character between the columns.

    Empty lines, comments (#) and Excel's `sep=;` may come before. Titles may stand in a comment.
    """
    told = EXCELS_DELIMITER.match(text)
    begin = told.end() if told else 0
    while match := LINE_TO_SKIP.match(text, begin):
        titles = match["comment"] or ""
        if has_column(titles.split(_delimiter(path, titles)), columns[0]):
            begin = match.start("comment")
            break
        begin = match.end()
    first_line = LINE.match(text, begin)[0]
    return begin, first_line, told[1] if told else _delimiter(path, first_line)


def _reader(file: io.StringIO, titles: str, delimiter: str) -> csv.reader:
    csv.field_size_limit(LONGEST_FIELD)
    # Titles such as `name, label` tell that a blank belongs to the delimiter.
    has_blanks = _is_around(delimiter, titles, before=False)
    return csv.reader(file, delimiter=delimiter, skipinitialspace=has_blanks)


def _is_around(delimiter: str, titles: str, before: bool) -> bool:
    """Whether a blank is before, or behind, each delimiter of the titles."""
    with_blank = f" {delimiter}" if before else f"{delimiter} "
    return 0 < titles.count(delimiter) == titles.count(with_blank)


def _rows(
    path: Path, reader: Iterator[list[str]], line: Callable[[], int], is_padded: bool
) -> Iterator[list[str]]:
    """The rows of a table, without empty ones. Raises UserError."""
    try:
        for row in reader:
            if any(row) and (len(row) > 1 or row[0].strip()):
                yield [cell.strip() for cell in row] if is_padded else row
    except csv.Error as error:
        raise UserError(f"{path}, line {line()}: {error}") from None


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
