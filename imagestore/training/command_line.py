"""The arguments of train_model.py, in groups, and the settings and options that they give.

A setting that is not given is None: its default is in training_settings.py. Nothing slow is imported here.
"""

from __future__ import annotations

import argparse
from dataclasses import fields
from pathlib import Path
from typing import Any

from imagestore.arguments import (
    LARGEST_COUNT,
    add_device,
    add_follow_external,
    fraction,
    given_path,
    memory,
    number,
    part,
    positive,
    seed,
    whole_number,
)
from imagestore.networks.picture_sides import LARGEST_SIDE, SMALLEST_SIDE
from imagestore.run_summary import add_json_summary
from imagestore.training.training_settings import (
    AUGMENTATIONS,
    BALANCES,
    BOUNDS,
    CHECKPOINT_FILE,
    EPOCHS,
    EPOCHS_UNFROZEN,
    RunOptions,
    TrainingSettings,
)

AUTO = "auto"


def add_training_arguments(parser: argparse.ArgumentParser) -> None:
    """Add all arguments."""
    add = parser.add_argument
    add("stores", nargs="+", metavar="TRAIN.h5", help="image stores or quoted globs, read as one store")
    add("-o", "--output", type=given_path, default=Path(), metavar="DIR",
        help="where to write (default: here)")  # fmt: skip
    add("--resume", type=given_path, metavar="FILE",
        help=f"go on from this checkpoint (DIR/{CHECKPOINT_FILE})")  # fmt: skip
    _add_images(parser.add_argument_group("images"))
    _add_network(parser.add_argument_group("network"))
    _add_training(parser.add_argument_group("training"))
    _add_machine(parser.add_argument_group("machine"))


def requested_settings(arguments: argparse.Namespace) -> dict[str, Any]:
    """The settings that were given on the command line, by the names of TrainingSettings."""
    settings = {field.name: getattr(arguments, field.name) for field in fields(TrainingSettings)}
    return {name: value for name, value in settings.items() if value not in (None, AUTO)}


def run_options(arguments: argparse.Namespace) -> RunOptions:
    """The options of this run, by the names of the arguments."""
    return RunOptions(**{field.name: getattr(arguments, field.name) for field in fields(RunOptions)})


def _add_images(group: argparse._ArgumentGroup) -> None:
    """Add what decides which images are used, and how they are shown to the network."""
    add = group.add_argument
    add("--val", action="append", default=[], metavar="STORE.h5",
        help="validate with the images of this store (more than one: repeat it)")  # fmt: skip
    add("--val-fraction", type=part, metavar="F",
        help="share of the images to validate with "
             f"(default: the images below val/, else {TrainingSettings.val_fraction})")  # fmt: skip
    add_follow_external(group)
    add("--size", type=_side, metavar="PIXELS",
        help="side of the square pictures that the network gets (default: as the network needs)")  # fmt: skip
    add("--augment", choices=(AUTO, *AUGMENTATIONS), default=AUTO,
        help="flip: mirror half of the images; standard: random crops and flips; strong: other colours and "
             "a grey hole, too; auto: standard, but flip where colours are the labels, and none for the "
             "colour network (default)")  # fmt: skip
    add("--balance", choices=BALANCES,
        help="rare labels count as much as frequent ones: by weights of the loss, or by how often their "
             "images come (default: none)")  # fmt: skip


def _add_network(group: argparse._ArgumentGroup) -> None:
    """Add what decides which network is trained, and from which weights."""
    add = group.add_argument
    add("--model", default=AUTO, metavar="NAME",
        help="colour (a histogram of colours), small (a residual network for small pictures), mlp, a "
             "classification model of torchvision such as resnet18, timm/NAME, or auto (default): that "
             "of --weights if it says so, else colour for labels that are colours, else small")  # fmt: skip
    add("--weights", type=_weights, metavar="FILE",
        help="begin with the weights of this file (.pth or .safetensors), or 'default': those that "
             "torchvision or timm keeps on this machine; nothing is downloaded")  # fmt: skip
    add("--mean", type=fraction, nargs=3, metavar=("R", "G", "B"),
        help="mean of the pixels, 0 to 1, of the weights' training (default: as they say)")  # fmt: skip
    add("--std", type=_positive_share, nargs=3, metavar=("R", "G", "B"), help="their standard deviation")
    add("--freeze", action="store_const", const=True,
        help="train the last layer alone, on features that are computed once and kept in DIR")  # fmt: skip
    add("--unfreeze-after", type=_whole, metavar="N",
        help="with --freeze: after N epochs, train all of the network")  # fmt: skip


