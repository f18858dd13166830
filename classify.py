#!/usr/bin/env python3
"""Name the labels of random images with a network that train_model.py trained.

    ./classify.py test.h5 train_labels.json 20                 from an image store
    ./classify.py 'part-*.h5' train_labels.json all            from several, every image
    ./classify.py 102flowers.tgz train_labels.json 20 --plot sheet.png      from an archive

Prints name, predicted label and confidence of each image; where the true label is known (in a store it
is the image's group), also that, and the accuracy over all of them.
"""

from __future__ import annotations

from imagestore.processes import let_interrupts_end_python

if __name__ == "__main__":
    let_interrupts_end_python()  # before the other imports, which take a moment

import argparse
import contextlib
import itertools
import random
import sys
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from imagestore import files
from imagestore.archive.open import open_archive
from imagestore.archive.protocol import Archive
from imagestore.arguments import add_device, given_path, positive, seed
from imagestore.console import UserError, main, note, printable, progress
from imagestore.hdf5.superblock import is_hdf5
from imagestore.processes import Stop, cpu_count, share_processors, stopping
from imagestore.store.open import expand_paths, open_stores
from imagestore.store.reader import ImageStore, StoreError
from imagestore.training.labels_file import load_labels

if TYPE_CHECKING:  # torch takes seconds to import: mistakes in the arguments are told before
    import torch

Source = list[ImageStore] | Archive

PROGRAM = "classify"
WEIGHTS = "model_weights.pth"
EVERY = -1
AT_ONCE = 256  # images
IN_A_ROW = 8  # images of each predicted label in the contact sheet, at most
STORE_SUFFIXES = {".h5", ".hdf5", ".hdf"}


@dataclass(frozen=True)
class Picture:
    """An image to classify; `truth` is its label where that is known."""

    name: str
    data: bytes
    truth: str | None


@dataclass(frozen=True)
class Answer:
    """What the network says of a picture; `confidence` is the probability it gives, 0 to 1."""

    picture: Picture
    label: str
    confidence: float

    def line(self) -> str:
        """One line of the result."""
        said = f"{printable(self.picture.name)}  {printable(self.label)}  {100 * self.confidence:.1f} %"
        if self.picture.truth is None:
            return said
        if self.picture.truth == self.label:
            return f"{said}  right"
        return f"{said}  wrong: {printable(self.picture.truth)}"


def classify(arguments: argparse.Namespace) -> int:
    """Classify, and return the exit status."""
    with stopping() as stop, contextlib.ExitStack() as opened:
        labels = load_labels(arguments.labels)
        weights = arguments.weights or default_weights(arguments.labels)
        if arguments.plot:
            files.check_writable(arguments.plot)
        source = open_source(arguments.source, arguments.index, opened)
        total, pictures = choose(source, arguments)
        answers = answered(until(stop, pictures), labels, weights, arguments)
        tally = Tally(labels)
        with progress(total, "classifying") as shown:
            for answer in answers:
                print(answer.line())
                tally.add(answer)
                shown.update(1)
        tally.tell()
        if arguments.plot and tally.kept:
            plot(tally.kept, arguments)
    if not tally.seen and not stop.requested:
        raise UserError(f"{arguments.source}: none of the {total} images could be decoded")
    return stop.status if stop.requested else 0


def default_weights(labels_file: Path) -> Path:
    """The weights beside the labels file, else those here. Raises UserError where there are none."""
    for path in (labels_file.parent / WEIGHTS, Path(WEIGHTS)):
        if path.exists():
            return path
    raise UserError(f"{labels_file.parent / WEIGHTS}: no such file; name it with --weights")


# Choosing.


def open_source(source: str, index: Path | None, opened: contextlib.ExitStack) -> Source:
    """The stores or the archive that SOURCE names: by extension, else by content. Raises UserError."""
    paths = expand_paths([source])
    if len(paths) > 1 or paths[0].suffix in STORE_SUFFIXES or is_hdf5(paths[0]):
        return [opened.enter_context(store) for store in open_stores(paths)]
    return opened.enter_context(open_archive(paths[0], index))


def choose(source: Source, arguments: argparse.Namespace) -> tuple[int, Iterator[Picture]]:
    """How many pictures there will be, and the pictures: random ones, in their order in the source."""
    archive = None if isinstance(source, list) else source
    there = len(archive.members()) if archive else sum(map(len, source))
    wanted = there if arguments.count == EVERY else arguments.count
    if wanted > there:
        note(f"{PROGRAM}: only {there:,} images there: taking all of them")
    total = min(wanted, there)
    if not total:
        raise UserError(f"{arguments.source}: holds no image")
    chosen = sorted(random.Random(arguments.seed).sample(range(there), total))
    if archive:
        return total, of_archive(archive, chosen, arguments.heuristic)
    return total, of_stores(source, chosen)


def of_stores(stores: list[ImageStore], chosen: list[int]) -> Iterator[Picture]:
    """Pictures of stores, numbered through; those that cannot be read are told and passed over."""
    ends = list(itertools.accumulate(map(len, stores)))
    for i in chosen:
        which = bisect_right(ends, i)
        store, position = stores[which], i - ends[which] + len(stores[which])
        try:
            data = store.read(position)
        except StoreError as error:
            note(f"{PROGRAM}: skipped {printable(str(error))}")
            continue
        path = store.path_of(position)
        yield Picture(path, data, path.partition("/")[0])


