"""Names of labels that are numbers (--class-names)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from imagestore.console import UserError
from imagestore.labelling.read_tables import read_json, read_text, value_as_text


def read_class_names(path: Path, numbers: Collection[str]) -> dict[str, str]:
    """Number (as text) -> name, from a file. Raises UserError.

    The file is JSON (`{"1": "rose"}` or `["rose", ...]`), or text with a name in each line. Names without
    numbers count from 0; but from 1 if `numbers`, all the labels there are, hold no 0 and hold the number of
    names.
    """
    if path.suffix.lower() == ".json":
        names = read_json(path)
        if isinstance(names, Mapping):
            return {key: value_as_text(name) for key, name in names.items()}
        if not isinstance(names, list):
            raise UserError(f"{path} is neither a JSON object nor a JSON list")
        names = [value_as_text(name) for name in names]
    else:
        names = [line.strip() for line in read_text(path).splitlines() if line.strip()]
    first = int("0" not in numbers and str(len(names)) in numbers)
    return {str(number): name for number, name in enumerate(names, first)}
