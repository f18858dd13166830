"""Which columns of a Parquet file hold the images and the labels.

Files of the Hugging Face hub say it themselves: their schema has the key `huggingface` with JSON, such as
`{"info": {"features": {"image": {"_type": "Image"}, "label": {"_type": "ClassLabel", "names": ["rose"]}}}}`.
See https://huggingface.co/docs/datasets/about_dataset_features.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from imagestore.archive.label_text import NoLabels, usual_name
from imagestore.archive.members import SourceLabels
from imagestore.console import UserError, did_you_mean, printable

if TYPE_CHECKING:
    import pyarrow

BYTES, PATH = "bytes", "path"  # fields of an image column


def features_of(schema: pyarrow.Schema) -> dict[str, Mapping[str, object]]:
    """The features by column that a file of the hub describes; empty for other files."""
    with contextlib.suppress(ValueError, KeyError, TypeError, RecursionError):
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        return {name: feature for name, feature in features.items() if isinstance(feature, dict)}
    return {}


def is_image_feature(feature: Mapping[str, object] | None) -> bool:
    """Whether a feature of the hub says that its column holds images."""
    return feature is not None and feature.get("_type") == "Image"


def may_hold_images(field: pyarrow.Field) -> bool:
    """Whether a column has the type of images: bytes, or a struct with a field `bytes`."""
    from pyarrow import types

    kind = field.type
    if types.is_struct(kind):
        places = kind.get_all_field_indices(BYTES)
        return len(places) == 1 and _is_binary(kind.field(places[0]).type)
    return _is_binary(kind)


def _is_binary(kind: pyarrow.DataType) -> bool:
    from pyarrow import types

    return types.is_binary(kind) or types.is_large_binary(kind) or types.is_fixed_size_binary(kind)


def find_label_column(path: Path, schema: pyarrow.Schema, labels: SourceLabels | None) -> str | None:
    """The column of the labels: that which `labels` names, or the usual one. Raises UserError.

    None if `labels` is None, or if labels are optional and no column is the usual one.
    """
    if labels is None:
        return None
    try:
        return _label_column(path, schema, labels.key)
    except NoLabels:
        if not labels.optional:
            raise
        return None


def _label_column(path: Path, schema: pyarrow.Schema, key: str | None) -> str:
    features = features_of(schema)
    candidates = [field.name for field in schema if _may_hold_labels(field)]
    if key is not None:
        if key not in candidates:
            others = printable(", ".join(candidates)) or "none"
            hint = did_you_mean(key, candidates) or f"; columns that can be labels: {others}"
            raise UserError(f"{path} has no column {printable(key)!r} of labels{hint}")
        return key
    classes = [name for name in candidates if features.get(name, {}).get("_type") == "ClassLabel"]
    usual = usual_name(candidates)
    if usual is not None:
        return usual
    if len(classes) == 1:
        return classes[0]
    others = printable(", ".join(classes or candidates))
    if not others:
        raise NoLabels(f"{path}: no column can hold labels (numbers or texts): use --labels FILE or colour")
    raise NoLabels(f"{path}: name the column of the labels with --label-key ({others})")


def _may_hold_labels(field: pyarrow.Field) -> bool:
    from pyarrow import types

    kind = field.type.value_type if types.is_dictionary(field.type) else field.type
    checks = (types.is_integer, types.is_string, types.is_large_string, types.is_boolean, types.is_floating)
    return any(check(kind) for check in checks)


def class_names(schema: pyarrow.Schema, column: str) -> list[str]:
    """The names of the classes by their numbers, if the file has them for this column; else empty."""
    feature = features_of(schema).get(column, {})
    names = feature.get("names") if feature.get("_type") == "ClassLabel" else None
    return [str(name) for name in names] if isinstance(names, list) else []
