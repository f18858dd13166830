"""The printed table of figures."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from common.reporting import HEADINGS, Figure, machine, markdown, print_table


def test_a_figure_stands_beside_its_yardstick():
    figure = Figure("reading", 1.5, yardstick="folder", reference=0.5, target="<= 4 x", runs=3)
    assert figure.row() == ["reading", "1.5 s", "folder", "0.5 s", "3.00 x", "<= 4 x", "3"]


def test_a_figure_without_a_yardstick_has_no_ratio():
    assert Figure("memory", 12345.6, "MB").row() == ["memory", "12,346 MB", "", "", "", "", "1"]
    assert Figure("rate", 0.01234, "images/s").row()[1] == "0.0123 images/s"


def test_a_yardstick_of_zero_has_no_ratio():
    assert Figure("reading", 1, yardstick="folder", reference=0).row()[3:5] == ["0 s", ""]


def test_columns_are_as_wide_as_their_widest_cell():
    assert markdown([["a", "bb"], ["ccc", "d"]]).splitlines() == [
        "| a   | bb |",
        "|-----|----|",
        "| ccc | d  |",
    ]


def test_the_table_names_the_machine(capsys: pytest.CaptureFixture[str]):
    print_table("Title", [Figure("reading", 1)])
    _, title, _, hardware, _, headings, _, row = capsys.readouterr().out.splitlines()
    assert title == "### Title"
    assert hardware == machine()
    assert "Python" in hardware
    assert "numpy" in hardware
    assert headings.split(" | ")[0].strip("| ") == HEADINGS[0]
    assert row.startswith("| reading | 1 s")


def test_rows_are_collected_for_the_table_of_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("BENCH_RESULTS", str(tmp_path / "results"))
    print_table("One", [Figure("a", 1), Figure("b", 2)])
    print_table("Two", [Figure("c", 3)])
    rows = [json.loads(line) for line in (tmp_path / "results").read_text().splitlines()]
    assert [row[:3] for row in rows] == [["One", "a", "1 s"], ["One", "b", "2 s"], ["Two", "c", "3 s"]]
