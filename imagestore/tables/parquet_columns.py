"""Which fields of a Parquet file hold the images and the labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from imagestore.archive.label_text import LABEL_KEYS, OTHER_KEYS, NoLabels, usual_name
from imagestore.archive.members import SourceLabels
from imagestore.console import UserError, did_you_mean, printable
from imagestore.printed_commands import command_line, path_argument
from imagestore.tables.parquet_fields import Field

BYTES, PATH = "bytes", "path"  # fields of an image

HoldsImages = Callable[[Field], bool]  # whether the values of a field begin as images do


def find_images(path: Path, fields: Sequence[Field], named: str, holds_images: HoldsImages) -> Field:
    """The field of the images: bytes, or structs with bytes, or texts in base64. `named` is its name, or "".

    Raises UserError if there is none, or if there are several.
    """
    candidates = _may_hold_images(fields)
    if named:
        names = (named, named.replace("/", "."))
        for field in candidates:
            if field.name in names:
                return field
        for field in fields:
            if field.name in names and is_text(field) and holds_images(field):
                return field
        names = [field.name for field in candidates]
        others = printable(", ".join(names)) or "none"
        hint = did_you_mean(named, names) or f"; columns of bytes: {others}"
        raise UserError(f"{path} has no column {printable(named)!r} of images{hint}")
    found = list(filter(is_image_of_hub, candidates))
    found = found or [field for field in candidates if holds_images(field)]
    found = found or [field for field in fields if is_text(field) and holds_images(field)]
    if len(found) == 1:
        return found[0]
    if not found:
        columns = printable(", ".join(field.name for field in fields if len(field.path) == 1))
        paths = [field.name for field in fields if _is_path_of_image(field, candidates)]
        advice = (
            f"; {printable(paths[0])} has only their paths: give the folder of the files" if paths else ""
        )
        raise UserError(f"{path} has no column with the bytes of images; its columns: {columns}{advice}")
    choices = " or ".join(command_line(path_argument(f"{path}:/{field.name}")) for field in found)
    raise UserError(f"{path} has {len(found)} columns of images: give one of them, as {choices}")


def _may_hold_images(fields: Sequence[Field]) -> list[Field]:
    """The fields with the type of images: structs with a field `bytes`, and other fields of bytes."""
    binary = {field.path for field in fields if _is_binary(field)}
    structs = {path[:-1] for path in binary if len(path) > 1 and path[-1] == BYTES}
    in_structs = {(*path, BYTES) for path in structs}
    return [field for field in fields if field.path in structs | binary - in_structs]


def _is_path_of_image(field: Field, images: Sequence[Field]) -> bool:
    return field.path[-1] == PATH and any(field.path[:-1] == image.path for image in images)


def _is_binary(field: Field) -> bool:
    from pyarrow import types

    checks = (types.is_binary, types.is_large_binary, types.is_fixed_size_binary, types.is_binary_view)
    return any(check(field.type) for check in checks)


def find_labels(
    path: Path, fields: Sequence[Field], labels: SourceLabels | None, holds_images: HoldsImages
) -> Field | None:
    """The field of the labels: that which `labels` names, or the usual one. Raises UserError.

    None if `labels` is None, or if labels are optional and no field is the usual one.
    """
    if labels is None:
        return None
    images = _may_hold_images(fields)
    others = [field for field in fields if not _is_path_of_image(field, images)]
    candidates = [field for field in others if _may_hold_labels(field)]
    if labels.key is not None:
        texts_as_bytes = [field for field in images if _is_binary(field) and not holds_images(field)]
        return _named(path, [*candidates, *texts_as_bytes], labels.key)
    candidates += [
        field
        for field in images
        if _is_binary(field) and _is_usual(field.path[-1]) and not holds_images(field)
    ]
    try:
        return _likeliest(path, candidates)
    except NoLabels:
        if not labels.optional:
            raise
        return None


def _named(path: Path, candidates: Sequence[Field], key: str) -> Field:
    """The field of that name. A nested field may be called by its last name, if no other has it."""
    found = [field for field in candidates if field.name == key]
    found = found or [field for field in candidates if field.path[-1] == key]
    if len(found) == 1:
        return found[0]
    names = [field.name for field in candidates]
    others = printable(", ".join(names)) or "none"
    hint = did_you_mean(key, names) or f"; columns that can be labels: {others}"
    raise UserError(f"{path} has no column {printable(key)!r} of labels{hint}")


def _likeliest(path: Path, candidates: Sequence[Field]) -> Field:
    columns = {field.name: field for field in candidates if len(field.path) == 1}
    usual = usual_name(list(columns))
    if usual is not None:
        return columns[usual]
    classes = [field for field in candidates if field.feature.get("_type") == "ClassLabel"]
    named_so = [field for field in candidates if _is_usual(field.path[-1])]
    in_one_named_so = [field for field in candidates if any(map(_is_usual, field.path))]
    texts_in_it = [field for field in in_one_named_so if is_text(field)]
    for found in (classes, named_so, texts_in_it, in_one_named_so):
        if len(found) == 1:
            return found[0]
    others = printable(", ".join(field.name for field in classes or candidates))
    if not others:
        raise NoLabels(f"{path}: no column can hold labels (numbers or texts): use --labels FILE or colour")
    raise NoLabels(f"{path}: name the column of the labels with --label-key ({others})")


def _is_usual(name: str) -> bool:
    return name.lower() in LABEL_KEYS + OTHER_KEYS


def _may_hold_labels(field: Field) -> bool:
    from pyarrow import types

    checks = (types.is_integer, types.is_boolean, types.is_floating, types.is_decimal, types.is_null)
    return is_text(field) or any(check(field.type) for check in checks)


def is_image_of_hub(field: Field) -> bool:
    """Whether the hub says that the values of a field are images."""
    return field.feature.get("_type") == "Image"


def is_text(field: Field) -> bool:
    """Whether the values of a field are texts."""
    from pyarrow import types

    checks = (types.is_string, types.is_large_string, types.is_string_view)
    return any(check(field.type) for check in checks)
