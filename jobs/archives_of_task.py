#!/usr/bin/env python3
"""Print task K's share of archives, one a line: every N-th of all that the paths, globs and ranges mean.

jobs/archives_of_task.py 2 8 'shards/*.tar'
"""

from __future__ import annotations

import argparse
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.realpath(__file__))))

from imagestore.arguments import positive
from imagestore.console import UserError, main


def run(arguments: argparse.Namespace) -> int:
    """Print the share."""
    from imagestore.sources.archive_paths import expand_archives

    paths = expand_archives(arguments.archives)
    if len(paths) < arguments.tasks:
        raise UserError(f"{arguments.tasks} tasks cannot share {len(paths)} archives: give fewer --tasks")
    for path in paths[arguments.task - 1 :: arguments.tasks]:
        print(path)
    return 0


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("task", metavar="K", type=positive, help="the number of the task, from 1")
    parser.add_argument("tasks", metavar="N", type=positive, help="how many tasks there are")
    parser.add_argument("archives", metavar="ARCHIVE", nargs="+", help="paths, quoted globs, ranges")
    return parser


if __name__ == "__main__":
    sys.exit(main("archives_of_task", build_parser(), run))
