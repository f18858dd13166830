"""What a file is that is given as an archive and is none, and what to do."""

from __future__ import annotations

import re
from pathlib import Path

from imagestore.archive.file_kinds import TEXT, kind_of
from imagestore.console import UserError
from imagestore.decompression.compression_formats import UNCOMPRESSED, Compression, compression_of
from imagestore.decompression.damage import Damaged
from imagestore.image_formats import begins_as_image

DECOMPRESSED_BYTES = 0x8010  # by which a compressed file is recognised
UNKNOWN = "is no tar archive, or is damaged: an archive is a .tar (also .gz, .bz2, .xz, .zst, .lz4) or a .zip"
SHOWN_BYTES = 60  # of a text file
PIECE = 512  # bytes that are decompressed at once: those before damage count
PART = re.compile(
    r"\.(?:\d{2,3}|part[-_.]?\w+|z\d\d)$", re.IGNORECASE
)  # how the parts of a split file are named


class NoArchive(UserError):
    """A file is no archive that is read here. `words` say what it is, if that is known."""

    def __init__(self, path: Path, descriptor: int, beginning: bytes) -> None:
        """Look at an open file; `beginning` begins it."""
        self.words = describe_no_archive(path, descriptor, beginning)
        self.is_known = self.words != UNKNOWN
        super().__init__(f"{path} {self.words}")


def describe_no_archive(path: Path, descriptor: int, beginning: bytes) -> str:
    """Return the words that follow the path of an open file which is no archive; `beginning` begins it."""
    compression = compression_of(beginning)
    if compression is UNCOMPRESSED:
        return _describe_content(path, beginning)
    content = _decompressed_beginning(compression, descriptor)
    if not content:
        return f"is a {compression.name} file without content: download or copy it again"
    return f"is no tar archive, but a {compression.name} file: its content {_describe_content(path, content)}"


def _describe_content(path: Path, beginning: bytes) -> str:
    if begins_as_image(beginning):
        return "is one image: give an archive, or the folder in which the image is"
    kind = kind_of(beginning)
    if PART.search(path.name) and kind is None:
        return f"is a part of a file that was split: join the parts first (cat {path.stem}.* > {path.stem})"
    if kind is TEXT:
        return f"is a text file ({_first_words(beginning)}): {kind.advice}"
    if kind is not None:
        return f"is {kind.one}: {kind.advice}"
    return UNKNOWN


def _first_words(text: bytes) -> str:
    words = " ".join(text[:SHOWN_BYTES].decode(errors="ignore").split())
    return repr(words + "…" if len(text) > SHOWN_BYTES else words)


def _decompressed_beginning(compression: Compression, descriptor: int) -> bytes:
    """The first decompressed bytes; fewer if the data are damaged behind them."""
    decompressor = compression.open_for_fetching(descriptor, points=b"")
    data = bytearray()
    try:
        while len(data) < DECOMPRESSED_BYTES and (piece := decompressor.read(PIECE)):
            data += piece
    except Damaged:
        pass
    finally:
        decompressor.close()
    return bytes(data)
