"""Find images by name or glob in a store, an archive or a folder, or take an image file."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np

from imagestore import stored_names
from imagestore.archive.members import Member
from imagestore.archive.protocol import Archive, DamagedArchive, no_image
from imagestore.console import UserError, describe, did_you_mean, note
from imagestore.hdf5.superblock import is_hdf5
from imagestore.image_formats import FIRST_BYTES, is_image_file
from imagestore.reports.found_image import ArchiveImage, FoundImage, ImageFile, StoreImage, StreamedImage
from imagestore.reports.source_options import SourceOptions
from imagestore.sources.open_archives import open_archives
from imagestore.store.expand_paths import GLOB_CHARACTERS
from imagestore.store.label_names import path_in_group
from imagestore.store.labels import StoreLabels, find_labels, note_what_is_left_out
from imagestore.store.reader import ImageStore
from imagestore.tables.hdf5_archive import open_as_store

DEFAULT_OPTIONS = SourceOptions()

Found = TypeVar("Found")


@contextmanager
def find_images(
    path: Path,
    options: SourceOptions = DEFAULT_OPTIONS,
    *,
    names: Sequence[str] = (),
    all_images: bool = False,
) -> Iterator[Iterable[FoundImage]]:
    """Open `path`, and find the images that `names` (names and globs) mean, or all images.

    `path` is a store, an archive, a folder, or an image file. All names are looked up before the first image
    is yielded. If an archive is damaged, the images before that place are found. For a glob or all images,
    DamagedArchive comes after the last of them. Datasets of a store that are no images are not among all
    images: the user is told. Raises UserError.
    """
    with ExitStack() as opened:
        store = open_as_store(path, options.follow_external) if path.is_file() and is_hdf5(path) else None
        if store is not None:
            opened.enter_context(store)
            labels = find_labels(store)
            yield _all_of_store(store, labels) if all_images else _named_in_store(store, labels, names)
        elif path.is_dir() or not _is_image_file(path):
            archive = opened.enter_context(
                open_archives(
                    [path],
                    options.index,
                    ignore_zeros=options.ignore_zeros,
                    follow_external=options.follow_external,
                )
            )
            yield _all_of_archive(archive) if all_images else _named_in_archive(archive, names)
        elif names and list(names) != [path.name]:
            raise UserError(f"{path}: is one image file; leave out the NAME {names[0]!r}")
        else:
            yield [ImageFile(stored_names.from_path(path.name), path)]


def _is_image_file(path: Path) -> bool:
    if not path.is_file():  # do not open a pipe: that would wait for ever. open_archive names the error
        return False
    try:
        with path.open("rb") as file:
            beginning = file.read(FIRST_BYTES)
    except OSError as error:
        raise UserError(describe(error)) from None
    return is_image_file(beginning, path.name)


def _find_argument(find: Callable[[str], Found], argument: str) -> Found:
    """What `find` returns for an argument in the first of its readings that it knows. Raises UserError."""
    return stored_names.find_first(find, stored_names.readings(argument), UserError)


# ----- in an archive or a folder -----


def _all_of_archive(archive: Archive) -> Iterator[StreamedImage]:
    is_empty = True
    for member, data in archive.stream():
        is_empty = False
        yield StreamedImage(member.name, data)
    if is_empty:
        raise no_image(archive.path, archive.skipped)


def _named_in_archive(archive: Archive, names: Sequence[str]) -> Iterator[ArchiveImage]:
    find = partial(_find_members, archive)
    members = [member for name in names for member in _find_argument(find, name)]
    unique = {member.position: member for member in members}
    images = (ArchiveImage(member.name, archive, member) for member in unique.values())
    if archive.damage is None:
        return images
    if any(map(_is_glob, names)):
        return _raise_after(images, archive.damage)
    note(str(archive.damage))
    return images


def _raise_after(images: Iterator[ArchiveImage], error: UserError) -> Iterator[ArchiveImage]:
    yield from images
    raise error


def _is_glob(name: str) -> bool:
    return bool(GLOB_CHARACTERS & set(name))


def _find_members(archive: Archive, name: str) -> list[Member]:
    """The members that a name or a glob means. Raises UserError if there are none."""
    if not _is_glob(name):
        return [archive.find(name)]
    matches_glob = re.compile(fnmatch.translate(name)).match
    # The name itself may contain a bracket.
    members = [member for member in archive.members() if member.name == name or matches_glob(member.name)]
    if not members:
        if archive.damage:
            raise DamagedArchive(f"no image before the damage matches {name!r}: {archive.damage}")
        raise UserError(f"{archive.path}: no image matches {name!r}")
    return members


# ----- in a store -----


def _all_of_store(store: ImageStore, labels: StoreLabels) -> list[StoreImage]:
    note_what_is_left_out("colourHeuristic", store, labels)
    counted = np.flatnonzero(labels.is_counted).tolist()
    return [StoreImage(store.path_of(i), store, i, labels.name_of(i)) for i in counted]


def _named_in_store(store: ImageStore, labels: StoreLabels, names: Sequence[str]) -> list[StoreImage]:
    find = partial(_find_positions, store)
    positions = dict.fromkeys(i for name in names for i in _find_argument(find, name))  # each once
    return [StoreImage(store.path_of(i), store, i, labels.name_of(i)) for i in positions]


def _find_positions(store: ImageStore, name: str) -> list[int]:
    """The positions of the images that a path, a name or a glob means. Raises UserError if there are none."""
    for path in (name, path_in_group(name)):
        with suppress(KeyError):
            return [store.find(path)]
    if GLOB_CHARACTERS & set(name):
        return _match_paths(store, name)
    return _match_names(store, name)


def _match_paths(store: ImageStore, glob: str) -> list[int]:
    """The positions of the images whose paths match a glob. Raises UserError if there are none."""
    for reading in (glob.strip("/"), path_in_group(glob)):
        matches_glob = re.compile(fnmatch.translate(reading)).match
        if positions := [i for i in range(len(store)) if matches_glob(store.path_of(i))]:
            return positions
    raise UserError(f"{store.path}: no image matches {glob!r}")


def _match_names(store: ImageStore, name: str) -> list[int]:
    """The positions of the images with this name in the store or in their archive. Raises UserError."""
    encoded, index = stored_names.encode(name), store.index
    positions = [i for i in range(len(store)) if encoded in (index.name(i), index.member(i))]
    if not positions:
        paths = map(store.path_of, range(len(store)))
        raise UserError(f"{store.path}: no image {name!r}" + did_you_mean(name.strip("/"), paths))
    return positions
