"""The titles of the columns of tables: which column holds what is looked for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from imagestore.console import UserError, did_you_mean, printable

COLUMN_FLAGS = {"name": "--name-column", "label": "--label-column"}  # by the first of the usual titles
NAME_COLUMNS = (
    *("name", "path", "file", "filename", "file_name", "image", "member"),
    *("image_name", "image_path", "image_file", "file_path", "filepath", "image_id", "id"),
)
CANDIDATES_SHOWN, TITLES_SHOWN = 3, 10


def has_column(titles: Sequence[str], candidates: Sequence[str]) -> bool:
    """Whether one of the candidates is among the titles."""
    return not {_normal(title) for title in titles}.isdisjoint(map(_normal, candidates))


def find_column(path: Path, titles: Sequence[str], candidates: Sequence[str]) -> int:
    """The place of the first candidate among the titles of a table. Raises UserError.

    Capital and small letters are equal, and `File Name` is `file_name`.
    """
    normal = list(map(_normal, titles))
    for candidate in candidates:
        if _normal(candidate) in normal:
            return normal.index(_normal(candidate))
    if len(candidates) == 1:
        raise UserError(f"{path} has no column {candidates[0]!r}{did_you_mean(candidates[0], titles)}")
    columns = printable(", ".join(titles[:TITLES_SHOWN]))
    flag = COLUMN_FLAGS.get(candidates[0])
    advice = f"name it with {flag}" if flag else "give one of its columns such a title"
    *others, last = candidates[:CANDIDATES_SHOWN]
    raise UserError(f"{path} has no column {', '.join(others)} or {last}; it has {columns}: {advice}")


def _normal(title: str) -> str:
    return title.strip().lower().replace(" ", "_").replace("-", "_")
