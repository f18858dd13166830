"""Names of element files, and the way back from a name to its element."""

from __future__ import annotations

import numpy as np
import pytest

from imagestore.hdf5.element_files import ElementFiles, element_number


def files(count: int, suffix: str = ".jpg") -> ElementFiles:
    column = np.zeros(count, np.int64)
    return ElementFiles(suffix, column, column, column)


def test_names_sort_as_their_numbers():
    names = list(files(1234).names())
    assert (names[0], names[-1]) == (b"000000.jpg", b"001233.jpg")
    assert names == sorted(names)


@pytest.mark.parametrize(("count", "digits"), [(1, 6), (999_999, 6), (1_000_001, 7)])
def test_the_count_decides_how_many_digits_there_are(count, digits):
    assert next(files(count, "").names()) == b"0" * digits


def test_each_name_leads_back_to_its_element():
    some = files(12)
    assert [some.number(name) for name in some.names()] == list(range(12))


@pytest.mark.parametrize(
    "name", [b"000012.jpg", b"3.jpg", b"000003", b"000003.png", b"-00003.jpg", b"00_003.jpg", b"x", b""]
)
def test_other_names_lead_to_no_element(name):
    assert files(12).number(name) is None


@pytest.mark.parametrize(
    ("name", "number"), [(b"000012.jpg", 12), (b"000003", 3), (b"x.jpg", None), (b"", None)]
)
def test_a_name_tells_its_number_without_the_files(name, number):
    assert element_number(name) == number
