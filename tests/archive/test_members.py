"""The members of an archive behave like a list, and find names."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from imagestore.archive.members import Location, Members
from tests.helpers.archives import member_names


@given(
    st.lists(st.tuples(member_names, st.integers(0, 1 << 40), st.integers(-(1 << 40), 1 << 40)), max_size=30)
)
def test_members_are_a_list_that_finds_names(rows):
    members = Members()
    added = [
        members.add(name, size=size, mtime=mtime, crc32=i, location=Location(i * 512, False))
        for i, (name, size, mtime) in enumerate(rows)
    ]
    assert list(members) == added and len(members) == len(rows)
    assert members[1:5:2] == added[1:5:2] and members[:-1] == added[:-1]
    last = {member.name: member for member in added}
    assert all(members.last_named(name) == member for name, member in last.items())


def test_part_of_a_name_finds_nothing():
    members = Members()
    for name in ("jpg/rose.jpg", "jpg/tulip.jpg"):
        members.add(name, size=1, mtime=0, crc32=0, location=Location(0, False))
    for part in ("", "rose.jpg", "jpg/rose", "jpg/rose.jpg\0jpg/tulip.jpg", "\0jpg/tulip.jpg"):
        assert members.last_named(part) is None


@given(st.lists(st.tuples(st.integers(0, 1 << 60), st.booleans()), max_size=10))
def test_locations_come_back(locations):
    members = Members()
    for offset, is_sparse in locations:
        members.add("a.jpg", size=1, mtime=0, crc32=0, location=Location(offset, is_sparse))
    assert [members.location(i) for i in range(len(members))] == locations
