"""Images as base64 text (RFC 4648), also as data URLs (RFC 2397): data:image/jpeg;base64,/9j/4AAQ…"""

from __future__ import annotations

import base64
import binascii

from imagestore.image_formats import FIRST_BYTES, begins_as_image

MARK_OF_URL, END_OF_HEAD = b"data:", b";base64,"
LONGEST_HEAD = 256  # characters of a data URL before its base64
_TO_STANDARD = bytes.maketrans(b"-_", b"+/")  # the alphabet for URLs
_WHITESPACE = b" \t\r\n\0"  # zeros fill texts of fixed length


def decode_base64(text: str | bytes) -> bytes | None:
    """The bytes that a text stands for; None if it is no base64. Line ends and padding are free."""
    data = text.encode("utf-8", "replace") if isinstance(text, str) else text
    digits = _digits_of(data).translate(_TO_STANDARD, _WHITESPACE).rstrip(b"=")
    try:
        return base64.b64decode(digits + b"=" * (-len(digits) % 4), validate=True)
    except binascii.Error:
        return None


def decode_or_keep(text: str | bytes | None) -> bytes | None:
    """The bytes that a text stands for; those of the text itself if it is no base64; None if it is empty."""
    if not text:
        return None
    data = decode_base64(text)
    if data is None:
        return text.encode("utf-8", "replace") if isinstance(text, str) else text
    return data


def begins_as_base64_image(text: str | bytes) -> bool:
    """Whether the bytes that a text stands for begin as an image does. Only its beginning is looked at."""
    data = text[: LONGEST_HEAD + 2 * FIRST_BYTES]
    data = data.encode("utf-8", "replace") if isinstance(data, str) else data
    digits = _digits_of(data).translate(_TO_STANDARD, _WHITESPACE)[:FIRST_BYTES]
    decoded = decode_base64(digits[: len(digits) // 4 * 4])
    return bool(decoded) and begins_as_image(decoded)


def _digits_of(data: bytes) -> bytes:
    """A text without the head of a data URL."""
    data = data.lstrip(_WHITESPACE)
    if data[: len(MARK_OF_URL)].lower() != MARK_OF_URL:
        return data
    end = data[:LONGEST_HEAD].lower().find(END_OF_HEAD)
    return data if end < 0 else data[end + len(END_OF_HEAD) :]
