"""The labels in a JSON file that stands beside an image."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence

from imagestore.archive.label_text import text_of

MOST_NESTED = 4  # objects in each other
NAME = "name"  # of a label that is an object


def labels_in_json(data: bytes, keys: Sequence[str]) -> list[object]:
    """The values of `keys` in a JSON object, as `labels_in_object` has them; empty if it is none."""
    with contextlib.suppress(ValueError, RecursionError):
        document = _only_item(json.loads(data))
        if isinstance(document, dict):
            return labels_in_object(document, keys)
    return []


def labels_in_object(document: Mapping[str, object], keys: Sequence[str]) -> list[object]:
    """The values of `keys` in an object, None where it has no label there.

    A key is looked for at the top, and then in the objects below, where all its values must be equal.
    `meta.label` is the key `label` in the object `meta`. Capital and small letters are equal. A list of one
    is its item. A label may be an object with a name: `{"id": 1, "name": "rose"}`.
    """
    paths = [tuple(key.lower().split(".")) for key in keys]
    at_top = _labels_at(document, paths)
    if any(value is not None for value in at_top):
        return at_top
    below = [_labels_at(found, paths) for found in _objects_below(document, MOST_NESTED)]
    return [_only_one(values) for values in zip(*below, strict=True)]


def _only_item(value: object) -> object:
    """The item of a list of one; other values as they are."""
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def _labels_at(document: Mapping[str, object], paths: Sequence[Sequence[str]]) -> list[object]:
    """The labels at paths of keys in an object; a key with dots in it counts first."""
    by_key = {key.lower(): value for key, value in reversed(document.items())}
    return [_label(_lookup(by_key, path)) for path in paths]


def _lookup(by_key: Mapping[str, object], path: Sequence[str]) -> object:
    """The value at a path in an object, whose keys are in small letters; None if there is none."""
    whole, (first, *others) = ".".join(path), path
    if whole in by_key or not others:
        return by_key.get(whole)
    inner = _only_item(by_key.get(first))
    return (
        _lookup({key.lower(): item for key, item in inner.items()}, others)
        if isinstance(inner, dict)
        else None
    )


def _label(value: object) -> object:
    """A value as a label: a text or a number, also in a list of one, or the name in an object."""
    if isinstance(value, (str, int)):
        return value
    value = _only_item(value)
    if isinstance(value, dict):
        texts = [item for item in value.values() if isinstance(item, str)]
        value = value.get(NAME, texts[0] if len(texts) == 1 else None)
    return None if text_of(value) is None else value


def _only_one(values: Sequence[object]) -> object:
    """The only label among these; None if there are several."""
    found = list({text_of(value): value for value in values if value is not None}.values())
    return found[0] if len(found) == 1 else None


def _objects_below(value: object, depth: int) -> Iterator[dict[str, object]]:
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for item in items if depth else ():
        if isinstance(item, dict):
            yield item
        yield from _objects_below(item, depth - 1)
