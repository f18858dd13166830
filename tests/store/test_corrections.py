"""What a store keeps of corrections by hand: the text, and which of two corrections counts."""

from __future__ import annotations

import json
from itertools import permutations

import h5py
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagestore.store.corrections import (
    ADDED,
    ATTRIBUTE,
    KINDS,
    RELABELLED,
    REMOVED,
    Correction,
    corrections_of,
    counts_text,
    disputes,
    from_json,
    join,
    to_json,
)
from imagestore.store.reader import ImageStore

labels = st.none() | st.text(st.characters(exclude_categories=[]), max_size=20)
corrections = st.builds(
    Correction,
    member=st.binary(max_size=40), size=st.integers(0, 2**40), crc32=st.integers(0, 2**32 - 1),
    did=st.sampled_from(KINDS), label=labels, was=labels, when=st.floats(0, 4e9),
)  # fmt: skip


def correction(label: str | None, when: float, did: str = RELABELLED, member: bytes = b"a.jpg") -> Correction:
    return Correction(member=member, size=5, crc32=7, did=did, label=label, was="old", when=when)


def of(*found: Correction) -> dict[int, Correction]:
    return {one.identity: one for one in found}


@given(st.lists(corrections, max_size=5))
def test_the_text_gives_the_corrections_back(found):
    text = to_json(of(*found))
    assert text.isascii() and from_json(text) == of(*found)


def test_the_text_is_plain_json():
    expected = {"member": "a.jpg", "size": 5, "crc32": "00000007", "did": "removed", "label": None,
                "was": "old", "when": 1.5}  # fmt: skip
    assert json.loads(to_json(of(correction(None, 1.5, REMOVED)))) == [expected]


STRANGE = [None, 5, b"x", "", "no json", "{}", "[1]", '["x"]', '[{"member": "x"}]', "[" * 10_000]


@pytest.mark.parametrize("text", STRANGE, ids=range(len(STRANGE)))
def test_what_others_wrote_is_passed_over(text):
    assert from_json(text) == {}


def test_an_unknown_kind_is_passed_over():
    text = to_json(of(correction("red", 1)))
    assert from_json(text) and from_json(text.replace("relabelled", "painted")) == {}


@pytest.mark.parametrize("value", [5, [1, 2], "text", h5py.Empty("S10")])
def test_an_attribute_of_others_does_no_harm(sample_store, tmp_path, value):
    path = tmp_path / "a.h5"
    path.write_bytes(sample_store.read_bytes())
    with h5py.File(path, "r+") as file:
        file.attrs[ATTRIBUTE] = value
    with ImageStore(path) as store:
        assert corrections_of(store) == {}


def test_the_later_label_counts_and_a_removal_more():
    first, later, gone = correction("red", 1), correction("blue", 2), correction(None, 0, REMOVED)
    for order in permutations([first, later]):
        assert join(map(of, order)) == of(later)
        assert disputes([*map(of, order)]) == [(later, first)]
    for order in permutations([first, later, gone]):
        assert join(map(of, order)) == of(gone)
        assert disputes([*map(of, order)]) == []


def test_of_two_at_the_same_time_the_first_counts():
    for order in permutations([correction("red", 1), correction("blue", 1, ADDED)]):
        assert join(map(of, order)) == of(order[0])


def test_equal_labels_are_no_dispute():
    parts = [of(correction("red", 1)), of(correction("red", 2)), of(correction("blue", 3, member=b"b.jpg"))]
    assert disputes(parts) == [] and len(join(parts)) == 2


def test_corrections_are_counted():
    found = of(correction("x", 1), correction("x", 1, ADDED, b"b"), correction(None, 1, REMOVED, b"c"))
    assert counts_text(found) == "1 relabelled, 1 removed, 1 added" and counts_text({}) == ""
