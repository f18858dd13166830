#!/usr/bin/env python3
"""Predict the labels of random images with a network that train_model.py trained.

    ./classify.py test.h5 train_labels.json 20                 from an image store
    ./classify.py 'part-*.h5' train_labels.json all            from several, every image
    ./classify.py 102flowers.tgz train_labels.json 20 --plot sheet.png      from an archive

Prints the name, the predicted label and the confidence of each image. If the true label is known (in a
store it is the image's label), it is printed too, and at the end the accuracy.
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
import itertools
from pathlib import Path
from typing import TYPE_CHECKING

from imagestore.arguments import (
    ENVIRONMENT,
    add_device,
    add_follow_external,
    add_ignore_zeros,
    given_path,
    positive,
    seed,
)
from imagestore.console import UserError, main, progress
from imagestore.files.atomic_write import check_writable
from imagestore.networks.labels_file import load_labels
from imagestore.processes import Stop, share_processors, stopping
from imagestore.training.training_settings import WEIGHTS_FILE

if TYPE_CHECKING:
    from imagestore.classifying.choose_images import Images

PROGRAM = "classify"


def classify(arguments: argparse.Namespace) -> int:
    """Check the files, classify, and return the exit status."""
    from imagestore.classifying.choose_images import open_images  # here: h5py would slow --help down

    with stopping() as stop:
        labels = load_labels(arguments.labels)
        weights = arguments.weights or default_weights(arguments.labels)
        if arguments.plot:
            check_writable(arguments.plot)
        source = (arguments.source, arguments.index, arguments.heuristic, arguments.follow_external)
        with open_images(*source, ignore_zeros=arguments.ignore_zeros) as images:
            return classify_images(images, labels, weights, arguments, stop)


def classify_images(
    images: "Images", labels: list[str], weights: Path, arguments: argparse.Namespace, stop: Stop
) -> int:
    """Print the answers for random images until `stop` is requested, and return the exit status."""
    from imagestore.classifying.accuracy import Accuracy
    from imagestore.classifying.choose_images import choose_images, read_images

    chosen = choose_images(images, arguments.count, arguments.seed)
    if not chosen:
        images.check_whole()
        raise UserError(f"{arguments.source}: holds no image{images.why_empty()}")
    pictures = itertools.takewhile(lambda picture: not stop.requested, read_images(images, chosen))

    share_processors()  # before torch is imported
    from imagestore.classifying.predict import predict_labels  # torch takes seconds to import

    options = {"device": arguments.device, "workers": arguments.workers}
    accuracy = Accuracy(labels)
    with progress(len(chosen), "classifying") as bar:
        for answer in predict_labels(pictures, labels, weights=weights, **options):
            print(answer.line())
            accuracy.add(answer)
            bar.update()
    accuracy.print_line()
    if arguments.plot and accuracy.sheet:
        accuracy.save_sheet(arguments.source, arguments.plot)
    if not accuracy.answers and not stop.requested:
        raise UserError(f"{arguments.source}: none of the {len(chosen)} images could be decoded")
    if not stop.requested:
        images.check_whole()
    return stop.status


def default_weights(labels_file: Path) -> Path:
    """The weights beside the labels file, else those in this folder. Raises UserError if both are missing."""
    for path in (labels_file.parent / WEIGHTS_FILE, Path(WEIGHTS_FILE)):
        if path.exists():
            return path
    raise UserError(f"{labels_file.parent / WEIGHTS_FILE}: no such file; give the weights with --weights")


def count_or_all(text: str) -> int | None:
    """A positive whole number; None for 'all'."""
    return None if text == "all" else positive(text)


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        PROGRAM, description=__doc__, epilog=ENVIRONMENT, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("source", metavar="SOURCE", help="an image store, several as a quoted glob, an archive, or a folder")
    add("labels", metavar="LABELS.json", type=given_path, help="the labels file that train_model.py wrote")
    add("count", metavar="COUNT", type=count_or_all, help="how many images, or 'all'")
    add("--weights", type=given_path, metavar="FILE",
        help=f"(default: {WEIGHTS_FILE} beside LABELS.json, else here)")  # fmt: skip
    add("--seed", type=seed, metavar="N",
        help="the same seed chooses the same images (default: other images each time)")  # fmt: skip
    add("--plot", type=given_path, metavar="FILE.png",
        help="write a contact sheet of the images and their labels")  # fmt: skip
    add("--heuristic", action="store_true",
        help="use the colour heuristic's label as the true label of an archive's images")  # fmt: skip
    add("--index", type=given_path, metavar="FILE",
        help="the archive's index (default: in your cache folder)")  # fmt: skip
    add_ignore_zeros(parser)
    add_follow_external(parser)
    add_device(parser)
    return parser


if __name__ == "__main__":
    sys.exit(main(PROGRAM, build_parser(), classify))
