"""Types and options that the command lines share: what argparse is given, declared once.

Used by the four commands; imports nothing slow. Each type raises
ArgumentTypeError, which argparse turns into one line and exit status 2.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

from imagestore.processes import cpu_count

LARGEST_COUNT = 2**63 - 1  # that NumPy and torch take


LONGEST = 20  # digits: of thousands Python makes no number


LARGEST_NUMBER = 1e18  # the product of two still fits a 32-bit float


SMALLEST_SIDE, LARGEST_SIDE = 2, 4096  # pixels


UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


def given_path(text: str) -> Path:
    """The path of a file or folder; an empty one is a variable that is not set, not the folder one is in."""
    if not text:
        raise argparse.ArgumentTypeError("a path is empty: is a variable unset?")
    return Path(text)


def positive(text: str) -> int:
    """A number of things: a whole number from 1."""
    return _within(text, 1, LARGEST_COUNT)


def side(text: str) -> int:
    """The side of a square picture in pixels; training sees half of it, which must be one at least."""
    return _within(text, SMALLEST_SIDE, LARGEST_SIDE)


def seed(text: str) -> int:
    """What random numbers begin with: a whole number of 63 bits."""
    return _within(text, 0, LARGEST_COUNT)


def _within(text: str, low: int, high: int) -> int:
    short = text.isdecimal() and len(text) <= LONGEST
    if not short or not low <= int(text) <= high:
        raise argparse.ArgumentTypeError(f"{text[:LONGEST]!r} is not a whole number from {low} to {high:,}")
    return int(text)


def number(text: str) -> float:
    """A number that is not negative, nor absurdly large."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= LARGEST_NUMBER:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to 1e18")
    return value


def fraction(text: str) -> float:
    """A share: a number from 0 to 1."""
    try:
        value = number(text)
    except argparse.ArgumentTypeError:
        value = math.inf
    if value > 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to 1")
    return value


def part(text: str) -> float:
    """A share that leaves something over: from 0 to below 1."""
    value = number(text)
    if value >= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to below 1")
    return value


def memory(text: str) -> int:
    """A size in bytes, such as 500M, 2G or 0."""
    digits, unit = (text[:-1], text[-1].upper()) if text[-1:].isalpha() else (text, "")
    if not digits.isdecimal() or unit not in UNITS:
        raise argparse.ArgumentTypeError(f"{text!r} is no size; examples: 500M, 2G, 0")
    return int(digits) * UNITS[unit]


def add_device(parser: argparse.ArgumentParser) -> None:
    """--device and --workers, for the commands that run a network."""
    parser.add_argument("--device", help="cuda, cuda:1, mps or cpu (default: the first there is)")
    parser.add_argument(
        "-j", "--workers", type=positive, default=cpu_count(), metavar="N",
        help="threads or processes to use (default: the CPUs there are, %(default)s)",
    )  # fmt: skip
