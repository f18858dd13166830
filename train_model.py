#!/usr/bin/env python3
"""Train a network to predict the labels of images in HDF5 image stores.

    ./train_model.py train.h5                              writes train_labels.json, model_weights.pth here
    ./train_model.py 'part-*.h5' -o results --epochs 40    several stores as one
    ./train_model.py train.h5 -o results --resume results/checkpoint.pth      goes on where it stopped

Interrupt it at any time, with Ctrl-C, SIGTERM, or the early warning of a batch system (SIGUSR1, SIGUSR2,
SIGXCPU or SIGHUP): it writes the weights and a checkpoint. A training that was interrupted and resumed takes
the same steps as a training that was not.
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
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from imagestore.arguments import (
    ENVIRONMENT,
    add_device,
    add_follow_external,
    given_path,
    memory,
    number,
    part,
    positive,
    seed,
    whole_number,
)
from imagestore.console import UserError, main, note
from imagestore.networks.picture_sides import LARGEST_SIDE, SMALLEST_SIDE
from imagestore.printed_commands import command_line, path_argument, script
from imagestore.processes import Stop, cpu_count, share_processors, stopping
from imagestore.training.training_settings import (
    CHECKPOINT_FILE,
    RunOptions,
    TrainingSettings,
)

if TYPE_CHECKING:
    from imagestore.store.reader import ImageStore

PROGRAM = "train_model"
STORE_SUFFIXES = (".h5", ".hdf5", ".hdf")  # whatever the file holds, it was meant to be a store


def train(arguments: argparse.Namespace) -> int:
    """Check the files, train, and return the exit status."""
    from imagestore.store.open_stores import open_stores  # here: h5py and torch would slow --help down

    with stopping() as stop:
        check_are_stores(arguments.stores)
        stores = open_stores(arguments.stores, arguments.follow_external)
        check_output_folder(arguments.output)
        if arguments.resume and not arguments.resume.is_file():
            raise UserError(
                f"{arguments.resume}: no such checkpoint; to start a new training, leave --resume out"
            )
        return train_until_stopped(stores, arguments, stop)


def train_until_stopped(stores: "list[ImageStore]", arguments: argparse.Namespace, stop: Stop) -> int:
    """Train until the last epoch or until `stop` is requested, and return the exit status."""
    share_processors()  # before torch is imported
    from imagestore.training.training_loop import train_network  # torch takes seconds to import

    result = train_network(stores, requested_settings(arguments), run_options(arguments), stop)
    if not result.has_written:
        note(f"{PROGRAM}: stopped before the first step; nothing was written")
        return stop.status
    if result.step < result.total_steps:
        note(
            f"{PROGRAM}: stopped after {result.step:,} of {result.total_steps:,} steps; "
            f"go on with\n  {resume_command(arguments)}"
        )
        return stop.status
    return 0


def check_are_stores(patterns: list[str]) -> None:
    """Raise UserError, with the command that makes stores, if something is an archive or a folder."""
    from imagestore.archive.open_archive import open_archive, tells_labels
    from imagestore.store.expand_paths import expand_paths

    for path in expand_paths(patterns):
        if is_archive(path):
            with open_archive(path):  # raises UserError if it is a file of another kind
                labels = ["--labels", "source"] if tells_labels(path) else []
            command = [*script("colourHeuristic.py"), "partition", *map(path_argument, patterns)]
            line = command_line(*command, "train.h5", "test.h5", "0.8", *labels)
            raise UserError(f"{path} is no store; this makes stores of the images in it: {line}")


def is_archive(path: Path) -> bool:
    """Whether a path is that of a folder, or of a file that is no store. Raises UserError."""
    from imagestore.archive.hdf5_archive import is_archive_of_arrays
    from imagestore.archive.open_archive import split_inner_path
    from imagestore.hdf5.superblock import is_hdf5

    _, inner = split_inner_path(path)
    if inner or path.is_dir():
        return True
    if is_hdf5(path):
        return is_archive_of_arrays(path)
    return path.is_file() and path.suffix not in STORE_SUFFIXES


def check_output_folder(folder: Path) -> None:
    """Make the folder if it is missing. Raises UserError if no file can be written into it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UserError(f"-o {folder}: cannot be written to ({error.strerror})") from None


