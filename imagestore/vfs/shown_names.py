"""HDF5 link names as names that a file system can hold, and back. Pure functions.

Ordinary names stay as they are, and so do those of labels, such as AC%2FDC: no link has a '/' or NUL in its
name, so %2F and %00 stand for nothing else. Bytes that are no UTF-8 are shown as %XX. A '%' that looks like
the beginning of such an escape is shown as %25. '%~' marks text that is added here:

    x%~2.jpg                 the second 'x.jpg', if several stores are merged
    x%~.npy                  the NumPy file of a dataset 'x', if the group has a link 'x.npy' too
    <start>%~<hash><suffix>  a name longer than 255 bytes

The shown name of a link with an empty name is '%-'.

What cannot be shown is a symbolic link that leads nowhere, whose text says why:

    %external:file.h5:%2Fx   the object is in another file, which is not followed or not there
    %not shown: <reason>     the object is not damaged, but no file can hold it
"""

from __future__ import annotations

import re

from imagestore import stored_names

LONGEST = 255  # bytes of a name on Linux (NAME_MAX)
LONGEST_SUFFIX = 16  # bytes
MARK = b"%~"
EMPTY_NAME = b"%-"
EXTERNAL, NOT_SHOWN = b"%external:", b"%not shown: "
HASH_DIGITS = 16
_UNUSUAL = re.compile(rb"[/\0%\x80-\xff]|^\.{0,2}$")
_FORBIDDEN = re.compile(rb"[/\0]")
# What follows the '%' of an escape in the shown name of a link: it may be escaped itself, again and again.
_INSIDE, _AT_THE_START = rb"(?:25)*(?:[89A-Fa-f][0-9A-Fa-f]|[~-])", rb"(?:25)*2E\.?$"
_LOOKS_ESCAPED = re.compile(rb"%%(?=%s)|^%%(?=%s)" % (_INSIDE, _AT_THE_START))
_ESCAPE = re.compile(
    rb"%%(?:([89A-Fa-f][0-9A-Fa-f])|(25)(?=%s))|^%%(?:(2E)(?=\.?$)|(25)(?=%s))" % (_INSIDE, _AT_THE_START)
)
_LOOKS_ESCAPED_IN_TEXT = re.compile(rb"%(?=[0-9A-Fa-f]{2}|[~-])")
_ESCAPE_IN_TEXT = re.compile(rb"%([0-9A-Fa-f]{2})")
_SHORTENED = re.compile(rb"%%~[0-9a-f]{%d}(\.[^.]*)?$" % HASH_DIGITS)


def escape(name: bytes) -> bytes:
    """The shown name of a link: valid UTF-8, 1 to 255 bytes, without '/' and NUL, neither '.' nor '..'."""
    return _escape(name, _LOOKS_ESCAPED)


def escape_text(text: bytes) -> bytes:
    """As `escape`, for a text that may have '/' and NUL in it: two texts never get the same name."""
    return _escape(text, _LOOKS_ESCAPED_IN_TEXT)


def _escape(name: bytes, looks_escaped: re.Pattern[bytes]) -> bytes:
    if not _UNUSUAL.search(name):
        return name if len(name) <= LONGEST else shorten(name)
    if not name:
        return EMPTY_NAME
    if name in (b".", b".."):
        return b"%2E" + name[1:]
    text = looks_escaped.sub(b"%25", name)
    text = _FORBIDDEN.sub(lambda match: b"%%%02X" % match[0][0], text)
    text = _escape_invalid_utf8(text)
    return text if len(text) <= LONGEST else shorten(text)


def _escape_invalid_utf8(text: bytes) -> bytes:
    decoded = stored_names.decode(text)
    return "".join(f"%{ord(c) & 0xFF:02X}" if "\udc80" <= c <= "\udcff" else c for c in decoded).encode()


def unescape(shown_name: bytes) -> bytes:
    """The name of the link with this shown name. A shortened name stays: see `is_shortened`."""
    if shown_name == EMPTY_NAME:
        return b""
    return _ESCAPE.sub(_byte_of, shown_name)


def _byte_of(match: re.Match[bytes]) -> bytes:
    return bytes([int(match[match.lastindex], 16)])


def shorten(text: bytes, longest: int = LONGEST) -> bytes:
    """A longer name in at most `longest` bytes: its start, a hash of the whole name, and its suffix."""
    import hashlib  # few names are so long

    stem, suffix = _split(text)
    end = MARK + hashlib.sha256(text).hexdigest()[:HASH_DIGITS].encode() + suffix
    start = stem[: longest - len(end) - 1].decode("utf-8", "ignore").encode()
    return start + b"%" + end


def is_shortened(shown_name: bytes) -> bool:
    """Whether a shown name is the short form of a longer one, so that `unescape` cannot undo it."""
    return bool(_SHORTENED.search(shown_name))


def numbered(shown_name: bytes, number: int) -> bytes:
    """The shown name of the `number`-th node with the same name: 'x%~2.jpg'."""
    stem, suffix = _split(shown_name)
    mark = MARK + str(number).encode()
    return stem[: LONGEST - len(mark) - len(suffix)].decode("utf-8", "ignore").encode() + mark + suffix


def numpy_file(name: bytes, is_taken: bool) -> bytes:
    """The shown name of a dataset as a NumPy file. `is_taken`: the group has a link `name`.npy too."""
    ending = MARK + b".npy" if is_taken else b".npy"
    text = escape(name)
    if len(text) + len(ending) > LONGEST:
        text = shorten(text, LONGEST - len(ending))
    return text + ending


def elsewhere(target: bytes) -> bytes:
    """The text of a link for an object in another file; `target` says where."""
    return EXTERNAL + escape_text(target)


def not_shown(reason: bytes) -> bytes:
    """The text of a link for an object that cannot be shown."""
    return NOT_SHOWN + escape_text(reason)


def is_elsewhere(text: bytes) -> bool:
    """Whether the text of a link was made by `elsewhere`."""
    return text.startswith(EXTERNAL)


def is_not_shown(text: bytes) -> bool:
    """Whether the text of a link was made by `not_shown`."""
    return text.startswith(NOT_SHOWN)


def what_link_says(text: bytes) -> str:
    """What a user is told of a link whose text was made by `elsewhere` or `not_shown`."""
    if is_elsewhere(text):
        return f"its data are elsewhere: {_readable(text.removeprefix(EXTERNAL))}"
    return f"cannot be shown: {_readable(text.removeprefix(NOT_SHOWN))}"


def _readable(escaped: bytes) -> str:
    return _ESCAPE_IN_TEXT.sub(_byte_of, escaped).decode(errors="replace")


def _split(text: bytes) -> tuple[bytes, bytes]:
    """The stem and the suffix of a name; no suffix if it is long or has an escape in it."""
    stem, dot, suffix = text.rpartition(b".")
    if not stem or len(suffix) >= LONGEST_SUFFIX or b"%" in suffix:
        return text, b""
    return stem, dot + suffix
