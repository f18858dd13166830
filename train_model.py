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
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imagestore import console
from imagestore.arguments import (
    ENVIRONMENT,
    LARGEST_COUNT,
    AnyOrderParser,
    add_device,
    add_follow_external,
    add_version,
    fraction,
    given_path,
    memory,
    number,
    part,
    positive,
    seed,
    whole_number,
)
from imagestore.console import UserError, note
from imagestore.networks.picture_sides import LARGEST_SIDE, SMALLEST_SIDE
from imagestore.printed_commands import command_line, path_argument, script
from imagestore.processes import Stop, cpu_count, share_processors, stopping
from imagestore.run_summary import add_json_summary, summarised
from imagestore.training.training_settings import (
    AUGMENTATIONS,
    BALANCES,
    BOUNDS,
    CHECKPOINT_FILE,
    EPOCHS,
    EPOCHS_UNFROZEN,
    RunOptions,
    TrainingSettings,
    check_flags_of_new_training,
)

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
AUTO = "auto"


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


def requested_settings(arguments: argparse.Namespace) -> dict[str, Any]:
    """The settings that were given on the command line, by the names of TrainingSettings."""
    settings = {field.name: getattr(arguments, field.name) for field in fields(TrainingSettings)}
    return {name: value for name, value in settings.items() if value not in (None, AUTO)}


def run_options(arguments: argparse.Namespace) -> RunOptions:
    """The options of this run, by the names of the arguments."""
    return RunOptions(**{field.name: getattr(arguments, field.name) for field in fields(RunOptions)})


def resume_command(arguments: argparse.Namespace) -> str:
    """The command that resumes this training. The checkpoint knows the settings, but not the options."""
    output, checkpoint = map(path_argument, (arguments.output, arguments.output / CHECKPOINT_FILE))
    options = ["-o", output, "--resume", checkpoint]
    if arguments.epochs is not None:
        options[2:2] = ["--epochs", arguments.epochs]
    for path in arguments.val:
        options += ["--val", path_argument(path)]
    if arguments.cache is not None:
        options += ["--cache", arguments.cache]
    if arguments.device is not None:
        options += ["--device", arguments.device]
    if arguments.patience:
        options += ["--patience", arguments.patience]
    if arguments.checkpoint_every:
        options += ["--checkpoint-every", arguments.checkpoint_every]
    for name in ("follow_external", "compile", "deterministic", "tensorboard", "sync_bn"):
        if getattr(arguments, name):
            options.append(as_flag(name))
    if arguments.workers != cpu_count():
        options += ["-j", arguments.workers]
    return command_line(*script("train_model.py"), *map(path_argument, arguments.stores), *map(str, options))


def as_flag(name: str) -> str:
    """The flag whose value has this name."""
    return "--" + name.replace("_", "-")


def whole(text: str) -> int:
    """A count that may be 0."""
    return whole_number(text, 0, LARGEST_COUNT)


def accumulated(text: str) -> int:
    """The batches of a step."""
    return whole_number(text, *BOUNDS["grad_accum"])


def adjustment(text: str) -> float:
    """How much the shares of the labels are corrected."""
    tau = number(text)
    if tau > BOUNDS["logit_adjust"][1]:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to 10")
    return tau


def positive_share(text: str) -> float:
    """A number above 0, up to 1."""
    share = fraction(text)
    if share == 0:
        raise argparse.ArgumentTypeError("0 is not above 0")
    return share


def side(text: str) -> int:
    """The side of a square picture, in pixels."""
    return whole_number(text, SMALLEST_SIDE, LARGEST_SIDE)


def cache_choice(text: str) -> "int | str":
    """Where decoded images are kept: a word, or so many bytes of memory."""
    return text if text in ("auto", "ram", "disk", "none") else memory(text)