def requested_settings(arguments: argparse.Namespace) -> dict[str, int | float]:
    """The settings that were given on the command line, by the names of TrainingSettings."""
    settings = {field.name: getattr(arguments, field.name) for field in fields(TrainingSettings)}
    return {name: value for name, value in settings.items() if value is not None}


def run_options(arguments: argparse.Namespace) -> RunOptions:
    """The options of this run, by the names of the arguments."""
    return RunOptions(**{field.name: getattr(arguments, field.name) for field in fields(RunOptions)})


def resume_command(arguments: argparse.Namespace) -> str:
    """The command that resumes this training. The checkpoint knows the settings, but not the options."""
    output, checkpoint = map(path_argument, (arguments.output, arguments.output / CHECKPOINT_FILE))
    options = ["-o", output, "--epochs", arguments.epochs, "--resume", checkpoint]
    if arguments.cache is not None:
        options += ["--cache", arguments.cache]
    if arguments.device is not None:
        options += ["--device", arguments.device]
    if arguments.follow_external:
        options.append("--follow-external")
    if arguments.workers != cpu_count():
        options += ["-j", arguments.workers]
    return command_line(*script("train_model.py"), *map(path_argument, arguments.stores), *map(str, options))


def side(text: str) -> int:
    """The side of a square picture, in pixels."""
    return whole_number(text, SMALLEST_SIDE, LARGEST_SIDE)


def cache_choice(text: str) -> "int | str":
    """Where decoded images are kept: a word, or so many bytes of memory."""
    return text if text in ("auto", "ram", "disk", "none") else memory(text)


def build_parser() -> argparse.ArgumentParser:
    """The command line. Settings that are not given are None: their defaults are in TrainingSettings."""
    parser = argparse.ArgumentParser(
        PROGRAM, description=__doc__, epilog=ENVIRONMENT, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    defaults = TrainingSettings()
    add = parser.add_argument
    add("stores", nargs="+", metavar="TRAIN.h5", help="image stores or quoted globs, read as one store")
    add("-o", "--output", type=given_path, default=Path(), metavar="DIR",
        help="where to write (default: here)")  # fmt: skip
    add("--resume", type=given_path, metavar="FILE",
        help=f"go on from this checkpoint (DIR/{CHECKPOINT_FILE})")  # fmt: skip
    add("--epochs", type=positive, default=40, help="passes over all images (default: %(default)s)")
    add("-b", "--batch-size", type=positive, metavar="N",
        help=f"images in a step (default: {defaults.batch_size})")  # fmt: skip
    add("--lr", type=number, help=f"highest learning rate (default: {defaults.lr})")
    add("--wd", "--weight-decay", dest="weight_decay", type=number,
        help=f"(default: {defaults.weight_decay})")  # fmt: skip
    add("--label-smoothing", type=part, metavar="E", help=f"(default: {defaults.label_smoothing})")
    add("--val-fraction", type=part, metavar="F",
        help="share of the images to validate with "
             f"(default: the images below val/, else {defaults.val_fraction})")  # fmt: skip
    add_follow_external(parser)
    add("--size", type=side, metavar="PIXELS",
        help=f"side of the square pictures that the network gets (default: {defaults.size})")  # fmt: skip
    add("--seed", type=seed, metavar="N",
        help=f"the same seed makes the same training (default: {defaults.seed})")  # fmt: skip
    add_device(parser)
    add("--cache", type=cache_choice, metavar="WHAT",
        help="where decoded images are kept: ram; disk (a file below $SLURM_TMPDIR or $TMPDIR, found again "
             "by the next run); none (they are decoded in each epoch); auto (the first that has room; "
             "the default); or memory such as 2G (ram if they fit, else none)")  # fmt: skip
    return parser


if __name__ == "__main__":
    sys.exit(main(PROGRAM, build_parser(), train))
