"""The files of a classification: a table of the answers, and the features of the images."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from imagestore.classifying.answers_table import AnswersTable, answers_table
from imagestore.classifying.features_file import FeaturesFile, features_file
from imagestore.console import note, printable
from imagestore.processes import Stop


@dataclass(frozen=True)
class ResultFiles:
    """The files that are being written."""

    paths: list[Path]
    table: AnswersTable | None
    features: FeaturesFile | None


class _Incomplete(Exception):
    """The run was stopped before the last image."""


@contextlib.contextmanager
def result_files(
    table: Path | None, features: Path | None, titles: list[str], stop: Stop
) -> Iterator[ResultFiles]:
    """Files that are at these paths when the block ends, whole.

    If the block raises, they are not there. If `stop` was requested, neither are they, and the user is told.
    `titles` are those of the table (see answer.columns). Raises UserError, OSError.
    """
    paths = [path for path in (table, features) if path is not None]
    try:
        with contextlib.ExitStack() as stack:
            open_table = None if table is None else stack.enter_context(answers_table(table, titles))
            open_features = None if features is None else stack.enter_context(features_file(features))
            yield ResultFiles(paths, open_table, open_features)
            if stop.requested and paths:
                raise _Incomplete
    except _Incomplete:
        names = " and ".join(printable(str(path)) for path in paths)
        note(f"classify: stopped before the last image; not written: {names}")
