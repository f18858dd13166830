"""Labels that stand beside the images of a tar, as WebDataset packs them.

A sample is a run of members with the same key: `a/0001.jpg`, `a/0001.cls` and `a/0001.json` have the key
`a/0001`, up to the first dot of the base name. See https://github.com/webdataset/webdataset.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from imagestore.archive.json_labels import labels_in_json
from imagestore.archive.label_files import (
    ARRAYS,
    JSONS,
    LARGEST_ALONE,
    LARGEST_CODED,
    PICKLES,
    code_of,
    label_in_file,
    number_or_text_in_array,
)
from imagestore.archive.label_text import LABEL_KEYS, text_of
from imagestore.archive.members import Member, Members, SourceLabels

# Kinds of files beside an image, by rank. A number in a class file gives way to a name in JSON.
CLASS_FILES, JSON_FILES, CLASS_NUMBERS, JSON_NUMBERS, TEXT_FILES = range(5)
ALONE = ("txt", "npy")  # suffixes of files that may be a label where nothing else is
LARGEST_FILE = 16 << 20  # bytes; a larger one is no label
MOST_BYTES_HELD, MOST_IMAGES_HELD = 64 << 20, 1000  # of one sample: no key of a real sample has more


@dataclass
class Sample:
    """The label of a sample, as far as it is known."""

    key: str
    found: tuple[int, int, str] | None = None  # kind of file, place in the keys, label: the smallest counts

    @property
    def label(self) -> str | None:
        """The label that counts; None if there is none yet."""
        return self.found[2] if self.found else None


@dataclass
class SampleLabels:
    """The samples of a tar, one after the other; `labels` says which of the texts in it is the label."""

    labels: SourceLabels
    current: Sample = field(default_factory=lambda: Sample(""))

    @property
    def _keys(self) -> tuple[str, ...]:
        return LABEL_KEYS if self.labels.key is None else (self.labels.key,)

    @property
    def _extensions(self) -> list[str]:
        return [key.lower() for key in self._keys]

    def begin(self, name: str) -> None:
        """Note the next member. A member with another key begins another sample."""
        key = _split(name)[0]
        if key != self.current.key:
            self.current = Sample(key)

    def end(self) -> None:
        """Note that no sample goes on: members of links follow."""
        self.current = Sample("")

    def may_be_label(self, name: str, size: int) -> bool:
        """Whether a file may hold the label of the images beside it, as far as name and size tell."""
        extension = _split(name)[1]
        kind = self._kind(extension)
        return kind is not None and size <= _largest(kind, code_of(extension))

    def add(self, name: str, data: bytes) -> bool:
        """Take the label from a file of the current sample; return whether there is one."""
        extension = _split(name)[1]
        kind = self._kind(extension)
        candidate = None if kind is None else self._label_in(kind, extension, data)
        if candidate is None:
            return False
        if self.current.found is None or candidate[:2] < self.current.found[:2]:
            self.current.found = candidate
        return True

    def _kind(self, extension: str) -> int | None:
        code = code_of(extension)
        if extension in self._extensions or extension.removesuffix(f".{code}") in self._extensions:
            return CLASS_FILES
        if code in JSONS:
            return JSON_FILES
        return TEXT_FILES if extension in ALONE and self.labels.key is None else None

    def _label_in(self, kind: int, extension: str, data: bytes) -> tuple[int, int, str] | None:
        """Kind of file, place in the keys and label, as in `Sample`; None if the file holds no label."""
        code = code_of(extension)
        values = labels_in_json(data, self._keys) if code in JSONS else []
        for place, value in enumerate(values):
            if (text := text_of(value)) is not None:
                return _rank(JSON_FILES, value), place, text
        if kind != CLASS_FILES and self.labels.key is not None:
            return None
        is_array = kind != CLASS_FILES and code in ARRAYS
        value = number_or_text_in_array(data) if is_array else label_in_file(data, code)
        text = text_of(value)
        rank = _rank(kind, value) if kind == CLASS_FILES else TEXT_FILES
        return None if text is None else (rank, self._place(extension), text)

    def _place(self, extension: str) -> int:
        for name in (extension, extension.removesuffix(f".{code_of(extension)}")):
            if name in self._extensions:
                return self._extensions.index(name)
        return 0


def with_labels(
    images: Iterable[tuple[Member, bytes]], members: Members, samples: SampleLabels
) -> Iterator[tuple[Member, bytes]]:
    """The images of a pass, with the labels of their samples; `members` gets the labels too.

    The label may come behind its image: an image waits until its sample is over. An error of the pass comes
    behind the images that wait.
    """
    waiting: list[tuple[Member, bytes]] = []
    sample, size = samples.current, 0
    try:
        for member, data in images:
            if sample is not samples.current or size > MOST_BYTES_HELD or len(waiting) >= MOST_IMAGES_HELD:
                yield from _labelled(waiting, members, sample)
                waiting, size, sample = [], 0, samples.current
            waiting.append((member, data))
            size += len(data)
    except Exception:
        yield from _labelled(waiting, members, sample)
        raise
    yield from _labelled(waiting, members, sample)


def _labelled(
    images: list[tuple[Member, bytes]], members: Members, sample: Sample
) -> Iterator[tuple[Member, bytes]]:
    for member, data in images:
        if sample.label is not None:
            members.set_label(member.position, sample.label)
            member = replace(member, label=sample.label)
        yield member, data


def _largest(kind: int, code: str) -> int:
    """The largest size in bytes of a label file."""
    if code in ARRAYS and kind == TEXT_FILES:
        return LARGEST_ALONE
    return LARGEST_CODED if code in ARRAYS + PICKLES else LARGEST_FILE


def _rank(kind: int, value: object) -> int:
    """The rank of a label that a kind of file holds."""
    if kind == CLASS_FILES:
        return CLASS_NUMBERS if not isinstance(value, str) or value.isdecimal() else CLASS_FILES
    return JSON_NUMBERS if kind == JSON_FILES and not isinstance(value, str) else kind


def _split(name: str) -> tuple[str, str]:
    """The key of a member, and the rest of its name in lower case, without the dot between them."""
    folder, slash, base = name.rpartition("/")
    stem, _, extension = base.partition(".")
    return f"{folder}{slash}{stem}", extension.lower()
