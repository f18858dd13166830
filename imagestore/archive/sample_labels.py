"""Labels that stand beside the images of a tar, as WebDataset packs them.

A sample is a run of members with the same key: `a/0001.jpg`, `a/0001.cls` and `a/0001.json` have the key
`a/0001`, up to the first dot of the base name. See https://github.com/webdataset/webdataset.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import NamedTuple

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
MOST_FORMS = 1000  # that are remembered
LARGEST_FILE = 16 << 20  # bytes; a larger one is no label
MOST_BYTES_HELD, MOST_IMAGES_HELD = 64 << 20, 1000  # of one sample: no key of a real sample has more


class _Form(NamedTuple):
    """What the suffixes of a name say of a file."""

    kind: int | None  # of the constants above; None if it is no label
    code: str  # of its text
    place: int  # of its key among all keys
    largest: int  # bytes of a label


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
    _forms: dict[str, _Form] = field(default_factory=dict)  # by the suffixes of a name

    @property
    def _keys(self) -> tuple[str, ...]:
        return LABEL_KEYS if self.labels.key is None else (self.labels.key,)

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
        form = self._form(_split(name)[1])
        return form.kind is not None and size <= form.largest

    def add(self, name: str, data: bytes) -> bool:
        """Take the label from a file of the current sample; return whether there is one."""
        form = self._form(_split(name)[1])
        candidate = None if form.kind is None else self._label_in(form, data)
        if candidate is None:
            return False
        if self.current.found is None or candidate[:2] < self.current.found[:2]:
            self.current.found = candidate
        return True

    def _form(self, extension: str) -> _Form:
        if (form := self._forms.get(extension)) is not None:
            return form
        if len(self._forms) >= MOST_FORMS:  # names with dots in them
            self._forms.clear()
        return self._forms.setdefault(extension, self._find_form(extension))

    def _find_form(self, extension: str) -> _Form:
        code, keys = code_of(extension), [key.lower() for key in self._keys]
        for name in (extension, extension.removesuffix(f".{code}")):
            if name in keys:
                return _Form(CLASS_FILES, code, keys.index(name), _largest(CLASS_FILES, code))
        kind = JSON_FILES if code in JSONS else None
        if extension in ALONE and self.labels.key is None:
            kind = TEXT_FILES
        return _Form(kind, code, 0, _largest(kind, code))

    def _label_in(self, form: _Form, data: bytes) -> tuple[int, int, str] | None:
        """Kind of file, place in the keys and label, as in `Sample`; None if the file holds no label."""
        kind, code = form.kind, form.code
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
        return None if text is None else (rank, form.place, text)


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


def _largest(kind: int | None, code: str) -> int:
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
