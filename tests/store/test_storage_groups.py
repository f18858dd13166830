"""Which groups are no labels, because their images also stand under other labels."""

from __future__ import annotations

import pytest

from imagestore.store.storage_groups import LabelledObjects

# label -> images, as numbers; "link:label" -> images that links lead to
VIEW_BY_LABEL = {"images": range(6), "link:red": range(3), "link:green": range(3, 6)}
SOME_HAVE_NO_LABEL = {"images": range(9), "link:red": range(3), "link:green": range(3, 6)}
SPLITS = {"images": range(6), "link:train": range(4), "link:val": [4, 5]}
BY_HARD_LINKS = {"images": range(6), "red": range(3), "green": range(3, 6)}
A_GROUP_OF_ALL = {"red": range(3), "green": range(3, 6), "link:all": range(6)}
TWO_FOLDERS = {"a": range(3), "b": range(3, 6), "link:red": [0, 3, 4], "link:green": [1, 2, 5]}
SECOND_NAME = {"n02123045": range(3), "link:cat": range(3), "dog": range(3, 6)}
FAVOURITES = {"red": range(3), "green": range(3, 6), "link:favourites": [0, 4]}
ALL_OF_RED = {"red": range(3), "green": range(3, 6), "link:favourites": [0, 1, 2, 4]}
PART_OF_ONE = {"red": range(6), "link:best": [0, 1]}
SEPARATE = {"red": range(3), "green": range(3, 6)}
HARD_SECOND_NAME = {"red": range(3), "rot": range(3)}


@pytest.mark.parametrize(
    ("groups", "storage"),
    [
        (VIEW_BY_LABEL, ["images"]),
        (SOME_HAVE_NO_LABEL, ["images"]),
        (SPLITS, ["images"]),
        (BY_HARD_LINKS, ["images"]),
        (A_GROUP_OF_ALL, ["all"]),
        (TWO_FOLDERS, ["a", "b"]),
        (SECOND_NAME, ["n02123045"]),
        (FAVOURITES, []),
        (ALL_OF_RED, []),
        (PART_OF_ONE, []),
        (SEPARATE, []),
        (HARD_SECOND_NAME, []),
        ({}, []),
    ],
)
def test_a_group_that_other_labels_divide_is_no_label(groups, storage):
    objects = LabelledObjects()
    for label, images in groups.items():
        for image in images:
            objects.add(label.removeprefix("link:").encode(), (1, image), label.startswith("link:"))
    without_label = 3 if groups is SOME_HAVE_NO_LABEL else 0
    assert objects.storage_groups() == {name.encode(): without_label for name in storage}
    assert all(((1, image) in objects) == (groups != {}) for image in range(3))
