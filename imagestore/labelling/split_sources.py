"""Which of the two stores of `partition` an image belongs to, if a file says so (--split)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from imagestore.archive.members import Member
from imagestore.console import UserError, counted, printable
from imagestore.labelling.name_table import NameTable
from imagestore.labelling.natural_order import numbers_in_natural_order
from imagestore.labelling.read_tables import read_table

SPLIT_COLUMNS = ("split", "subset", "set", "fold")
TRAINING, TESTING = "training", "testing"
PARTS = {  # what files call the parts. Images to validate with are no test images
    **dict.fromkeys(["train", "training", "trn", "trainval", "val", "valid", "validation", "dev"], TRAINING),
    **dict.fromkeys(["test", "testing", "tst"], TESTING),
}
VARIABLES = {"trnid": TRAINING, "valid": TRAINING, "tstid": TESTING}  # of setid.mat

PartOf = Callable[[Member], str | None]  # TRAINING or TESTING; None if the file does not name the member


def split_source(path: Path, name_column: str | None, list_members: Callable[[], Sequence[Member]]) -> PartOf:
    """The function that says the part of a member. Raises UserError."""
    if path.suffix.lower() == ".mat":
        return _part_in_mat_file(path, list_members())
    rows = read_table(path, SPLIT_COLUMNS, name_column)
    table = NameTable(path, [(name, word and _part(path, word)) for name, word in rows])
    return lambda member: table.find(member.name)


def _part(path: Path, word: str) -> str:
    try:
        return PARTS[word.strip().lower()]
    except KeyError:
        raise UserError(f"{path}: {printable(word)!r} is no split: use train, val or test") from None


def _part_in_mat_file(path: Path, members: Sequence[Member]) -> PartOf:
    """`trnid`, `valid` and `tstid` hold the numbers of images, which count from 1 in natural order."""
    from imagestore.labelling.mat_file import read_vectors

    vectors = read_vectors(path)
    if not vectors.keys() & VARIABLES.keys():
        raise UserError(f"{path} has none of the variables {', '.join(VARIABLES)}")
    part_of_number: dict[int, str] = {}
    for name, part in VARIABLES.items():
        for number in vectors.get(name, np.empty(0, np.int64)).tolist():
            if part_of_number.setdefault(number, part) != part:
                raise UserError(f"{path} has image {number:,} in two parts, training and testing")
    first, last = min(part_of_number), max(part_of_number)
    if first < 1 or last > len(members):
        raise UserError(
            f"{path} has numbers from {first:,} to {last:,}, and the archive has "
            f"{counted(len(members), 'image')}: "
            "they do not belong together"
        )
    place = numbers_in_natural_order(members)
    return lambda member: part_of_number.get(place[member.position] + 1)
