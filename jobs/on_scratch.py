#!/usr/bin/env python3
"""Run a command on copies of its stores, which are on a fast disk of this node.

    jobs/on_scratch.py 'train-*.h5' -- ./train_model.py {} -o results
    jobs/on_scratch.py --clean        remove the copies that no task uses any more

In the command, {} stands for the stores. The first place in $IMAGESTORE_SCRATCH (with ':' between places)
that has room is taken; by default $SLURM_TMPDIR, $TMPDIR, /dev/shm and /tmp/$USER. The tasks of a job on one
node share the copies. Without room, the command gets the stores themselves.
"""

from __future__ import annotations

import argparse
import getpass
import os
import socket
import sys
from pathlib import Path

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.realpath(__file__))))

from imagestore.console import main

PROGRAM = "on_scratch"


def places() -> list[Path]:
    """The folders to try, the fastest first."""
    environment = os.environ
    default = [environment.get("SLURM_TMPDIR", ""), environment.get("TMPDIR", ""), "/dev/shm"]
    named = environment.get("IMAGESTORE_SCRATCH")
    words = default + [f"/tmp/{getpass.getuser()}"] if named is None else named.split(":")
    return [Path(word) for word in dict.fromkeys(words) if os.path.isabs(word)]


def job_and_node() -> str:
    """What the tasks of a job have in common on one node; without Slurm, this process alone."""
    node = os.environ.get("SLURMD_NODENAME") or socket.gethostname()
    return f"{os.environ.get('SLURM_JOB_ID') or f'pid{os.getpid()}'}-{node}"


def run(arguments: argparse.Namespace) -> int:
    """Run the command, or clean; the exit status."""
    from imagestore.store.expand_paths import expand_paths
    from imagestore.tools.run_on_copies import run_on_copies
    from imagestore.tools.scratch_copies import clean

    if arguments.clean:
        clean(places())
        return 0
    return run_on_copies(expand_paths(arguments.stores), places(), job_and_node(), arguments.command)


def build_parser() -> argparse.ArgumentParser:
    """The command line; what stands behind -- is the command."""
    parser = argparse.ArgumentParser(
        prog="on_scratch.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
        usage="on_scratch.py STORE.h5 ... -- COMMAND ... | --clean",
    )  # fmt: skip
    parser.add_argument("stores", nargs="*", metavar="STORE.h5", help="stores, or quoted globs")
    parser.add_argument("--clean", action="store_true", help="remove the copies that no task uses any more")
    return parser


if __name__ == "__main__":
    dashes = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    parser = build_parser()
    parser.set_defaults(command=sys.argv[dashes + 1 :])
    parsed = parser.parse_args(sys.argv[1:dashes])
    if not parsed.clean and not (parsed.stores and parsed.command):
        parser.error("give stores, then -- and a command")
    sys.exit(main(PROGRAM, parser, run, sys.argv[1:dashes]))
