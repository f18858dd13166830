"""The images and labels that arguments of the command line mean."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Sequence
from contextlib import suppress
from functools import partial

from imagestore import stored_names
from imagestore.console import UserError, did_you_mean, printable
from imagestore.image_formats import has_image_suffix
from imagestore.store.expand_paths import GLOB_CHARACTERS
from imagestore.store.label_names import path_in_group
from imagestore.store.reader import ImageStore
from imagestore.vfs.shown_names import unescape

NAMES_SHOWN = 3  # of images that a name could mean


def find_paths(store: ImageStore, arguments: Sequence[str]) -> list[int]:
    """The positions of the images that paths, globs and names mean, each once. Raises UserError.

    A name is that of one image in the store, or that of its member in the archive.
    """
    return list(dict.fromkeys(i for argument in arguments for i in _find_argument(store, argument)))


def label_argument(text: str, *, ends_in_slash: bool = False) -> str:
    """The label that an argument means. Raises UserError if it is empty.

    With `ends_in_slash`, a text such as `red/1.jpg` or `1.jpg` is refused: only `1.jpg/` is a label then.
    """
    label = stored_names.readings(text)[0].removeprefix("/")
    if label.strip("/") == "":
        raise UserError("the label is empty: give one, as in red/")
    looks_like_image = "/" in label or has_image_suffix(label)
    if ends_in_slash and looks_like_image and not label.endswith("/"):
        raise UserError(
            f"{printable(text)} looks like the path of an image, but the last argument is the label, "
            f"as in red/; a label {printable(text)} is given as {printable(text)}/"
        )
    return label.removesuffix("/")


def find_path(store: ImageStore, path: str) -> int | None:
    """The image at a path as the store has it, as a mount shows it, or with its label unescaped."""
    as_shown = stored_names.decode(unescape(stored_names.encode(path)))
    for reading in (path, as_shown, path_in_group(path)):
        with suppress(KeyError):
            return store.find(reading)
    return None


def _find_argument(store: ImageStore, argument: str) -> list[int]:
    """What an argument means in the first of its readings that exists. Raises UserError."""
    return stored_names.find_first(partial(_find, store), stored_names.readings(argument), UserError)


def _find(store: ImageStore, name: str) -> list[int]:
    if (position := find_path(store, name)) is not None:
        return [position]
    if GLOB_CHARACTERS & set(name):
        if positions := _match(store, name.strip("/")) or _match(store, path_in_group(name)):
            return positions
        raise UserError(f"{store.path}: no image matches {printable(name)}")
    return [_find_name(store, name)]


def _match(store: ImageStore, glob: str) -> list[int]:
    """The images whose paths match a glob; one without a slash may match the name alone."""
    matches = re.compile(fnmatch.translate(glob)).match
    paths = map(store.path_of, range(len(store)))
    return [
        i
        for i, path in enumerate(paths)
        if matches(path) or ("/" not in glob and matches(path.rpartition("/")[2]))
    ]


def _find_name(store: ImageStore, name: str) -> int:
    encoded, index = stored_names.encode(name), store.index
    positions = [i for i in range(len(store)) if encoded in (index.name(i), index.member(i))]
    if len(positions) == 1:
        return positions[0]
    if positions:
        paths = ", ".join(printable(store.path_of(i)) for i in positions[:NAMES_SHOWN])
        raise UserError(f"{store.path}: {printable(name)} could be {paths}: give the path of one of them")
    if stored_names.encode(name.strip("/")) in index.label_bytes:
        raise UserError(
            f"{store.path}: {printable(name)} is a label; all its images are '{name.strip('/')}/*'"
        )
    hint = did_you_mean(name.strip("/"), map(store.path_of, range(len(store))))
    raise UserError(f"{store.path}: no image {printable(name)}{hint}")
