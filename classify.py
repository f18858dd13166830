#!/usr/bin/env python3
"""Predict the labels of random images with a network that train_model.py trained.

    ./classify.py test.h5 train_labels.json 20                 from an image store
    ./classify.py 'part-*.h5' train_labels.json all            from several, every image
    ./classify.py 102flowers.tgz train_labels.json 20 --plot sheet.png      from an archive
    ./classify.py test.h5 train_labels.json all --errors-only --report      what is wrong, and which labels

Prints the name, the predicted label and the confidence of each image. If the true label is known (in a
store it is the image's label), it is printed too, and at the end the accuracy. Labels are compared by name.
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
import contextlib
import itertools
from pathlib import Path
from typing import TYPE_CHECKING

from imagestore import console
from imagestore.arguments import (
    ENVIRONMENT,
    add_archive_options,
    add_device,
    add_follow_external,
    add_version,
    given_path,
    positive,
    seed,
)
from imagestore.console import UserError, counted, note, printable
from imagestore.files.atomic_write import check_writable
from imagestore.networks.labels_file import load_labels
from imagestore.processes import Stop, share_processors, stopping
from imagestore.progress import progress
from imagestore.run_summary import add_json_summary, summarised
from imagestore.training.training_settings import WEIGHTS_FILE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from imagestore.classifying.accuracy import Accuracy
    from imagestore.classifying.answer import Answer
    from imagestore.classifying.answers_sheet import AnswersSheet
    from imagestore.classifying.choose_images import Images

PROGRAM = "classify"
EPILOG = f"""\
examples:
  ./classify.py test.h5 train_labels.json 100 --plot sheet.png         some images, and a picture of them
  ./classify.py photos.tgz train_labels.json all --csv answers.csv     a whole archive, into a table
  ./classify.py test.h5 train_labels.json all --errors-only --report   what is wrong, and each label's share

