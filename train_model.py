#!/usr/bin/env python3
"""Train a network to predict the labels of images in HDF5 image stores.

    ./train_model.py train.h5                              writes train_labels.json, model_weights.pth here
    ./train_model.py 'part-*.h5' -o results --epochs 40    several stores as one
    ./train_model.py train.h5 --model resnet18 --weights resnet18.pth --freeze      any network, from weights
    ./train_model.py train.h5 -o results --resume results/checkpoint.pth      goes on where it stopped
    torchrun --nproc-per-node 2 train_model.py train.h5      two processes (also srun); -b is that of one

Interrupt it at any time, with Ctrl-C, SIGTERM, or the early warning of a batch system (SIGUSR1, SIGUSR2,
SIGXCPU or SIGHUP): it writes a checkpoint. A training that was interrupted and resumed takes the same steps
as a training that was not.
"""

import os
import sys

if __name__ == "__main__":
    sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))  # `python -I` leaves it out

    from imagestore.environment import check_python

    check_python()  # before the other imports, which an old Python cannot read

    from imagestore.processes import let_interrupts_end_python

    let_interrupts_end_python()  # before the other imports, which take a moment

import argparse
import tempfile
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from imagestore import console
from imagestore.arguments import ENVIRONMENT, AnyOrderParser, add_version
from imagestore.console import UserError, note
from imagestore.processes import Stop, share_processors, stopping
from imagestore.run_summary import summarised
from imagestore.training.command_line import add_training_arguments, requested_settings, run_options
from imagestore.training.resume_command import resume_command
from imagestore.training.training_settings import check_flags_of_new_training

if TYPE_CHECKING:
    from imagestore.store.reader import ImageStore

PROGRAM = "train_model"
EPILOG = f"""\
examples:
  ./train_model.py train.h5                                     the network that suits the labels
  ./train_model.py 'part-*.h5' --val test.h5 -o results         several stores as one
  ./train_model.py train.h5 --model resnet18 --weights default  from weights that are on this machine
  ./train_model.py train.h5 --resume checkpoint.pth             go on after a stop
  torchrun --nproc-per-node 2 train_model.py train.h5           two processes

{ENVIRONMENT}"""


def train(arguments: argparse.Namespace) -> int:
    """Check the files, train, and return the exit status."""
    from imagestore.sources.no_store import check_are_stores
    from imagestore.store.open_stores import open_stores  # here: h5py and torch would slow --help down

    with stopping() as stop:
        check_are_stores(arguments.stores)
        check_are_stores(arguments.val, "val.h5 rest.h5 1")
        stores = open_stores(arguments.stores, arguments.follow_external)
        check_output_folder(arguments.output)
        if arguments.resume and not arguments.resume.is_file():
            raise UserError(
                f"{arguments.resume}: no such checkpoint; to start a new training, leave --resume out"
            )
        if not arguments.resume:
            check_flags_of_new_training(requested_settings(arguments), run_options(arguments))
        return train_until_stopped(stores, arguments, stop)


def train_until_stopped(stores: "list[ImageStore]", arguments: argparse.Namespace, stop: Stop) -> int:
    """Train until the last epoch or until `stop` is requested, and return the exit status."""
    share_processors()  # before torch is imported
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # its warnings are told in our words
    if arguments.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # what torch asks for
    from imagestore.training.folder_lock import locked
    from imagestore.training.process_group import in_group
    from imagestore.training.training_loop import train_network  # torch takes seconds to import

    with in_group(arguments.device) as group, locked(arguments.output) if group.is_first else nullcontext():
        arguments.summary.is_silent = not group.is_first
        result = train_network(stores, requested_settings(arguments), run_options(arguments), stop, group)
        arguments.summary.images, arguments.summary.outputs = result.images, list(result.outputs)
        if not result.has_written:
            note(f"{PROGRAM}: stopped before the first step; nothing was written")
            return stop.status
        if not result.is_complete:
            note(
                f"{PROGRAM}: stopped after {result.step:,} of {result.total_steps:,} steps; "
                f"go on with\n  {resume_command(arguments)}"
            )
            return stop.status
        return 0


def check_output_folder(folder: Path) -> None:
    """Make the folder if it is missing. Raises UserError if no file can be written into it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UserError(
            f"-o {folder}: cannot be written to ({error.strerror}); name another folder"
        ) from None


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = AnyOrderParser(
        PROGRAM, description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_version(parser)
    add_training_arguments(parser)
    return parser


def main() -> int:
    """Run the command; returns the exit status."""
    status = console.main(PROGRAM, build_parser(), summarised(PROGRAM, train))
    if "imagestore.training.process_group" in sys.modules:  # torch is imported
        from imagestore.training.process_group import end_one_of_several

        end_one_of_several(status)
    return status


if __name__ == "__main__":
    sys.exit(main())
