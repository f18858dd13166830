"""What a file is that is given as an archive and is none, and what to do."""

from __future__ import annotations

import re
import tarfile
from pathlib import Path

from imagestore.archive.file_kinds import TEXT, kind_of
from imagestore.console import UserError
from imagestore.decompression.compression_formats import UNCOMPRESSED, Compression, compression_of
from imagestore.decompression.damage import Damaged
from imagestore.image_formats import begins_as_image
from imagestore.sources.split_files import have_sizes_of_parts, how_to_join, is_part_of_zip, parts_of

DECOMPRESSED_BYTES = 0x8010  # by which a compressed file is recognised
UNKNOWN = "is no tar archive, or is damaged: an archive is a .tar (also .gz, .bz2, .xz, .zst, .lz4) or a .zip"
ABOUT_JSON = (
    "images in JSON are read where they are base64 text in JSON Lines that are not compressed "
    "(jq -c '.[]' writes a list so)"
)
SHOWN_BYTES = 60  # of a text file
PIECE = 512  # bytes that are decompressed at once: those before damage count
PART = re.compile(r"\.(?:\d{2,3}|part[-_.]?\w+)$", re.IGNORECASE)  # how parts of a split file are named
IS_PART = "is a part of a file that was split: join the parts first"
ABOUT_OTHER_PARTS = "copy the others (.z01 and so on) here too"


class NoArchive(UserError):
    """A file is no archive that is read here. `words` say what it is, if that is known."""

    def __init__(self, path: Path, descriptor: int, beginning: bytes) -> None:
        """Look at an open file; `beginning` begins it."""
        self.words = describe_no_archive(path, descriptor, beginning)
        self.is_known = self.words != UNKNOWN
        super().__init__(f"{path} {self.words}")


def check_is_no_part(path: Path, descriptor: int) -> None:
    """Raise UserError if an open archive is a part of a zip, or the first part of another split file."""
    if is_part_of_zip(path) or _is_last_part_of_zip(path, descriptor):
        raise UserError(f"{path} {IS_PART}: {how_to_join(path) or ABOUT_OTHER_PARTS}")
    parts = parts_of(path)
    if len(parts) > 1 and parts[0] == path and have_sizes_of_parts(parts) and not _begins_as_file(parts[1]):
        raise UserError(f"{path} {IS_PART}: {how_to_join(path)}")


def _is_last_part_of_zip(path: Path, descriptor: int) -> bool:
    if path.suffix.lower() != ".zip":
        return False
    from imagestore.archive.zip_entries import is_last_part

    return is_last_part(descriptor)


def _begins_as_file(path: Path) -> bool:
    """Whether the first bytes of a file are those of a kind that is known, and not some of the middle."""
    try:
        with path.open("rb") as file:
            beginning = file.read(DECOMPRESSED_BYTES)
    except OSError:
        return True
    is_known = compression_of(beginning) is not UNCOMPRESSED or kind_of(beginning) is not None
    return is_known or begins_as_image(beginning) or _is_tar(beginning)


def _is_tar(beginning: bytes) -> bool:
    try:
        tarfile.TarInfo.frombuf(beginning[: tarfile.BLOCKSIZE], "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return False
    return True


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
    if kind is None and (command := how_to_join(path)):
        return f"{IS_PART}: {command}"
    if PART.search(path.name) and kind is None:
        return f"{IS_PART} (cat {path.stem}.* > {path.stem})"
    if kind is TEXT:
        advice = f"{kind.advice}; {ABOUT_JSON}" if beginning.lstrip()[:1] in (b"{", b"[") else kind.advice
        return f"is a text file ({_first_words(beginning)}): {advice}"
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
