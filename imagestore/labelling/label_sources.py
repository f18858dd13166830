"""Where the labels of a run come from (--labels), if they are not the images' colours.

To add a source, add a function that returns a `LabelOf`, and a line in `label_source`.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from imagestore.archive.members import Member, SourceLabels
from imagestore.console import UserError, counted, did_you_mean, printable
from imagestore.labelling.class_names import note_if_unused, read_class_names
from imagestore.labelling.name_table import NameTable
from imagestore.labelling.natural_order import numbers_in_natural_order
from imagestore.labelling.read_tables import JSON_SUFFIXES, read_table
from imagestore.store.label_names import label_of_group

COLOUR, FOLDER, SOURCE = "colour", "folder", "source"
KINDS = (COLOUR, FOLDER, SOURCE)
TABLE_SUFFIXES = (".csv", ".tsv", ".txt", *JSON_SUFFIXES)
HDF5_SUFFIXES = (".h5", ".hdf5", ".hdf")
LABEL_COLUMNS = (
    *("label", "class", "target"),
    *("labels", "classes", "category", "species", "label_name", "class_name", "category_name"),
)

LabelOf = Callable[[Member], str | None]  # the label of a member; None if it has none. Raises AmbiguousName
ListMembers = Callable[[], Sequence[Member]]  # all members, which may need a pass over the archive


@dataclass(frozen=True, kw_only=True)
class LabelOptions:
    """The options that say which label an image gets."""

    labels: str = COLOUR  # one of KINDS, or the path of a file
    name_column: str | None = None  # of a CSV file; None: the usual titles
    label_key: str | None = None  # what the collection itself calls the label; None: the usual words
    # Of a CSV file, the variable of a .mat file, or the array of an HDF5 file; None: the usual titles.
    label_column: str | None = None
    class_names: Path | None = None  # the file that gives numbers their names
    unlabelled: str | None = None  # the label of images that have none; None: they are left out


def label_source(options: LabelOptions, list_members: ListMembers) -> LabelOf | None:
    """The function that says the label of a member; None if its colour is its label. Raises UserError."""
    if options.labels == COLOUR:
        return None
    if options.labels in (FOLDER, SOURCE):
        label_of = _label_of_folder if options.labels == FOLDER else _label_in_source
        # All labels tell from which number the names count: this may take a pass over the archive.
        labels = set(map(label_of, list_members() if options.class_names else ()))
        return _named(label_of, options, labels - {None})
    return _label_in_file(Path(options.labels), options, list_members)


def labels_in_source(options: LabelOptions) -> SourceLabels | None:
    """Which labels the archive must tell; None if no label comes from there."""
    return SourceLabels(options.label_key) if options.labels == SOURCE else None


def describe_source(options: LabelOptions) -> dict[str, object]:
    """What a store keeps of the source of its labels: the kind, and of a file its name and checksum."""
    if options.labels in KINDS:
        return {"labels": options.labels}
    path = Path(options.labels)
    description = {"labels": path.suffix.lower().removeprefix("."), "file": path.name}
    with contextlib.suppress(OSError):  # somebody has removed the file since
        description["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    return description


# ----- of the archive itself -----


def _label_of_folder(member: Member) -> str | None:
    """The label that the folder around the member stands for: its name, as in an ImageFolder."""
    folder = member.name.rpartition("/")[0].rpartition("/")[2]
    return None if folder in ("", ".", "..") else label_of_group(folder)


def _label_in_source(member: Member) -> str | None:
    """What the collection itself says."""
    return member.label


# ----- of a file -----


def _label_in_file(path: Path, options: LabelOptions, list_members: ListMembers) -> LabelOf:
    if not path.is_file():
        raise UserError(
            f"--labels {printable(str(path))}: no such file, and none of {', '.join(KINDS)}"
            f"{did_you_mean(str(path), KINDS)}"
        )
    suffix = path.suffix.lower()
    if suffix == ".mat":
        return _label_in_mat_file(path, options, list_members())
    if suffix in HDF5_SUFFIXES:
        return _label_in_hdf5_file(path, options, list_members())
    if suffix not in TABLE_SUFFIXES:
        raise UserError(f"--labels {printable(str(path))}: neither .csv, .tsv, .json, .jsonl, .mat nor .h5")
    columns = (options.label_column,) if options.label_column else LABEL_COLUMNS
    rows = read_table(path, columns, options.name_column)
    table = NameTable(path, rows)
    return _named(lambda member: table.find(member.name), options, table.values())


def _label_in_mat_file(path: Path, options: LabelOptions, members: Sequence[Member]) -> LabelOf:
    """The n-th number or text is the label of the n-th image in natural order."""
    from imagestore.labelling.mat_file import read_labels

    variables = read_labels(path)
    name = _variable_of_labels(path, variables, options.label_column, len(members))
    labels = _with_names_beside(name, variables)
    if len(labels) != len(members):
        raise UserError(
            f"{path}: {name} has {counted(len(labels), 'label')}, and the archive has "
            f"{counted(len(members), 'image')}: "
            "they do not belong together"
        )
    place = numbers_in_natural_order(members)
    return _named(lambda member: labels[place[member.position]], options, set(labels) - {None})


def _variable_of_labels(
    path: Path, variables: Mapping[str, list[str | None]], named: str | None, count: int
) -> str:
    """The variable that the user named, or `labels`, or the only one, or the only one of that length."""
    if not variables:
        raise UserError(f"{path}: no variable is a row or a column of whole numbers or of texts")
    if named is None and "labels" in variables:
        return "labels"
    fitting = [name for name, values in variables.items() if len(values) == count]
    for candidates in ([named] if named in variables else [], *([] if named else (list(variables), fitting))):
        if len(candidates) == 1:
            return candidates[0]
    raise UserError(f"{path}: name one of its variables with --label-column: {', '.join(variables)}")


def _with_names_beside(name: str, variables: Mapping[str, list[str | None]]) -> list[str | None]:
    """The labels of a variable. If they are numbers that have names in another one, these names."""
    from imagestore.tables.names_of_numbers import names_by_number

    labels = variables[name]
    numbers = {label for label in labels if label is not None}
    for other, values in variables.items() if all(map(str.isdecimal, numbers)) else ():
        if other != name and (names := names_by_number(other, values, numbers)):
            return [names.get(label) for label in labels]
    return labels


def _label_in_hdf5_file(path: Path, options: LabelOptions, members: Sequence[Member]) -> LabelOf:
    """The n-th value is the label of the n-th image of the archive."""
    from imagestore.labelling.hdf5_labels import read_labels

    labels = read_labels(path, options.label_column, len(members))
    return _named(lambda member: labels[member.position], options, set(labels) - {None})


def _named(label_of: LabelOf, options: LabelOptions, labels: set[str]) -> LabelOf:
    """The source with the names of --class-names in place of numbers, and --unlabelled in place of none."""
    names = {}
    if options.class_names:
        names = read_class_names(options.class_names, labels)
        note_if_unused(options.class_names, labels)

    def named_label_of(member: Member) -> str | None:
        label = label_of(member)
        return options.unlabelled if label is None else names.get(label, label)

    return named_label_of
