"""The answers as a CSV file: a row for each image. `h5vfs.py` and `colourHeuristic.py` read such tables."""

from __future__ import annotations

import contextlib
import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from imagestore.classifying.answer import Answer
from imagestore.files.atomic_write import write_whole


class AnswersTable:
    """A table that is being written, one row after the other."""

    def __init__(self, file: TextIO, titles: list[str]) -> None:
        """Write the titles (see answer.columns)."""
        self._file = file
        self._file.write(_line(titles))

    def add(self, answer: Answer) -> None:
        """Write a row. Raises OSError."""
        self._file.write(_line(answer.row()))


@contextlib.contextmanager
def answers_table(path: Path, titles: list[str]) -> Iterator[AnswersTable]:
    """A table that is at `path` when the block ends, whole. If the block raises, it is not there.

    Names and labels are bytes as the store has them, which usually are UTF-8. Raises UserError, OSError.
    """
    options = {"encoding": "utf-8", "errors": "surrogateescape", "newline": ""}
    with write_whole(path) as temporary, temporary.open("w", **options) as file:
        yield AnswersTable(file, titles)


def _line(cells: list[str]) -> str:
    """The cells as a line of CSV that ends as lines of text files do."""
    text = io.StringIO()
    csv.writer(text).writerow(cells)  # with the end "\r\n", it quotes a cell that holds either
    return text.getvalue().removesuffix("\r\n") + "\n"
