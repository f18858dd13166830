"""Names in the order in which people count."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from imagestore.archive.members import Location, Members
from imagestore.labelling.natural_order import natural_key, numbers_in_natural_order


def test_numbers_in_names_count_as_numbers():
    names = ["jpg2/image_1.jpg", "jpg/image_100.jpg", "jpg/image_10.jpg", "jpg/image_2.jpg"]
    assert sorted(names, key=natural_key) == names[::-1]


@given(st.lists(st.text(st.sampled_from("a1²٣/._") | st.characters(), max_size=6)))
def test_any_two_names_can_be_compared(names):
    sorted(names, key=natural_key)


def test_each_member_gets_the_number_of_its_name():
    members = Members()
    numbers = list(range(1, 13))
    random.Random(1).shuffle(numbers)
    for number in numbers:
        members.add(f"image_{number}.jpg", size=1, mtime=0, crc32=0, location=Location(0, False))
    assert [number + 1 for number in numbers_in_natural_order(members)] == numbers
