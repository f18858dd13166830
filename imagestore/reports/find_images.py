"""Find images by name or glob in a store, an archive, a folder, or an image file."""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from imagestore.archive.image_files import is_image
from imagestore.archive.members import Member
from imagestore.archive.open import open_archive
from imagestore.archive.protocol import Archive
from imagestore.colour.label import all_labels, label_of
from imagestore.colour.palette import Palette, find_palette
from imagestore.console import UserError, describe, did_you_mean
from imagestore.hdf5.superblock import is_hdf5
from imagestore.store.open import GLOB_CHARACTERS
from imagestore.store.reader import ImageStore

if TYPE_CHECKING:
    pass


BEGINNING = 16  # bytes by which a file is known for an image


@dataclass(frozen=True)
class FoundImage:
    """One image that was asked for: under which name, and how to get at it."""

    name: str
    read: Callable[[], bytes]
    kept_palette: Callable[[], Palette | None] = lambda: None
    kept_label: str | None = None

    def colours(self) -> tuple[str, Palette]:
        """Its label and its palette: what is kept, else what is found now. Raises NotAnImage."""
        kept = self.kept_palette()
        found = kept or find_palette(self.read())
        known = kept is not None and self.kept_label in all_labels()
        return (self.kept_label if known and self.kept_label else label_of(found)), found


@contextmanager
def find_images(
    path: Path, wanted: list[str], every: bool, index: Path | None
) -> Iterator[Iterable[FoundImage]]:
    """The images that names and globs mean in an archive, a folder, a store, or an image file by itself.

    All names are looked up before the first image is yielded. Raises UserError.
    """
    with ExitStack() as opened:
        if path.is_file() and is_hdf5(path):
            yield _in_store(opened.enter_context(ImageStore(path)), wanted, every)
        elif path.is_dir() or not _is_image_file(path):
            archive = opened.enter_context(open_archive(path, index))
            yield _streamed(archive) if every else _in_archive(archive, wanted)
        elif wanted and wanted != [path.name]:
            raise UserError(f"{path}: is one image by itself; leave out {wanted[0]!r}")
        else:
            yield [FoundImage(path.name, path.read_bytes)]


def _is_image_file(path: Path) -> bool:
    if not path.is_file():  # open_archive says what it is; opening a pipe would wait for ever
        return False
    try:
        with path.open("rb") as file:
            beginning = file.read(BEGINNING)
    except OSError as error:
        raise UserError(describe(error)) from None
    return is_image("", beginning)


def _streamed(archive: Archive) -> Iterator[FoundImage]:
    for member, data in archive.stream():
        yield FoundImage(member.name, partial(bytes, data))


def _in_archive(archive: Archive, wanted: list[str]) -> list[FoundImage]:
    members = [member for pattern in wanted for member in _members(archive, pattern)]
    unique = {member.position: member for member in members}
    return [FoundImage(member.name, partial(archive.read, member)) for member in unique.values()]


def _members(archive: Archive, pattern: str) -> list[Member]:
    if not GLOB_CHARACTERS & set(pattern):
        return [archive.find(pattern)]
    meant = re.compile(fnmatch.translate(pattern)).match
    # A name may hold a bracket itself.
    matches = [member for member in archive.members() if member.name == pattern or meant(member.name)]
    if not matches:
        raise UserError(f"{archive.path}: no image matches {pattern!r}")
    return matches


def _in_store(store: ImageStore, wanted: list[str], every: bool) -> list[FoundImage]:
    positions = range(len(store)) if every else [i for pattern in wanted for i in _positions(store, pattern)]
    return [
        FoundImage(
            store.path_of(i),
            partial(store.read, i),
            partial(_kept, store, i),
            store.labels[store.index.label_of(i)],
        )
        for i in dict.fromkeys(positions)
    ]


def _kept(store: ImageStore, i: int) -> Palette | None:
    table = store.palette(i)
    return None if table is None else Palette.from_table(table)


def _positions(store: ImageStore, pattern: str) -> list[int]:
    """The images with this path, or this name below their label or in their archive, or that a glob means."""
    with suppress(KeyError):
        return [store.find(pattern)]
    if GLOB_CHARACTERS & set(pattern):
        meant = re.compile(fnmatch.translate(pattern.strip("/"))).match
        matches = [i for i in range(len(store)) if meant(store.path_of(i))]
        complaint = f"{store.path}: no image matches {pattern!r}"
    else:
        key, index = os.fsencode(pattern), store.index
        matches = [i for i in range(len(store)) if key in (index.name(i), index.member(i))]
        complaint = f"{store.path}: no image {pattern!r}" + did_you_mean(
            pattern.strip("/"), map(store.path_of, range(len(store)))
        )
    if not matches:
        raise UserError(complaint)
    return matches
