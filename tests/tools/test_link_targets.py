"""Which links stay inside the copied folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from imagestore.tools.link_targets import may_lead_outside, target_from_top


@pytest.mark.parametrize(
    ("folder", "text", "expected"),
    [
        (b"", b"a", b"a"), (b"a/b", b"../c", b"a/c"), (b"a", b".././a//x/", b"a/x"), (b"a", b"..", b""),
        (b"a", b"../..", None), (b"", b"/a", None), (b"", b"a/../../x", None), (b"", b"missing/../x", b"x"),
    ],
)  # fmt: skip
def test_where_a_link_leads(folder: bytes, text: bytes, expected: bytes | None):
    assert target_from_top(b"/nowhere", folder, text) == expected


def test_a_target_behind_another_link_is_unknown(tmp_path: Path):
    """`..` behind a link leads to the folder above the target of that link."""
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "link").symlink_to("a/b")
    top = bytes(tmp_path)
    assert target_from_top(top, b"", b"link/../x") is None
    assert target_from_top(top, b"link", b"../x") is None
    assert target_from_top(top, b"", b"link/x") == b"link/x"
    assert target_from_top(top, b"", b"a/../x") == b"x"


@pytest.mark.parametrize(
    ("text", "depth", "expected"),
    [(b"a", 0, False), (b"..", 0, True), (b"../x", 1, False), (b"../../x", 1, True), (b"/etc", 3, True),
     (b"a/../x", 2, True), (b"..", 1, False), (b"...", 0, False)],
)  # fmt: skip
def test_whether_a_link_leaves(text: bytes, depth: int, expected: bool):
    assert may_lead_outside(text, depth) == expected
