"""`summary` counts what was corrected by hand in a store."""

from __future__ import annotations

from tests.helpers.mended_stores import BY_FOLDER, heuristic, make_archive, mend


def test_corrections_are_counted(tmp_path):
    archive, store = make_archive(tmp_path / "a.tar"), tmp_path / "s.h5"
    heuristic("sort", archive, store, 12, 12, *BY_FOLDER)
    before = heuristic("summary", store)
    assert "by hand" not in before.err
    mend("mv", store, "02.jpg", "05.jpg", "rose/")
    mend("rm", store, "blue/*")
    (tmp_path / "new.jpg").write_bytes((tmp_path / "a.tar").read_bytes()[512:700])  # a JPEG that is cut short
    assert mend("add", store, "--no-palette", tmp_path / "new.jpg", "rose/").status == 0
    done = heuristic("summary", store)
    assert f"colourHeuristic: {store}: by hand: 2 relabelled, 4 removed, 1 added\n" in done.err
    assert done.out.splitlines()[-1].split() == ["total", "9", "3", "labels"]
    heuristic("merge", tmp_path / "m.h5", store)
    assert "by hand: 2 relabelled, 4 removed, 1 added\n" in heuristic("summary", tmp_path / "m.h5").err
