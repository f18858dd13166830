"""The memory that decoding one image may take: IMAGESTORE_DECODE_MEMORY, for each process or thread."""

from __future__ import annotations

import argparse
import functools
import os

from imagestore.arguments import DECODE_MEMORY, memory
from imagestore.console import UserError

VARIABLE = "IMAGESTORE_DECODE_MEMORY"
LEAST = 1 << 20


def memory_bound() -> int:
    """Bytes; the bytes of the file count too, so no file that is larger is decoded. Raises UserError."""
    return _parse(os.environ.get(VARIABLE) or DECODE_MEMORY)


@functools.cache
def _parse(text: str) -> int:
    try:
        bound = memory(text)
    except argparse.ArgumentTypeError as error:
        raise UserError(f"{VARIABLE}: {error}") from None
    if bound < LEAST:
        raise UserError(f"{VARIABLE}: {text} is too little to decode an image; examples: {DECODE_MEMORY}, 2G")
    return bound