def of_archive(archive: Archive, chosen: list[int], heuristic: bool) -> Iterator[Picture]:
    """Pictures of an archive; their true label is known only where the colour heuristic is asked."""
    members = archive.members()
    for i in chosen:
        data = archive.read(members[i])
        yield Picture(members[i].name, data, heuristic_label(data) if heuristic else None)


def heuristic_label(data: bytes) -> str | None:
    """What `colourHeuristic.py` would label the picture; None where it cannot be decoded."""
    from imagestore.colour.label import label_of
    from imagestore.colour.palette import find_palette
    from imagestore.decode import NotAnImage

    try:
        return label_of(find_palette(data))
    except NotAnImage:
        return None


def until(stop: Stop, pictures: Iterable[Picture]) -> Iterator[Picture]:
    """The pictures, for as long as no signal has asked for an end."""
    return itertools.takewhile(lambda picture: not stop.requested, pictures)


# Classifying.


def answered(
    pictures: Iterable[Picture], labels: Sequence[str], weights: Path, arguments: argparse.Namespace
) -> Iterator[Answer]:
    """The network's answer to each picture that can be decoded; the others are told and passed over."""
    share_processors()
    import torch

    from imagestore.decode import NotAnImage
    from imagestore.training.checkpoint import load_model
    from imagestore.training.dataset import decode, pixels
    from imagestore.training.device import choose_device
    from imagestore.training.evaluation import predict

    torch.set_num_threads(min(arguments.workers, cpu_count()))
    device = choose_device(arguments.device)
    network = load_model(weights, labels, device)
    side = int(network.side)

    def small(picture: Picture) -> torch.Tensor | NotAnImage:
        try:
            return pixels(decode(picture.data, side), side)
        except NotAnImage as error:
            return error

    with ThreadPoolExecutor(arguments.workers) as pool:
        while batch := list(itertools.islice(pictures, AT_ONCE)):
            decoded = list(zip(batch, pool.map(small, batch), strict=True))
            for picture, error in decoded:
                if isinstance(error, NotAnImage):
                    note(f"{PROGRAM}: skipped {printable(picture.name)}: {error}")
            good = [(picture, x) for picture, x in decoded if isinstance(x, torch.Tensor)]
            if not good:
                continue
            label, confidence = predict(network, torch.stack([x for _, x in good]), device)
            for (picture, _), i, sure in zip(good, label.tolist(), confidence.tolist(), strict=True):
                yield Answer(picture, labels[i], sure)


# Telling.


@dataclass
class Tally:
    """How many answers were right, and the first of them for the contact sheet."""

    labels: Sequence[str]
    seen: int = 0
    known: int = 0  # with a true label
    right: int = 0
    unheard_of: int = 0  # with a true label that the network never saw
    kept: dict[str, list[Answer]] = field(default_factory=dict)  # by predicted label

    def add(self, answer: Answer) -> None:
        """Count one answer."""
        truth = answer.picture.truth
        self.seen += 1
        self.known += truth is not None
        self.right += truth == answer.label
        self.unheard_of += truth is not None and truth not in self.labels
        row = self.kept.setdefault(answer.label, [])
        if len(row) < IN_A_ROW:
            row.append(answer)

    def tell(self) -> None:
        """Print the accuracy, where true labels are known."""
        if not self.known:
            return
        share = 100 * self.right / self.known
        print(f"accuracy {share:.1f} % ({self.right:,} of {self.known:,})")
        if self.unheard_of:
            note(f"{PROGRAM}: {self.unheard_of:,} of them have a label that is not among those trained on")


def plot(answers: dict[str, list[Answer]], arguments: argparse.Namespace) -> None:
    """Write the contact sheet: a row for each predicted label, the true label under each picture."""
    from imagestore.reports.pictures import contact_sheet, show_or_save

    rows = [
        (label, [(answer.picture.data, caption(answer)) for answer in row])
        for label, row in sorted(answers.items())
    ]
    figure = contact_sheet(rows, f"{arguments.source}: predicted label of each row, true label of each image")
    print(f"wrote {printable(str(show_or_save(figure, arguments.plot, arguments.plot)))}")


def caption(answer: Answer) -> str:
    """The text under one picture: how sure the network is, and the truth where it is known."""
    sure = f"{100 * answer.confidence:.0f} %"
    truth = answer.picture.truth
    if truth is None:
        return sure
    return f"right, {sure}" if truth == answer.label else f"{truth}, {sure}"


def wanted_count(text: str) -> int:
    """A positive whole number, or 'all'."""
    return EVERY if text == "all" else positive(text)


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        PROGRAM, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("source", metavar="SOURCE", help="an image store, several as a quoted glob, an archive, or a folder")
    add("labels", metavar="LABELS.json", type=given_path, help="the labels file that train_model.py wrote")
    add("count", metavar="COUNT", type=wanted_count, help="how many images, or 'all'")
    add("--weights", type=given_path, metavar="FILE",
        help=f"(default: {WEIGHTS} beside LABELS.json, else here)")  # fmt: skip
    add("--seed", type=seed, metavar="N", help="the same seed, the same images (default: others each time)")
    add("--plot", type=given_path, metavar="FILE.png",
        help="write a contact sheet of the images and their labels")  # fmt: skip
    add("--heuristic", action="store_true",
        help="take the colour heuristic's label for the true one of an archive's images")  # fmt: skip
    add("--index", type=given_path, metavar="FILE",
        help="the archive's index (default: in your cache folder)")  # fmt: skip
    add_device(parser)
    return parser


if __name__ == "__main__":
    sys.exit(main(PROGRAM, build_parser(), classify))
