"""The labels file that belongs to the weights beside it: `{"label": index}` as JSON. Imports nothing slow."""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from pathlib import Path

from imagestore import stored_names
from imagestore.console import UserError
from imagestore.files.atomic_write import write_whole


def save_labels(labels: Sequence[str], path: Path) -> None:
    """Write the labels and their indices, whole or not at all. Raises UserError, OSError."""
    with write_whole(path) as temporary:
        text = json.dumps({label: i for i, label in enumerate(labels)}, indent=1) + "\n"
        temporary.write_text(text, encoding="utf-8")


def load_labels(path: Path) -> list[str]:
    """The labels in the order of their indices. Raises UserError."""
    try:
        indices = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; train_model.py writes it") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    except (ValueError, RecursionError):
        raise UserError(f"{path}: not JSON; give the *_labels.json that train_model.py wrote") from None
    if not (_has_indices_from_0(indices) and all(map(_can_be_stored, indices))):
        raise UserError(
            f'{path}: not a labels file; expected {{"label": index, …}}, as train_model.py writes it'
        )
    return sorted(indices, key=indices.__getitem__)


def _has_indices_from_0(indices: object) -> bool:
    """Whether this is a dict that is not empty and whose values are 0, 1, 2 and so on, in any order."""
    if not isinstance(indices, dict) or not indices:
        return False
    numbers = list(indices.values())
    return all(type(number) is int for number in numbers) and sorted(numbers) == list(range(len(numbers)))


def _can_be_stored(label: str) -> bool:
    """Whether a store can have this label. JSON can also spell halves of characters, which no store has."""
    try:
        stored_names.encode(label)
    except UnicodeEncodeError:
        return False
    return True


def labels_crc32(labels: Sequence[str]) -> int:
    """A checksum of the labels and their order. The weights keep it, to recognise their labels file."""
    return zlib.crc32(stored_names.encode("\n".join(labels)))
