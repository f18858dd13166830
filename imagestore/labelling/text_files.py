"""Read text files and JSON files that people and programs write: in several encodings."""

from __future__ import annotations

import codecs
import json
from functools import partial
from pathlib import Path

from imagestore import stored_names
from imagestore.archive.file_kinds import PAGES, POINTERS, TEXT, kind_of
from imagestore.console import UserError, describe, note, printable

BEGINNING = 4096  # bytes that tell what a file is


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
    if len(data) > 1 and (data[0] == 0) != (data[1] == 0):
        return data.decode("utf-16-be" if data[0] == 0 else "utf-16-le", "replace")
    kind = kind_of(data[:BEGINNING])
    if kind not in (None, TEXT):
        advice = kind.advice if kind.members in (POINTERS, PAGES) else "save the table as CSV"
        raise UserError(f"{path} is {kind.one}: {advice}")
    text = data.decode("utf-8-sig", "surrogateescape")
    letters = stored_names.as_windows_1252(text)
    if letters != text:
        note(f"{path} is not UTF-8 and is read as Windows-1252: if letters are wrong, save it as UTF-8")
    return letters


def read_json(path: Path) -> object:
    """The value of a JSON file. Raises UserError, also if an object has two values for one name."""
    try:
        return _load_json(path, read_text(path))
    except (json.JSONDecodeError, RecursionError) as error:
        raise UserError(f"{path} is no JSON file ({error})") from None


def _load_json(path: Path, text: str) -> object:
    """The value of a text; of JSON Lines, a list of the values of all lines."""
    load = partial(json.loads, object_pairs_hook=partial(_object, path))
    lines = [line for line in text.splitlines() if line.strip()]
    if len(lines) > 1 and lines[0].strip().startswith("{") and lines[0].strip().endswith("}"):
        return list(map(load, lines))
    return load(text)


def _object(path: Path, pairs: list[tuple[str, object]]) -> dict[str, object]:
    """An object of a JSON file. Raises UserError if a name in it has two different values."""
    values = dict[str, object]()
    for name, value in pairs:
        if name in values and values[name] != value:
            raise UserError(f"{path} names {printable(name)} twice, with different values: leave one of them")
        values[name] = value
    return values
