"""The parser, and types and options of arguments that several commands share.

argparse gets the types as `type=`. Each type raises ArgumentTypeError, which argparse turns into one line and
exit status 2. Nothing slow is imported here.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path

from imagestore.processes import cpu_count
from imagestore.version import VERSION

LARGEST_COUNT = 2**63 - 1  # NumPy and torch take no larger one
MOST_DIGITS = 20  # Python refuses to read numbers of thousands of digits
LARGEST_NUMBER = 1e18  # the product of two such numbers still fits a 32-bit float
DECODE_MEMORY = "512M"  # enough for the 48 megapixels of a phone in any usual format
ENVIRONMENT = f"""\
IMAGESTORE_DECODE_MEMORY: memory that a worker may take to decode an image (default: {DECODE_MEMORY})
"""
UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


class AnyOrderParser(argparse.ArgumentParser):
    """A parser that takes options between the positional arguments too: `partition A.tar --seed 1 B.tar …`.

    After `--`, no word is an option; then options stand before or behind the positional arguments.
    """

    _is_intermixed = False

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """Parse arguments; argparse calls this for a subcommand too."""
        words = list(sys.argv[1:] if args is None else args)
        if self._is_intermixed or "--" in words:
            return super().parse_known_args(words, namespace)
        self._is_intermixed = True  # argparse's method comes here again
        try:
            return self.parse_known_intermixed_args(words, namespace)
        finally:
            self._is_intermixed = False


def add_version(parser: argparse.ArgumentParser) -> None:
    """Add --version."""
    parser.add_argument("--version", action="version", version=f"imagestore {VERSION}")


def given_path(text: str) -> Path:
    """The path of a file or folder. An empty one comes from a variable that is not set: it is refused."""
    if not text:
        raise argparse.ArgumentTypeError("a path is empty: is a variable unset?")
    return Path(text)


def positive(text: str) -> int:
    """A count: a whole number from 1."""
    return whole_number(text, 1, LARGEST_COUNT)


def count_from_0(text: str) -> int:
    """A count that may be none."""
    return whole_number(text, 0, LARGEST_COUNT)


def seed(text: str) -> int:
    """The seed of random numbers: a whole number of 63 bits."""
    return whole_number(text, 0, LARGEST_COUNT)


def whole_number(text: str, low: int, high: int) -> int:
    """A whole number from `low` to `high`."""
    is_short = text.isdecimal() and len(text) <= MOST_DIGITS
    if not is_short or not low <= int(text) <= high:
        raise argparse.ArgumentTypeError(
            f"{text[:MOST_DIGITS]!r} is not a whole number from {low} to {high:,}"
        )
    return int(text)


def number(text: str) -> float:
    """A number from 0 to LARGEST_NUMBER."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= LARGEST_NUMBER:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to 1e18")
    return value


def fraction(text: str) -> float:
    """A share of a whole: a number from 0 to 1."""
    try:
        value = number(text)
    except argparse.ArgumentTypeError:
        value = math.inf
    if value > 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to 1")
    return value


def part(text: str) -> float:
    """A share that is not all: a number from 0 to below 1."""
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


def positive_size(text: str) -> int:
    """A size of at least one byte, such as 500M or 2G."""
    size = memory(text)
    if not size:
        raise argparse.ArgumentTypeError(f"{text!r} is no size; examples: 500M, 2G")
    return size


def add_follow_external(parser: argparse.ArgumentParser) -> None:
    """Add --follow-external, for the commands that read the images of stores."""
    parser.add_argument(
        "--follow-external", action="store_true",
        help="follow HDF5 links into files that are not in the store's folder, and read datasets whose bytes "
             "are in other files",
    )  # fmt: skip


def add_ignore_zeros(parser: argparse.ArgumentParser) -> None:
    """Add --ignore-zeros, for the commands that read an archive."""
    parser.add_argument(
        "--ignore-zeros",
        action="store_true",
        help="read on behind an archive's end mark, as after: cat a.tar b.tar",
    )


def add_stores(parser: argparse.ArgumentParser) -> None:
    """Add STORE.h5..., for the commands that read stores."""
    parser.add_argument("stores", metavar="STORE.h5", nargs="+", help="stores, or quoted globs")


def add_archive_options(parser: argparse.ArgumentParser) -> None:
    """Add --index and --ignore-zeros, for the commands that read an archive."""
    parser.add_argument(
        "--index",
        metavar="FILE",
        type=given_path,
        help="where the archive's index is kept (default: in the user's cache folder)",
    )
    add_ignore_zeros(parser)


def add_device(parser: argparse.ArgumentParser) -> None:
    """Add --device and --workers, for the commands that run a network."""
    parser.add_argument("--device", help="cuda, cuda:1, mps or cpu (default: the first there is)")
    parser.add_argument(
        "-j", "--workers", type=count_from_0, default=cpu_count(), metavar="N",
        help="threads or processes that decode, whichever are faster (default: the CPUs there are, "
             "%(default)s); with 0, images are decoded in the process itself",
    )  # fmt: skip
