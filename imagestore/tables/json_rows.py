"""The images of a JSON Lines file, as base64 text in its records: JsonRows.

A record is an object in a line of its own, see https://jsonlines.org. A list of images in a record gives
several.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from imagestore.archive.json_labels import labels_in_object
from imagestore.archive.label_text import LABEL_KEYS, OTHER_KEYS, NoLabels, text_of
from imagestore.archive.members import SourceLabels
from imagestore.archive.protocol import DamagedArchive
from imagestore.console import UserError, did_you_mean, first_line, printable
from imagestore.image_formats import suffix_of
from imagestore.printed_commands import command_line, path_argument
from imagestore.tables.base64_images import begins_as_base64_image, decode_or_keep
from imagestore.tables.row_archive import FEWEST_DIGITS, Row

BLOCK = 1 << 20  # bytes that are read at once
LONGEST_LINE = 1 << 28  # bytes
LINES_LOOKED_AT = 100  # for the key of the images, and for labels
OFFSET_BITS = 48  # of a place: where the line begins; above it the number of the image in the record
PATHS = ("path", "file_name")  # keys beside an image, which have its name
MARK_OF_UTF_8 = b"\xef\xbb\xbf"

KeyPath = tuple[str, ...]  # the keys that lead to a value; lists on the way have none


class Line(NamedTuple):
    """A line of the file."""

    offset: int  # where it begins
    text: bytes
    is_whole: bool  # False: it has no end, as the last one may


class JsonRows:
    """The images at one key. The label is that of the first usual key, or of the key that the user names."""

    def __init__(self, path: Path, descriptor: int, keys: KeyPath, labels: SourceLabels | None) -> None:
        """Read from an open file. Raises UserError if labels are wanted, and its first lines have none."""
        self._path, self._descriptor, self._keys = path, descriptor, keys
        self.name = ".".join(keys)
        self._label_keys: Sequence[str] = ()
        if labels is not None:
            self._label_keys = (labels.key,) if labels.key else LABEL_KEYS + OTHER_KEYS
            if not labels.optional:
                self._check_labels(labels)

    def __iter__(self) -> Iterator[Row]:
        """See Rows. Lines that are no records are rows without bytes."""
        try:
            for number, line in enumerate(_lines(self._descriptor, 0)):
                record = _record(line.text)
                if record is None and not line.is_whole:
                    raise DamagedArchive(
                        f"{self._path} ends in the middle of record {number:,}: download or copy it again"
                    )
                yield from self._images_of(number, line.offset, record or {})
        except OSError as error:
            raise DamagedArchive(f"{self._path} cannot be read on ({first_line(error)})") from error

    def _images_of(self, number: int, offset: int, record: dict[str, object]) -> Iterator[Row]:
        label = self._label(record)
        for item, (name, text) in enumerate(_texts_at(record, self._keys) or [(None, None)]):
            data = decode_or_keep(text)
            counter = f"{number:0{FEWEST_DIGITS}d}" + (f"_{item}" if item else "")
            yield Row(item << OFFSET_BITS | offset, name or f"{counter}{suffix_of(data or b'')}", data, label)

    def _label(self, record: dict[str, object]) -> str | None:
        texts = map(text_of, labels_in_object(record, self._label_keys) if self._label_keys else ())
        return next((text for text in texts if text is not None), None)

    def _check_labels(self, labels: SourceLabels) -> None:
        records = list(_first_records(self._descriptor))
        if any(self._label(record) is not None for record in records):
            return
        others = dict.fromkeys(
            key
            for record in records
            for key, value in record.items()
            if text_of(value) and key not in self._keys
        )
        choices = printable(", ".join(others)) or "none"
        if labels.key:
            hint = did_you_mean(labels.key, others) or f"; keys that can be labels: {choices}"
            raise UserError(f"{self._path} has no labels at {printable(labels.key)!r}{hint}")
        raise NoLabels(f"{self._path}: name the key of the labels with --label-key ({choices})")

    def read(self, place: int) -> bytes:
        """See Rows."""
        item, offset = divmod(place, 1 << OFFSET_BITS)
        try:
            record = _record(next(_lines(self._descriptor, offset)).text) or {}
        except (OSError, StopIteration) as error:
            raise UserError(f"{self._path} cannot be read ({first_line(error)})") from error
        texts = _texts_at(record, self._keys)
        return (decode_or_keep(texts[item][1]) if item < len(texts) else None) or b""

    def close(self) -> None:
        """See Rows. The descriptor belongs to the archive."""


def open_json_rows(path: Path, descriptor: int, inner: str, labels: SourceLabels | None) -> JsonRows | None:
    """The images of an open file; None if its first lines hold none. `inner` names their key, or is "".

    Raises UserError if there are images at several keys.
    """
    found: list[KeyPath] = []
    try:
        for record in _first_records(descriptor):
            found += [keys for keys in _keys_of_images(record) if keys not in found]
    except OSError as error:
        raise UserError(f"{path} cannot be read ({first_line(error)})") from error
    if inner:
        found = [keys for keys in found if ".".join(keys) == inner.replace("/", ".")]
    if len(found) > 1:
        choices = " or ".join(command_line(path_argument(f"{path}:/{'.'.join(keys)}")) for keys in found)
        raise UserError(f"{path} has images at {len(found)} keys: give one of them, as {choices}")
    return JsonRows(path, descriptor, found[0], labels) if found else None


def _first_records(descriptor: int) -> Iterator[dict[str, object]]:
    """The records of the first lines. None behind a line that is none: then it is no such file."""
    for line in islice(_lines(descriptor, 0), LINES_LOOKED_AT):
        record = _record(line.text)
        if record is None:
            return
        yield record


def _lines(descriptor: int, offset: int) -> Iterator[Line]:
    """The lines from an offset on, without empty ones. Raises OSError."""
    text, place = bytearray(), offset
    while block := os.pread(descriptor, BLOCK, place):
        place += len(block)
        *others, last = block.split(b"\n")
        for piece in others:
            text += piece
            if text.strip():
                yield Line(offset, bytes(text), is_whole=True)
            offset += len(text) + 1
            text.clear()
        text += last
        if len(text) > LONGEST_LINE:
            raise OSError(f"a line is longer than {LONGEST_LINE >> 20} MiB")
    if text.strip():
        yield Line(offset, bytes(text), is_whole=False)


def _record(line: bytes) -> dict[str, object] | None:
    """The object in a line; None if there is something else."""
    try:
        record = json.loads(line.removeprefix(MARK_OF_UTF_8))
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None


def _keys_of_images(value: object, keys: KeyPath = ()) -> Iterator[KeyPath]:
    """The keys that lead to texts which begin as an image in base64."""
    if isinstance(value, str):
        if begins_as_base64_image(value):
            yield keys
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _keys_of_images(item, (*keys, key))
    elif isinstance(value, list):
        yield from dict.fromkeys(found for item in value for found in _keys_of_images(item, keys))


def _texts_at(value: object, keys: KeyPath, name: str | None = None) -> list[tuple[str | None, str | None]]:
    """The values behind some keys: (path beside it or None, text or None).

    An object that lacks the next key has no value.
    """
    if isinstance(value, list):
        return [found for item in value for found in _texts_at(item, keys, name)]
    if not keys:
        return [(name, value if isinstance(value, str) else None)]
    if not isinstance(value, dict) or keys[0] not in value:
        return []
    paths = [value.get(key) for key in PATHS] if len(keys) == 1 else []
    name = next((path for path in paths if isinstance(path, str) and path), None)
    return _texts_at(value.get(keys[0]), keys[1:], name)
