"""Completion by the shell's Tab key, with the package argcomplete, which is optional.

The shell runs the command with a variable set, and reads what could follow. docs/flags.md says how to
switch that on.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

ASKED = "_ARGCOMPLETE"  # argcomplete's shell function sets it


def answer_the_shell(parser: argparse.ArgumentParser) -> None:
    """If the shell asks what could follow, tell it and end this process; else do nothing."""
    if ASKED not in os.environ:
        return
    try:
        import argcomplete
    except ImportError:
        sys.exit(1)
    argcomplete.autocomplete(parser)


def words_so_far() -> list[str]:
    """The words behind the command that the shell asks about, without the one that is begun; else none."""
    if ASKED not in os.environ:
        return []
    import shlex  # here: every command starts with this file

    line = os.environ.get("COMP_LINE", "")[: int(os.environ.get("COMP_POINT", 0))]
    try:
        words = shlex.split(line)
    except ValueError:  # within quotes
        return []
    return words[1:] if line.endswith(" ") else words[1:-1]


def offer_words(action: argparse.Action, words: Sequence[str]) -> None:
    """Let these words complete an argument, beside the paths of files."""

    def complete(prefix: str, **_: object) -> list[str]:
        import glob

        paths = (f"{path}/" if os.path.isdir(path) else path for path in glob.glob(f"{glob.escape(prefix)}*"))
        return [*(word for word in words if word.startswith(prefix)), *paths]

    action.completer = complete  # type: ignore[attr-defined]
