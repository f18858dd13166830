"""What collections call their labels, and the value of a label as text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal

from imagestore import stored_names
from imagestore.console import UserError

LABEL_KEYS = ("label", "class", "cls")  # the usual words, the first of which counts
OTHER_KEYS = ("labels", "classes", "target", "targets", "category", "species", "y")  # of columns and arrays


class NoLabels(UserError):
    """The archive itself does not say which labels its images have, or not clearly.

    `candidates` are the arrays that may be the labels, if there are several.
    """

    def __init__(self, message: str, candidates: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.candidates = candidates


def text_of(value: object) -> str | None:
    """A label as text: 3, 3.0 and True are "3", "3" and "1". None if the value cannot be a label."""
    if isinstance(value, bytes):
        return stored_names.as_windows_1252(stored_names.decode(value))
    if isinstance(value, (float, Decimal)):
        if not math.isfinite(value):
            return None
        return str(int(value)) if value == int(value) else str(value)
    if isinstance(value, bool):
        return str(int(value))
    return str(value) if isinstance(value, (str, int)) else None


def usual_name(names: Sequence[str]) -> str | None:
    """The name that is a usual word for a label; capital and small letters are equal. None if none is."""
    lower = [name.lower() for name in names]
    return next((names[lower.index(word)] for word in LABEL_KEYS + OTHER_KEYS if word in lower), None)