def _add_training(group: argparse._ArgumentGroup) -> None:
    """Add what decides the steps. Defaults are those of the network."""
    add = group.add_argument
    add("--epochs", type=positive, metavar="N",
        help=f"passes over all images (default: {EPOCHS}; after --unfreeze-after, "
             f"{EPOCHS_UNFROZEN} more)")  # fmt: skip
    add("-b", "--batch-size", type=positive, metavar="N",
        help="images that a process takes at a time (default: 32, small networks 64)")  # fmt: skip
    add("--grad-accum", type=_accumulated, metavar="N",
        help="batches in a step (default: 1)")  # fmt: skip
    add("--lr", type=number, metavar="X", help="highest learning rate (default: as the network needs)")
    add("--wd", "--weight-decay", dest="weight_decay", type=number, metavar="X",
        help="how fast weights that nothing needs go to 0 (default: as the network needs)")  # fmt: skip
    add("--label-smoothing", type=part, metavar="X",
        help="share of each target that is spread over all labels "
             f"(default: {TrainingSettings.label_smoothing} or 0.1)")  # fmt: skip
    add("--logit-adjust", type=_adjustment, metavar="TAU",
        help="rare labels are predicted more often; 1: as if all were equally common (default: 0.45 for "
             "colour, else 0)")  # fmt: skip
    add("--ema", type=part, nargs="?", const=0.999, metavar="DECAY",
        help="validate and write a moving average of the weights (DECAY: %(const)s)")  # fmt: skip
    add("--patience", type=_whole, default=0, metavar="N",
        help="end when N epochs were no better than the best (default: never)")  # fmt: skip
    add("--seed", type=seed, metavar="N",
        help=f"the same seed makes the same training (default: {TrainingSettings.seed})")  # fmt: skip


def _add_machine(group: argparse._ArgumentGroup) -> None:
    """Add what decides how the machine is used, and what is written beside the weights."""
    add = group.add_argument
    add_device(group)
    add("--amp", action="store_const", const=True, help="compute in 16 bits where that is safe")
    add("--compile", action="store_true", help="let torch.compile make the network faster")
    add("--deterministic", action="store_true", help="the same result each time, on GPUs too")
    add("--sync-bn", action="store_true",
        help="several processes on GPUs: normalise over the batches of all")  # fmt: skip
    add("--cache", type=_cache_choice, metavar="WHAT",
        help="where decoded images are kept: ram; disk (a file below $SLURM_TMPDIR or $TMPDIR, found again "
             "by the next run); none (they are decoded in each epoch); auto (the first that has room; "
             "the default); or memory such as 2G (ram if they fit, else none)")  # fmt: skip
    add("--checkpoint-every", type=number, default=0.0, metavar="MINUTES",
        help="write a checkpoint this often, too (default: after each epoch)")  # fmt: skip
    add("--tensorboard", action="store_true", help="write events for TensorBoard into DIR, too")
    add_json_summary(group)


def _whole(text: str) -> int:
    """A count that may be 0."""
    return whole_number(text, 0, LARGEST_COUNT)


def _weights(text: str) -> str:
    """A file of weights, or a word. An empty one would be that of a variable that is not set."""
    if not text:
        raise argparse.ArgumentTypeError("a path is empty: is a variable unset?")
    return text


def _accumulated(text: str) -> int:
    """The batches of a step."""
    return whole_number(text, *BOUNDS["grad_accum"])


def _adjustment(text: str) -> float:
    """How much the shares of the labels are corrected."""
    tau = number(text)
    if tau > BOUNDS["logit_adjust"][1]:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to 10")
    return tau


def _positive_share(text: str) -> float:
    """A number above 0, up to 1."""
    share = fraction(text)
    if share == 0:
        raise argparse.ArgumentTypeError("0 is not above 0")
    return share


def _side(text: str) -> int:
    """The side of a square picture, in pixels."""
    return whole_number(text, SMALLEST_SIDE, LARGEST_SIDE)


def _cache_choice(text: str) -> int | str:
    """Where decoded images are kept: a word, or so many bytes of memory."""
    return text if text in ("auto", "ram", "disk", "none") else memory(text)
