"""The labels file, `{"label": index}` as JSON, that stands beside the weights trained for it.

Used by model, train_model.py and classify.py, which reads it before it takes the time to import torch.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from pathlib import Path

from imagestore import files
from imagestore.console import UserError


def save_labels(labels: Sequence[str], path: Path) -> None:
    """Write the labels, whole or not at all; the index of each is its place. Raises UserError, OSError."""
    with files.whole(path) as part:
        part.write_text(json.dumps({label: i for i, label in enumerate(labels)}, indent=1) + "\n")


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
    if not (_is_numbered(indices) and all(map(_is_a_name, indices))):
        raise UserError(f'{path}: no labels; expected {{"label": index, …}}, as train_model.py writes it')
    return sorted(indices, key=indices.__getitem__)


def _is_numbered(indices: object) -> bool:
    if not isinstance(indices, dict) or not indices:
        return False
    numbers = list(indices.values())
    return all(type(number) is int for number in numbers) and sorted(numbers) == list(range(len(numbers)))


def _is_a_name(label: str) -> bool:
    """Whether a store can have it: JSON can also spell halves of characters."""
    try:
        label.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return False
    return True


def labels_crc32(labels: Sequence[str]) -> int:
    """A checksum of the labels and their order, kept in the weights so that others are noticed."""
    return zlib.crc32("\n".join(labels).encode("utf-8", "surrogateescape"))
