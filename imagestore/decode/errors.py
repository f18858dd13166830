"""NotAnImage, the one error of decoding, and how any error of Pillow becomes it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from PIL import Image, UnidentifiedImageError

from imagestore.console import UserError
from imagestore.decode.quiet import ignoring_warnings

# What Pillow's readers raise on purpose. The message says enough.
EXPECTED_ERRORS = (OSError, ValueError, SyntaxError, EOFError)


class NotAnImage(Exception):
    """The bytes cannot be decoded within bounds. The message is one line with the reason."""


class NotEnoughMemory(NotAnImage):
    """The machine, or a limit that the system sets, has no memory left: the bytes may be all right."""


@contextlib.contextmanager
def errors_as_not_an_image() -> Iterator[None]:
    """Turn all errors that are raised inside into NotAnImage, and ignore Pillow's warnings.

    Damaged bytes make Pillow's readers raise errors of any class: ZeroDivisionError, AttributeError and more.
    """
    try:
        with ignoring_warnings:
            yield
    except (NotAnImage, UserError):
        raise
    except UnidentifiedImageError:
        raise NotAnImage("not an image of a known format") from None
    except Image.DecompressionBombError:
        raise NotAnImage("claims to be enormous; it is not decoded") from None
    except MemoryError:
        raise NotEnoughMemory("needs more memory than there is") from None
    except Exception as error:
        raise NotAnImage(f"cannot be decoded ({_in_one_line(error)})") from None


def _in_one_line(error: Exception) -> str:
    text = str(error) if isinstance(error, EXPECTED_ERRORS) else ""
    return (text or repr(error)).splitlines()[0]
