"""What people corrected by hand in a store: images that they relabelled, removed or added.

The store keeps its corrections in the attribute `corrections` of its root group: a JSON list with an object
for each image. `member`, `size` and `crc32` (8 hexadecimal digits) say which image it is, `did` what was
done, and `when` the time in seconds since 1970. `label` is the label that the image got by hand, and `was`
the label before; each is null if there is none.

Two rules decide if stores with different corrections of one image are merged: a removal wins; of two labels,
the later one does.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from imagestore import stored_names
from imagestore.store.image_identity import identity
from imagestore.store.reader import ImageStore

ATTRIBUTE = "corrections"
RELABELLED, REMOVED, ADDED = KINDS = ("relabelled", "removed", "added")


@dataclass(frozen=True, kw_only=True, slots=True)
class Correction:
    """What was done by hand with one image."""

    member: bytes  # its name in the archive, or its name in the store if it came from no archive
    size: int  # bytes
    crc32: int
    did: str  # one of KINDS
    label: str | None  # by hand; None of a removed image
    was: str | None  # the label before; None of an added image
    when: float  # seconds since 1970

    @property
    def identity(self) -> int:
        """The image's `identity`."""
        return identity(self.member, self.size, self.crc32)

    @property
    def is_removal(self) -> bool:
        """Whether the image was removed."""
        return self.did == REMOVED


Corrections = dict[int, Correction]  # by the image's identity


def corrections_of(store: ImageStore) -> Corrections:
    """The corrections that a store keeps; it is opened in HDF5."""
    return from_json(store.hdf5().attrs.get(ATTRIBUTE))


def join(parts: Iterable[Mapping[int, Correction]]) -> Corrections:
    """The corrections of several stores as one. A removal wins; else the later one; else the first."""
    joined: Corrections = {}
    for part in parts:
        for key, correction in part.items():
            joined[key] = stronger(joined.get(key, correction), correction)
    return joined


def stronger(first: Correction, second: Correction) -> Correction:
    """The one of two corrections of an image that wins."""
    return max(first, second, key=lambda correction: (correction.is_removal, correction.when))


def disputes(parts: Sequence[Mapping[int, Correction]]) -> list[tuple[Correction, Correction]]:
    """The images that got different labels in several stores: the correction that wins, and another one."""
    found, winners = {}, join(parts)
    for part in parts:
        for key, correction in part.items():
            winner = winners[key]
            if not winner.is_removal and correction.label != winner.label:
                found[key] = (winner, correction)
    return list(found.values())


def counts_text(corrections: Mapping[int, Correction]) -> str:
    """How many images were corrected: "3 relabelled, 1 removed"; "" if none was."""
    counts = Counter(correction.did for correction in corrections.values())
    return ", ".join(f"{counts[did]:,} {did}" for did in KINDS if counts[did])


def to_json(corrections: Mapping[int, Correction]) -> str:
    """The corrections as the text of the attribute."""
    objects = (json.dumps(_as_object(correction)) for correction in corrections.values())
    return f"[{', '.join(objects)}]"


def from_json(text: object) -> Corrections:
    """The corrections in the text of the attribute. What another program wrote there is passed over."""
    try:
        found = [_from_object(values) for values in json.loads(text)]  # type: ignore[arg-type]
    except (TypeError, ValueError, KeyError, AttributeError, RecursionError):
        return {}
    return {correction.identity: correction for correction in found}


def _as_object(correction: Correction) -> dict[str, object]:
    return {
        "member": stored_names.decode(correction.member), "size": correction.size,
        "crc32": f"{correction.crc32:08x}", "did": correction.did, "label": correction.label,
        "was": correction.was, "when": correction.when,
    }  # fmt: skip


def _from_object(values: dict) -> Correction:
    if values["did"] not in KINDS:
        raise ValueError(values["did"])
    return Correction(
        member=stored_names.encode(values["member"]), size=int(values["size"]),
        crc32=int(values["crc32"], 16), did=values["did"], label=values["label"], was=values["was"],
        when=float(values["when"]),
    )  # fmt: skip