{ENVIRONMENT}"""


def classify(arguments: argparse.Namespace) -> int:
    """Check the files, classify, and return the exit status."""
    from imagestore.classifying.choose_images import open_images  # here: h5py would slow --help down

    with stopping() as stop:
        labels = load_labels(arguments.labels)
        weights = arguments.weights or default_weights(arguments.labels)
        check_outputs(arguments)
        source = (arguments.source, arguments.index, arguments.heuristic, arguments.follow_external)
        with open_images(*source, ignore_zeros=arguments.ignore_zeros) as images:
            return classify_images(images, labels, weights, arguments, stop)


def classify_images(
    images: "Images", labels: list[str], weights: Path, arguments: argparse.Namespace, stop: Stop
) -> int:
    """Tell the answers for random images until `stop` is requested, and return the exit status."""
    from imagestore.classifying.accuracy import Accuracy
    from imagestore.classifying.answer import columns
    from imagestore.classifying.answers_sheet import AnswersSheet
    from imagestore.classifying.choose_images import choose_images, read_images
    from imagestore.classifying.result_files import result_files
    from imagestore.classifying.true_labels import with_class_names

    chosen = choose_images(images, arguments.count, arguments.seed)
    if not chosen:
        images.check_whole()
        raise UserError(f"{arguments.source}: holds no image{images.why_empty()}")
    pictures = read_images(images, chosen)
    if arguments.class_names:
        pictures = with_class_names(pictures, images.true_labels(), arguments.class_names)
    pictures = itertools.takewhile(lambda picture: not stop.requested, pictures)

    share_processors()  # before torch is imported
    from imagestore.classifying.predict import predict_labels  # torch takes seconds to import

    accuracy, sheet = Accuracy(labels), AnswersSheet()
    top = min(arguments.top_k, len(labels))
    titles = columns(top, images.are_of_several)
    results = result_files(table_path(arguments), arguments.features, titles, stop)
    with results as files, progress(len(chosen), "classifying") as bar:
        answers = predict_labels(
            pictures, labels, weights=weights, device=arguments.device, workers=arguments.workers, top=top,
            take_features=files.features and files.features.add,
        )  # fmt: skip
        for answer in until_stopped(answers, stop):
            accuracy.add(answer)
            if files.table:
                files.table.add(answer)
            if answer.is_wrong or not arguments.errors_only:
                print(answer.json() if arguments.json else answer.line())
                if arguments.plot:
                    sheet.add(answer)
            bar.update()
        if not accuracy.answers and not stop.requested:
            chosen_images = counted(len(chosen), "image")
            raise UserError(f"{arguments.source}: none of the {chosen_images} could be decoded")
    tell_results(accuracy, sheet, [] if stop.requested else files.paths, arguments)
    arguments.summary.images = accuracy.answers
    if not stop.requested:
        images.check_whole()
    return stop.status


def until_stopped(answers: "Iterator[Answer]", stop: Stop) -> "Iterator[Answer]":
    """The answers until `stop` is requested. Then nothing more is decoded."""
    with contextlib.closing(answers):
        for answer in answers:
            if stop.requested:
                return
            yield answer


def tell_results(
    accuracy: "Accuracy", sheet: "AnswersSheet", written: list[Path], arguments: argparse.Namespace
) -> None:
    """Print what is known of all answers, and draw the sheet.

    With --json, standard output has the answers only.
    """
    tell = note if arguments.json else print
    for line in accuracy.lines():
        tell(line)
    untrained = accuracy.untrained_line()
    if untrained:
        note(f"{PROGRAM}: {untrained}")
    if accuracy.with_true_label:
        for line in accuracy.report() if arguments.report else ():
            tell(line)
    elif accuracy.answers and (arguments.report or arguments.errors_only):
        flag = "--errors-only" if arguments.errors_only else "--report"
        note(f"{PROGRAM}: {flag} shows nothing, because no true label is known")
    if sheet.counts:
        written = [*written, sheet.save(arguments.source, arguments.plot)]
    elif arguments.plot:
        note(f"{PROGRAM}: nothing to draw: {printable(str(arguments.plot))} is not written")
    for path in written:
        tell(f"wrote {printable(str(path))}")
    arguments.summary.outputs = written


def check_outputs(arguments: argparse.Namespace) -> None:
    """Raise UserError if a file cannot be written, has no format, or if two have one name."""
    paths = [path for path in (arguments.features, table_path(arguments), arguments.plot) if path]
    for path in paths:
        check_writable(path)
        if paths.count(path) > 1:
            raise UserError(f"{path}: is named for two files; name another")
    if arguments.plot:
        from imagestore.drawing.show_or_save import format_suffix

        format_suffix(arguments.plot)


def table_path(arguments: argparse.Namespace) -> Path | None:
    """Where the table of answers goes. Features need one: it has the names of their rows."""
    if arguments.csv or not arguments.features:
        return arguments.csv
    return arguments.features.with_name(f"{arguments.features.name}.csv")


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
        PROGRAM, description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_version(parser)
    add = parser.add_argument
    add("source", metavar="SOURCE", help="an image store, several as a quoted glob, an archive, or a folder")
    add("labels", metavar="LABELS.json", type=given_path, help="the labels file that train_model.py wrote")
    add("count", metavar="COUNT", type=count_or_all, help="how many images, or 'all'")

    images = parser.add_argument_group("images")
    add = images.add_argument
    add("--seed", type=seed, metavar="N",
        help="the same seed chooses the same images (default: other images each time)")  # fmt: skip
    add("--heuristic", action="store_true",
        help="use the colour heuristic's label as the true label of an archive's images")  # fmt: skip
    add("--class-names", type=given_path, metavar="FILE",
        help="names of true labels that are numbers: a name in each line, or JSON")  # fmt: skip
    add_archive_options(images)
    add_follow_external(images)

    add = parser.add_argument_group("what is printed").add_argument
    add("--top-k", type=positive, default=1, metavar="N",
        help="the N likeliest labels of each image (default: %(default)s)")  # fmt: skip
    add("--errors-only", action="store_true",
        help="print and draw only wrong answers; the accuracy and the files count all")  # fmt: skip
    add("--report", action="store_true", help="precision, recall and images of each label")
    add("--json", action="store_true",
        help="a JSON object for each image; everything else goes to standard error")  # fmt: skip

    add = parser.add_argument_group("files").add_argument
    add("--csv", type=given_path, metavar="FILE.csv",
        help="write name, label, confidence and true label of each image")  # fmt: skip
    add("--plot", type=given_path, metavar="FILE.png",
        help="draw a contact sheet: right images in green, wrong ones in red, with both labels")  # fmt: skip
    add("--features", type=given_path, metavar="FILE.npy",
        help="write what the network's last layer gets of each image, float32; the names of the rows are in "
             "the --csv file, or else in FILE.npy.csv")  # fmt: skip
    add_json_summary(parser)

    machine = parser.add_argument_group("network and machine")
    machine.add_argument("--weights", type=given_path, metavar="FILE",
        help=f"(default: {WEIGHTS_FILE} beside LABELS.json, else here)")  # fmt: skip
    add_device(machine)
    return parser


def main() -> int:
    """Run the command; returns the exit status."""
    return console.main(PROGRAM, build_parser(), summarised(PROGRAM, classify))


if __name__ == "__main__":
    sys.exit(main())