def build_parser() -> argparse.ArgumentParser:
    """The command line. Settings that are not given are None: their defaults are in training_settings.py."""
    parser = AnyOrderParser(
        PROGRAM, description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_version(parser)
    add = parser.add_argument
    add("stores", nargs="+", metavar="TRAIN.h5", help="image stores or quoted globs, read as one store")
    add("-o", "--output", type=given_path, default=Path(), metavar="DIR",
        help="where to write (default: here)")  # fmt: skip
    add("--resume", type=given_path, metavar="FILE",
        help=f"go on from this checkpoint (DIR/{CHECKPOINT_FILE})")  # fmt: skip
    add_images(parser.add_argument_group("images"))
    add_network(parser.add_argument_group("network"))
    add_training(parser.add_argument_group("training"))
    add_machine(parser.add_argument_group("machine"))
    return parser


def add_images(group: argparse._ArgumentGroup) -> None:
    """Add what decides which images are used, and how they are shown to the network."""
    add = group.add_argument
    add("--val", action="append", default=[], metavar="STORE.h5",
        help="validate with the images of this store (more than one: repeat it)")  # fmt: skip
    add("--val-fraction", type=part, metavar="F",
        help="share of the images to validate with "
             f"(default: the images below val/, else {TrainingSettings.val_fraction})")  # fmt: skip
    add_follow_external(group)
    add("--size", type=side, metavar="PIXELS",
        help="side of the square pictures that the network gets (default: as the network needs)")  # fmt: skip
    add("--augment", choices=(AUTO, *AUGMENTATIONS), default=AUTO,
        help="flip: mirror half of the images; standard: random crops and flips; strong: other colours and "
             "a grey hole, too; auto: standard, but flip where colours are the labels, and none for the "
             "colour network (default)")  # fmt: skip
    add("--balance", choices=BALANCES,
        help="rare labels count as much as frequent ones: by weights of the loss, or by how often their "
             "images come (default: none)")  # fmt: skip


def add_network(group: argparse._ArgumentGroup) -> None:
    """Add what decides which network is trained, and from which weights."""
    add = group.add_argument
    add("--model", default=AUTO, metavar="NAME",
        help="colour (a histogram of colours), small (a residual network for small pictures), mlp, a "
             "classification model of torchvision such as resnet18, timm/NAME, or auto: colour where the "
             "labels are colours, else small (default)")  # fmt: skip
    add("--weights", metavar="FILE",
        help="begin with the weights of this file (.pth or .safetensors), or 'default': those that "
             "torchvision or timm keeps on this machine; nothing is downloaded")  # fmt: skip
    add("--mean", type=fraction, nargs=3, metavar=("R", "G", "B"),
        help="mean of the pixels, 0 to 1, of the weights' training (default: as they say)")  # fmt: skip
    add("--std", type=positive_share, nargs=3, metavar=("R", "G", "B"), help="their standard deviation")
    add("--freeze", action="store_const", const=True,
        help="train the last layer alone, on features that are computed once and kept in DIR")  # fmt: skip
    add("--unfreeze-after", type=whole, metavar="N",
        help="with --freeze: after N epochs, train all of the network")  # fmt: skip


def add_training(group: argparse._ArgumentGroup) -> None:
    """Add what decides the steps. Defaults are those of the network."""
    add = group.add_argument
    add("--epochs", type=positive,
        help=f"passes over all images (default: {EPOCHS}; after --unfreeze-after, "
             f"{EPOCHS_UNFROZEN} more)")  # fmt: skip
    add("-b", "--batch-size", type=positive, metavar="N",
        help="images that a process takes at a time (default: 32, small networks 64)")  # fmt: skip
    add("--grad-accum", type=accumulated, metavar="N",
        help="batches in a step (default: 1)")  # fmt: skip
    add("--lr", type=number, help="highest learning rate (default: as the network needs)")
    add("--wd", "--weight-decay", dest="weight_decay", type=number, help="(default: as the network needs)")
    add("--label-smoothing", type=part, metavar="E",
        help=f"(default: {TrainingSettings.label_smoothing} or 0.1)")  # fmt: skip
    add("--logit-adjust", type=adjustment, metavar="TAU",
        help="rare labels are predicted more often; 1: as if all were equally common (default: 0.45 for "
             "colour, else 0)")  # fmt: skip
    add("--ema", type=part, nargs="?", const=0.999, metavar="DECAY",
        help="validate and write a moving average of the weights (DECAY: %(const)s)")  # fmt: skip
    add("--patience", type=whole, default=0, metavar="N",
        help="end when N epochs were no better than the best (default: never)")  # fmt: skip
    add("--seed", type=seed, metavar="N",
        help=f"the same seed makes the same training (default: {TrainingSettings.seed})")  # fmt: skip


def add_machine(group: argparse._ArgumentGroup) -> None:
    """Add what decides how the machine is used, and what is written beside the weights."""
    add = group.add_argument
    add_device(group)
    add("--amp", action="store_const", const=True, help="compute in 16 bits where that is safe")
    add("--compile", action="store_true", help="let torch.compile make the network faster")
    add("--deterministic", action="store_true", help="the same result each time, on GPUs too")
    add("--sync-bn", action="store_true",
        help="several processes on GPUs: normalise over the batches of all")  # fmt: skip
    add("--cache", type=cache_choice, metavar="WHAT",
        help="where decoded images are kept: ram; disk (a file below $SLURM_TMPDIR or $TMPDIR, found again "
             "by the next run); none (they are decoded in each epoch); auto (the first that has room; "
             "the default); or memory such as 2G (ram if they fit, else none)")  # fmt: skip
    add("--checkpoint-every", type=number, default=0.0, metavar="MINUTES",
        help="write a checkpoint this often, too (default: after each epoch)")  # fmt: skip
    add("--tensorboard", action="store_true", help="write events for TensorBoard into DIR, too")
    add_json_summary(group)


def main() -> int:
    """Run the command; returns the exit status."""
    status = console.main(PROGRAM, build_parser(), summarised(PROGRAM, train))
    if "imagestore.training.process_group" in sys.modules:  # torch is imported
        from imagestore.training.process_group import end_one_of_several

        end_one_of_several(status)
    return status


if __name__ == "__main__":
    sys.exit(main())
