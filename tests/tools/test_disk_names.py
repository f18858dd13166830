"""The names of unpacked files."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from imagestore.tools.disk_names import disk_name, original_name
from imagestore.vfs import shown_names
from imagestore.vfs.open_tree import open_tree


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (b"a.jpg", b"a.jpg"), (b"%41", b"%41"), (b"\xff", b"\xff"), (b"x%~2.jpg", b"x%~2.jpg"),
        (b"n" * 255, b"n" * 255), (b"..", b"%2E."), (b"", b"%-"), (b"a/b", b"a%2Fb"), (b"a\0b", b"a%00b"),
    ],
)  # fmt: skip
def test_a_name_that_a_file_can_have_comes_back(name: bytes, expected: bytes):
    assert original_name(shown_names.escape(name)) == expected


def test_a_name_that_is_too_long_stays_short():
    shown_name = shown_names.escape(b"n" * 256)
    assert original_name(shown_name) == shown_name


@pytest.mark.parametrize("shown_name", [b"same%~2.jpg", b"a%FF%~2.jpg"])
def test_a_numbered_name_of_merged_stores_stays(shown_name: bytes):
    assert original_name(shown_name) == shown_name


def test_no_two_files_of_a_folder_get_the_same_name(tmp_path: Path):
    links = [b"..", b"%2E.", b"%2E%~2.", b"%252E.", b"a", b"long" * 100]
    with h5py.File(tmp_path / "names.h5", "w") as file:
        for link in links:
            file.require_group("label")[link] = np.zeros(1, np.uint8)
    with open_tree([tmp_path / "names.h5"]) as tree:
        folder = tree.find(b"/label")
        by_link = {link: disk_name(tree, folder, shown_names.escape(link)) for link in links}
    assert len(set(by_link.values())) == len(links)
    assert [link for link in links if by_link[link] != link] == [b"..", b"long" * 100]
