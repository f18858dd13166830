"""The labels in a JSON file that stands beside an image."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence

from imagestore.archive.label_text import text_of

MOST_NESTED = 4  # objects in each other
NAME = "name"  # of a label that is an object


def labels_in_json(data: bytes, keys: Sequence[str]) -> list[object]:
    """The values of `keys` in a JSON object, None where it has no label there; empty if it is no JSON object.

    A key is looked for at the top, and then in the objects below, where all its values must be equal.
    `meta.label` is the key `label` in the object `meta`. Capital and small letters are equal. A list of one
    is its item. A label may be an object with a name: `{"id": 1, "name": "rose"}`.
    """
    with contextlib.suppress(ValueError, RecursionError):
        document = _only_item(json.loads(data))
        if isinstance(document, dict):
            at_top = [_label(_lookup(document, key.split("."))) for key in keys]
            return at_top if _has_any(at_top) else [_below(document, key) for key in keys]
    return []


def _only_item(value: object) -> object:
    """The item of a list of one; other values as they are."""
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def _has_any(values: Sequence[object]) -> bool:
    return any(value is not None for value in values)


def _lookup(document: object, path: Sequence[str]) -> object:
    """The value at a path of keys; a key with dots in it counts first. None if there is none."""
    if not path or not isinstance(document, dict):
        return None if path else document
    by_key = {key.lower(): value for key, value in reversed(document.items())}
    whole = ".".join(path).lower()
    return by_key[whole] if whole in by_key else _lookup(_only_item(by_key.get(path[0].lower())), path[1:])


def _label(value: object) -> object:
    """A value as a label: a text or a number, also in a list of one, or the name in an object."""
    value = _only_item(value)
    if isinstance(value, dict):
        texts = [item for item in value.values() if isinstance(item, str)]
        value = value.get(NAME, texts[0] if len(texts) == 1 else None)
    return None if text_of(value) is None else value


def _below(document: dict[str, object], key: str) -> object:
    """The label that a key has in the objects below the top, if there is only one."""
    found = [_label(_lookup(below, key.split("."))) for below in _objects_below(document, MOST_NESTED)]
    found = list({text_of(value): value for value in found if value is not None}.values())
    return found[0] if len(found) == 1 else None


def _objects_below(value: object, depth: int) -> Iterator[dict[str, object]]:
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for item in items if depth else ():
        if isinstance(item, dict):
            yield item
        yield from _objects_below(item, depth - 1)
