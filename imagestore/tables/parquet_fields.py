"""The fields of a Parquet file, nested ones too: which there are, and the values that they have in each row.

A field has the names of the columns and structs that lead to it, with dots between them: `data.image`. Lists
and dictionaries on the way have no names. Files of the Hugging Face hub describe their fields in the key
`huggingface` of the schema, as JSON: `{"info": {"features": {"image": {"_type": "Image"}, "label": {"_type":
"ClassLabel", "names": ["rose"]}}}}`. See https://huggingface.co/docs/datasets/about_dataset_features.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import pyarrow


class Field(NamedTuple):
    """A column, or a field in the structs of a column."""

    path: tuple[str, ...]  # the name of the column, and then those of fields
    type: pyarrow.DataType  # of its values, without lists and dictionaries around them
    feature: Mapping[str, object]  # what the hub says of it; empty if it says nothing

    @property
    def name(self) -> str:
        """Its name for the user."""
        return ".".join(self.path)


def fields_of(schema: pyarrow.Schema) -> list[Field]:
    """All fields, each struct before the fields in it."""
    features = _features_of(schema)
    return [
        field
        for column in schema
        for field in _fields_below((column.name,), column.type, features.get(column.name))
    ]


def _fields_below(path: tuple[str, ...], kind: pyarrow.DataType, feature: object) -> Iterator[Field]:
    from pyarrow import types

    while is_list(kind) or types.is_dictionary(kind):
        kind = kind.value_type
    feature = _feature_of_values(feature)
    yield Field(path, kind, feature)
    if types.is_struct(kind):
        for i in range(kind.num_fields):
            name = kind.field(i).name
            yield from _fields_below((*path, name), kind.field(i).type, feature.get(name))


def is_list(kind: pyarrow.DataType) -> bool:
    """Whether values of a type are lists of other values."""
    from pyarrow import types

    return types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)


def values_in(value: object, path: Sequence[str]) -> list[object]:
    """The values of a field in one row: one, or none or several if lists are on the way.

    `value` is that of the column, and `path` leads on from it. A null is None.
    """
    if isinstance(value, list):
        return [found for item in value for found in values_in(item, path)]
    if value is None or not path:
        return [value]
    return values_in(value.get(path[0]), path[1:])


def class_names_of(feature: Mapping[str, object]) -> dict[str, str]:
    """The names of classes by their numbers, as text. Empty if the hub says none."""
    names = feature.get("names")
    if isinstance(names, list):
        return {str(number): str(name) for number, name in enumerate(names)}
    return {str(number): str(name) for number, name in names.items()} if isinstance(names, dict) else {}


def _features_of(schema: pyarrow.Schema) -> dict[str, object]:
    """The features by column that a file of the hub describes; empty for other files."""
    with contextlib.suppress(ValueError, RecursionError):
        description = json.loads((schema.metadata or {}).get(b"huggingface", b"null"))
        while isinstance(description, dict):
            if isinstance(features := description.get("features"), dict):
                return features
            description = description.get("info")
    return {}


def _feature_of_values(feature: object) -> Mapping[str, object]:
    """The feature of the values in lists: the hub has `[FEATURE]`, or a Sequence or List with a `feature`."""
    while True:
        if isinstance(feature, list) and len(feature) == 1:
            feature = feature[0]
        elif isinstance(feature, dict) and "feature" in feature and isinstance(feature.get("_type"), str):
            feature = feature["feature"]
        else:
            return feature if isinstance(feature, dict) else {}
