"""Files of tensors and plain values: written whole or not at all, loaded without running code from them."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import torch

from imagestore.console import UserError
from imagestore.files.atomic_write import write_whole

# What Python and torch raise if a file holds something else than was saved.
UNEXPECTED_CONTENT = (LookupError, TypeError, AttributeError, ValueError, RuntimeError, OverflowError)


def save_file(content: dict[str, Any], path: Path) -> None:
    """`torch.save`, whole or not at all. Raises UserError, OSError."""
    buffer = io.BytesIO()  # if torch writes a file itself, it hides why it could not, such as a full disk
    torch.save(content, buffer)
    with write_whole(path) as temporary:
        temporary.write_bytes(buffer.getbuffer())


def load_file(path: Path, device: torch.device) -> dict[str, Any]:
    """Load tensors and plain values that `save_file` wrote, but no code. Raises UserError."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; train_model.py writes it") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    with file:
        try:
            return torch.load(file, map_location=device, weights_only=True)
        except Exception as error:  # pickle, zip and torch have exceptions of their own for a damaged file
            raise UserError(f"{path}: not a file that torch can load ({type(error).__name__})") from error
