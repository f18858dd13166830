"""NotAnImage, the one error of decoding, and the errors of Pillow that become it."""

from __future__ import annotations

import contextlib
import struct
import warnings
from collections.abc import Iterator

from PIL import Image, UnidentifiedImageError

PILLOW_ERRORS = (  # that Pillow's readers raise for damaged files
    OSError, ValueError, SyntaxError, EOFError, TypeError, KeyError, IndexError, OverflowError, struct.error,
)  # fmt: skip


class NotAnImage(Exception):
    """The bytes cannot be decoded within bounds. The message is one line with the reason."""


@contextlib.contextmanager
def errors_as_not_an_image() -> Iterator[None]:
    """Turn all errors that Pillow raises inside into NotAnImage, and ignore its warnings."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except UnidentifiedImageError:
        raise NotAnImage("not an image of a known format") from None
    except Image.DecompressionBombError:
        raise NotAnImage("claims to be enormous; it is not decoded") from None
    except MemoryError:
        raise NotAnImage("needs more memory than there is") from None
    except PILLOW_ERRORS as error:
        raise NotAnImage(f"cannot be decoded ({(str(error) or repr(error)).splitlines()[0]})") from None
