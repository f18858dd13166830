"""CopyReport: the lines on standard error, and the exit status."""

from __future__ import annotations

import pytest

from imagestore.tools.copy_report import FILES, LINKS, MOST_NAMED_FAILURES, OUTSIDE_LINKS, CopyReport


def test_an_empty_report_says_nothing_was_copied(capsys: pytest.CaptureFixture[str]):
    assert CopyReport().summarise("packed", "x.h5") == 0
    assert capsys.readouterr().err == "h5vfs: packed nothing into x.h5\n"


def test_counts_are_singular_or_plural(capsys: pytest.CaptureFixture[str]):
    report = CopyReport()
    report.done[FILES] += 1234
    report.done[LINKS] += 1
    report.skipped[OUTSIDE_LINKS] += 1
    assert report.summarise("unpacked", "out") == 0
    assert capsys.readouterr().err.splitlines() == [
        "h5vfs: unpacked 1,234 files, 1 link into out",
        "h5vfs: passed over 1 link out of the folder",
    ]


def test_only_the_first_failures_are_named(capsys: pytest.CaptureFixture[str]):
    report = CopyReport()
    for i in range(MOST_NAMED_FAILURES + 5):
        report.add_failure(b"folder/new\nline%d" % i, "reason")
    assert report.summarise("packed", "x.h5") == 1
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "h5vfs: folder/new\\nline0: reason"
    assert len(lines) == MOST_NAMED_FAILURES + 2
    assert lines[-1] == "h5vfs: error: 25 entries could not be packed; all others are packed"
