"""Names of labels that are numbers (--class-names)."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from imagestore.console import UserError, counted, note, printable
from imagestore.labelling.json_tables import is_missing, value_as_text
from imagestore.labelling.text_files import read_json, read_text

LABELS_SHOWN = 5  # of those that have no name
TITLES = re.compile(r"[^\d,;\t]+[,;\t][^\d,;\t]+")
NUMBERED = (
    re.compile(r"(?P<number>\d+)(\.0+)?\s*[,;\t ]\s*(?P<name>\S.*)"),  # a line such as "1,rose" or "1 rose"
    re.compile(r"(?P<name>.*\S)\s*[,;\t]\s*(?P<number>\d+)(\.0+)?"),  # such as "rose,1"
)


def read_class_names(path: Path, labels: Collection[str]) -> dict[str, str]:
    """Number (as text) -> name, from a file. Raises UserError.

    The file is JSON (`{"1": "rose"}`, `{"rose": 1}` or `["rose", ...]`), or text. Each line of a text has a
    name, or a number and a name; then a line of titles may stand above them. The user is told if such numbers
    lack some of the labels. Names without numbers count from 0; but from 1 if `labels`, all the labels there
    are, hold no 0 and hold the number of names. If that cannot be right, because a label that is a number has
    no name then, it is an error. If both are possible, the user is told.
    """
    if path.suffix.lower() == ".json":
        names = read_json(path)
        if isinstance(names, Mapping):
            pairs = [(key, value_as_text(name)) for key, name in names.items() if not is_missing(name)]
            if all(name.isdecimal() for _, name in pairs) and not all(key.isdecimal() for key, _ in pairs):
                pairs = [(number, name) for name, number in pairs]
            return _told(path, dict(pairs), labels)
        if not isinstance(names, list):
            raise UserError(f"{path} is neither a JSON object nor a JSON list")
        names = [value_as_text(name) for name in names]
    else:
        names = [line.strip() for line in read_text(path).splitlines() if line.strip()]
        has_titles = bool(names) and TITLES.fullmatch(names[0]) is not None
        if numbered := _numbered(names[has_titles:]):
            return _told(path, numbered, labels)
    return _counted(path, names, labels)


def note_if_unused(path: Path, labels: Collection[str]) -> None:
    """Tell the user that no label is a number, so that no name of the file is used."""
    if labels and not any(label.isdecimal() for label in labels):
        note(f"--class-names {printable(str(path))}: is not used: no label is a number")


def _numbered(lines: Sequence[str]) -> dict[str, str]:
    """Number -> name, if each line has both and no number comes twice; else empty."""
    for pattern in NUMBERED:
        found = [match for match in map(pattern.fullmatch, lines) if match]
        numbered = {str(int(match["number"])): match["name"].strip('"') for match in found}
        if len(numbered) == len(lines):
            return numbered
    return {}


def _told(path: Path, numbered: dict[str, str], labels: Collection[str]) -> dict[str, str]:
    """The same names. If they lack numbers, the user is told."""
    if unnamed := _without_name(labels, numbered):
        note(f"--class-names {printable(str(path))}: has no name for {unnamed}")
    return numbered


def _counted(path: Path, names: list[str], labels: Collection[str]) -> dict[str, str]:
    """Names without numbers; see `read_class_names`. Raises UserError."""
    first = int("0" not in labels and str(len(names)) in labels)
    numbered = {str(number): name for number, name in enumerate(names, first)}
    if unnamed := _without_name(labels, numbered):
        raise UserError(
            f"--class-names {path}: has {counted(len(names), 'name')}, and counted from {first}, none is for "
            f'{unnamed}; give JSON with the number of each name, {{"1": "rose"}}'
        )
    if "0" not in labels and first == 0 and not numbered.keys().isdisjoint(labels):
        note(
            f"--class-names {printable(str(path))}: counts the names from 0, but no label is 0 or "
            f'{len(names)}: if they count from 1, give JSON, {{"1": "rose"}}'
        )
    return numbered


def _without_name(labels: Collection[str], names: Mapping[str, str]) -> str:
    """The labels that are numbers and have no name, such as "label 7"; empty if all have one."""
    unnamed = sorted((label for label in labels if label.isdecimal() and label not in names), key=int)
    if not unnamed:
        return ""
    more = ", …" if len(unnamed) > LABELS_SHOWN else ""
    return f"{'label' if len(unnamed) == 1 else 'labels'} {', '.join(unnamed[:LABELS_SHOWN])}{more}"
