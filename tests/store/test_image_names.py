"""Names that HDF5 and file systems can hold."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagestore.store.image_names import LONGEST_NAME, numbered_name, safe_name

names = st.binary(min_size=1, max_size=400).filter(lambda name: b"\0" not in name)


@given(names)
def test_a_safe_name_is_the_base_name_if_possible(member):
    name = safe_name(member)
    assert name not in (b"", b".", b"..") and b"/" not in name and len(name) <= LONGEST_NAME
    assert name == member or b"/" in member or member in (b".", b"..") or len(member) > LONGEST_NAME


@pytest.mark.parametrize(
    ("member", "name"),
    [
        (b"jpg/image.jpg", b"image.jpg"),
        (b"../../etc/passwd", b"passwd"),
        (b"folder/", b"folder"),
        (b"a/..", b"_.."),
        (b"/", b"_"),
        (b"nul\0.jpg", b"nul_.jpg"),
        (b"n" * 300 + b".jpg", b"n" * 251 + b".jpg"),
        (b"n" * 300, b"n" * 255),
        ("\u82b1".encode() * 100 + b".jpg", "\u82b1".encode() * 83 + b".jpg"),  # 3 bytes each
        (b"\x80" * 300, b"\x80" * 255),
        (b"n" * 300 + b"." + b"s" * 20, b"n" * 255),  # too long for a suffix
    ],
)
def test_safe_names_by_example(member, name):
    assert safe_name(member) == name


@pytest.mark.parametrize(
    ("name", "number", "numbered"),
    [
        (b"image.jpg", 2, b"image~2.jpg"),
        (b"image", 10, b"image~10"),
        (b".hidden", 2, b".hidden~2"),
        (b"a.tar.gz", 3, b"a.tar~3.gz"),
        (b"n" * 251 + b".jpg", 12, b"n" * 248 + b"~12.jpg"),
        ("\u82b1".encode() * 85, 2, "\u82b1".encode() * 84 + b"~2"),
        (b"\x80" * 255, 2, b"\x80" * 253 + b"~2"),  # no UTF-8: no character begins anywhere
    ],
)
def test_numbered_names_by_example(name, number, numbered):
    assert numbered_name(name, number) == numbered


@given(st.text(min_size=1, max_size=300).map(str.encode), st.integers(2, 10**6))
def test_numbered_names_are_utf8_within_the_limit(name, number):
    numbered = numbered_name(name.replace(b"/", b"_"), number)
    assert len(numbered) <= LONGEST_NAME and b"~%d" % number in numbered
    numbered.decode()
