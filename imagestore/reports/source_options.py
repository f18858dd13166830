"""The options of `identify` and `show` that tell how their SOURCE is opened."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

from imagestore.arguments import add_archive_options, add_follow_external


@dataclass(frozen=True, kw_only=True)
class SourceOptions:
    """How an archive or a store is opened."""

    index: Path | None = None  # where an archive's index is kept; by default, in the user's cache folder
    ignore_zeros: bool = False  # read on behind an archive's end mark
    follow_external: bool = False  # see ImageStore


def add_source_options(command: argparse.ArgumentParser) -> None:
    """Add --index, --ignore-zeros and --follow-external."""
    add_archive_options(command)
    add_follow_external(command)


def source_options(arguments: argparse.Namespace) -> SourceOptions:
    """What the user gave for the options that `add_source_options` added."""
    return SourceOptions(
        index=arguments.index,
        ignore_zeros=arguments.ignore_zeros,
        follow_external=arguments.follow_external,
    )
