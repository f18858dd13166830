"""Types of arguments: the values that they take, and the one line for the others."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagestore.arguments import (
    AnyOrderParser,
    count_from_0,
    fraction,
    given_path,
    memory,
    number,
    part,
    positive,
    seed,
    whole_number,
)


@pytest.mark.parametrize(
    ("words", "archives", "outputs"),
    [
        ("A B --seed 1 OUT", ["A", "B"], "OUT"),
        ("A --seed 1 B OUT", ["A", "B"], "OUT"),
        ("--seed 1 A OUT", ["A"], "OUT"),
        ("A B C OUT --seed 1", ["A", "B", "C"], "OUT"),
        ("--seed 1 -- -A --seed OUT", ["-A", "--seed"], "OUT"),
        ("--seed 1 A -- -OUT", ["A"], "-OUT"),
    ],
)
def test_options_may_stand_anywhere(words: str, archives: list[str], outputs: str) -> None:
    for is_sub in (False, True):
        parser = argparse.ArgumentParser() if is_sub else AnyOrderParser()
        command = parser
        if is_sub:
            command = parser.add_subparsers(parser_class=AnyOrderParser).add_parser("sort")
        command.add_argument("archives", nargs="+")
        command.add_argument("output")
        command.add_argument("--seed", type=int)
        for _ in range(2):
            parsed = parser.parse_args(["sort"] * is_sub + words.split())
            assert (parsed.archives, parsed.output, parsed.seed) == (archives, outputs, 1)


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (given_path, "a/b.h5", Path("a/b.h5")),
        (positive, "1", 1),
        (count_from_0, "0", 0),
        (count_from_0, "12", 12),
        (positive, str(2**63 - 1), 2**63 - 1),
        (seed, "0", 0),
        (number, "0", 0.0),
        (number, "1e18", 1e18),
        (fraction, "0", 0.0),
        (fraction, "1", 1.0),
        (part, "0.999", 0.999),
        (memory, "0", 0),
        (memory, "3", 3),
        (memory, "500M", 500 * 2**20),
        (memory, "2g", 2 * 2**30),
    ],
)
def test_values_that_are_taken(kind: Callable[[str], object], text: str, value: object) -> None:
    assert kind(text) == value


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (given_path, ""),
        (positive, "0"),
        (count_from_0, "-1"),
        (count_from_0, ""),
        (positive, "-1"),
        (positive, "1.5"),
        (positive, "³"),
        (positive, str(2**63)),
        (positive, "9" * 5000),
        (seed, "-1"),
        (number, "nan"),
        (number, "inf"),
        (number, "-0.1"),
        (number, "1e19"),
        (number, "many"),
        (fraction, "1.01"),
        (fraction, "nan"),
        (part, "1"),
        (memory, ""),
        (memory, "G"),
        (memory, "1.5G"),
        (memory, "1X"),
        (memory, "-1M"),
    ],
)
def test_values_that_are_refused_in_one_line(kind: Callable[[str], object], text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError) as refused:
        kind(text)
    assert len(str(refused.value).splitlines()) == 1


@given(st.integers(-10, 10), st.integers(-10, 10), st.integers(0, 20))
def test_a_whole_number_lies_between_its_bounds(value: int, low: int, width: int) -> None:
    is_taken = value >= 0 and low <= value <= low + width
    try:
        assert whole_number(str(value), low, low + width) == value
        assert is_taken
    except argparse.ArgumentTypeError:
        assert not is_taken
