"""HDF5 link names as names that a file system can hold, and back.

Ordinary names stay as they are. Bytes that no name may hold ('/', NUL, what is not UTF-8) are shown as
%XX, and so is a '%' that would read as such an escape. '%~' marks what was added here: 'x%~2.jpg' is the
second 'x.jpg' where several stores are merged, 'x%~.npy' a generated file where the store has an 'x.npy' of
its own, and '<start>%~<hash><suffix>' a name longer than 255 bytes. Used by tree and packing. Pure functions.
"""

from __future__ import annotations

import hashlib
import re

LONGEST = 255  # bytes of a name on Linux (NAME_MAX)


MARK = b"%~"


NAMELESS = b"%-"


HASH_DIGITS = 16


LONGEST_SUFFIX = 16


_UNUSUAL = re.compile(rb"[/\0%\x80-\xff]|^\.{0,2}$")


_AMBIGUOUS = re.compile(rb"%(?=[0-9A-Fa-f]{2}|[~-])")


_FORBIDDEN = re.compile(rb"[/\0]")


_ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})")


_SHORTENED = re.compile(rb"%%~[0-9a-f]{%d}(\.[^.]*)?$" % HASH_DIGITS)


def escape(name: bytes) -> bytes:
    """The name to show for a link: valid UTF-8, 1 to 255 bytes, no '/' or NUL, neither '.' nor '..'."""
    if not _UNUSUAL.search(name):
        return name if len(name) <= LONGEST else shorten(name)
    if not name:
        return NAMELESS
    if name in (b".", b".."):
        return b"%2E" + name[1:]
    text = _AMBIGUOUS.sub(b"%25", name)
    text = _FORBIDDEN.sub(lambda match: b"%%%02X" % match[0][0], text)
    text = _escape_invalid_utf8(text)
    return text if len(text) <= LONGEST else shorten(text)


def _escape_invalid_utf8(text: bytes) -> bytes:
    decoded = text.decode("utf-8", "surrogateescape")
    return "".join(f"%{ord(c) & 0xFF:02X}" if "\udc80" <= c <= "\udcff" else c for c in decoded).encode()


def unescape(shown: bytes) -> bytes:
    """The link name that is shown as `shown`; shortened names stay as they are (see `is_shortened`)."""
    if shown == NAMELESS:
        return b""
    return _ESCAPE.sub(lambda match: bytes([int(match[1], 16)]), shown)


def shorten(text: bytes, longest: int = LONGEST) -> bytes:
    """A name of at most `longest` bytes for one that is longer: its start, a hash of it all, its suffix."""
    stem, suffix = _split(text)
    end = MARK + hashlib.sha256(text).hexdigest()[:HASH_DIGITS].encode() + suffix
    start = stem[: longest - len(end) - 1].decode("utf-8", "ignore").encode()
    return start + b"%" + end


def is_shortened(shown: bytes) -> bool:
    """Whether a shown name is the short form of a longer one: its text alone does not give it back."""
    return bool(_SHORTENED.search(shown))


def numbered(shown: bytes, number: int) -> bytes:
    """The name to show for the `number`-th thing of the same name: 'x%~2.jpg'."""
    stem, suffix = _split(shown)
    mark = MARK + str(number).encode()
    return stem[: LONGEST - len(mark) - len(suffix)].decode("utf-8", "ignore").encode() + mark + suffix


def generated(name: bytes, taken: bool) -> bytes:
    """The name to show for a dataset `name` shown as a NumPy file; `taken`: a link `name`.npy exists too."""
    ending = MARK + b".npy" if taken else b".npy"
    text = escape(name)
    if len(text) + len(ending) > LONGEST:
        text = shorten(text, LONGEST - len(ending))
    return text + ending


def _split(text: bytes) -> tuple[bytes, bytes]:
    stem, dot, suffix = text.rpartition(b".")
    if not stem or len(suffix) >= LONGEST_SUFFIX or b"%" in suffix:
        return text, b""
    return stem, dot + suffix
