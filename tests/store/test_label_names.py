"""Any text as the name of a group, and back."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagestore.store.label_names import group_name, label_of_group

TEXT_WITH_ESCAPES = st.text(st.sampled_from("ab%/.\0ü25F0E") | st.characters(codec="utf-8"), max_size=12)


@given(TEXT_WITH_ESCAPES | st.sampled_from(["%empty", "%25empty", "%2E", "%2E%2E", "%2F", "100%25", "%00"]))
def test_a_label_comes_back_from_the_name_of_its_group(label):
    name = group_name(label)
    assert label_of_group(name) == label
    assert "/" not in name
    assert "\0" not in name
    assert name not in ("", ".", "..")


@given(TEXT_WITH_ESCAPES, TEXT_WITH_ESCAPES)
def test_two_labels_have_two_groups(first, second):
    assert (group_name(first) == group_name(second)) == (first == second)


@given(TEXT_WITH_ESCAPES)
def test_two_groups_of_a_stranger_are_two_labels(name):
    label = label_of_group(name)
    assert label == name or group_name(label) == name


@pytest.mark.parametrize("label", ["red", "gänseblümchen", "50% off", "a.b", "...", "%41", "-rf", " "])
def test_ordinary_labels_are_the_names_of_their_groups(label):
    assert group_name(label) == label
    assert label_of_group(label) == label


@pytest.mark.parametrize("label", ["AC/DC", "", ".", "..", "a/../b", "%2F"])
def test_hdf5_takes_the_names(label, tmp_path):
    with h5py.File(tmp_path / "labels.h5", "w") as file:
        file.create_group(group_name(label)).create_dataset("x", data=np.zeros(1, np.uint8))
    with h5py.File(tmp_path / "labels.h5") as file:
        assert [label_of_group(name) for name in file] == [label]
