"""Two stores to train a colour network with and to test it: 40 labels, unevenly used, one in twelve wrong."""

from __future__ import annotations

import csv
import multiprocessing
import random
import subprocess
import sys
import tarfile
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from common.paths import ROOT
from common.photographs import build_archive, count_originals
from imagestore.colour.colour_names import TERMS, votes, with_shade
from imagestore.colour.palette import find_palette

LABELS = 40
WRONG = 1 / 12  # share of the images, of both stores, that get another label
TEST = 0.2  # share of the original photographs
SECOND = 0.3  # from this share of the votes on, the second term is part of a name: greenish-dark-blue


def build_pair(archive: Path | None = None) -> tuple[Path, Path]:
    """The training store and the test store, made once and kept beside the archive (see `build_archive`).

    No photograph of one store is a variant of a photograph of the other. The same archive gives the same
    labels and the same split.
    """
    archive = archive or build_archive()
    train, test = (archive.with_name(f"{archive.stem}-coloured-{part}.h5") for part in ("train", "test"))
    if train.exists() and test.exists():
        return train, test
    names, fine_names = _fine_names(archive)
    random_numbers = random.Random(0)
    labels = with_wrong_labels(commonest(fine_names), random_numbers)
    table = archive.with_name(f"{archive.stem}-coloured.csv")
    with table.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["name", "label", "split"])
        rows.writerows(zip(names, labels, split(len(names), count_originals(), random_numbers), strict=True))
    for path in (train, test):
        path.unlink(missing_ok=True)
    _partition(archive, table, train, test)
    return train, test


# ----- labels -----


def fine_name(palette: np.ndarray) -> str:
    """The name that covers most of a palette, float32 (k, 7): 'dark-green', 'greenish-dark-blue'."""
    covered: dict[str, float] = defaultdict(float)
    for share, colour, weights in zip(palette[:, 0], palette[:, 1:4], votes(palette[:, 1:4]).T, strict=True):
        second, first = np.argsort(weights, kind="stable")[-2:]
        prefix = f"{TERMS[second]}ish-" if weights[second] > SECOND else ""
        covered[prefix + with_shade(TERMS[first], colour)] += float(share)
    return max(covered, key=covered.__getitem__)


def commonest(names: Sequence[str], most: int = LABELS) -> list[str]:
    """The names, the rarest of them made plainer until `most` are left: greenish-dark-blue to dark-blue."""
    names = list(names)
    while len(counts := Counter(names)) > most:
        rarest = min(counts, key=lambda name: (counts[name], name))
        plainer = rarest.partition("-")[2] or max(counts, key=lambda name: (counts[name], name))
        names = [plainer if name == rarest else name for name in names]
    return names


def with_wrong_labels(labels: Sequence[str], random_numbers: random.Random) -> list[str]:
    """The labels; each is replaced by any other one with the probability WRONG."""
    every = sorted(set(labels))
    return [
        random_numbers.choice([other for other in every if other != label])
        if random_numbers.random() < WRONG
        else label
        for label in labels
    ]


def split(images: int, originals: int, random_numbers: random.Random) -> list[str]:
    """'train' or 'test' for each image; image i is a variant of the photograph i modulo `originals`."""
    in_test = set(random_numbers.sample(range(originals), round(TEST * originals)))
    return ["test" if i % originals in in_test else "train" for i in range(images)]


# ----- archive to stores -----


def _fine_names(archive: Path) -> tuple[list[str], list[str]]:
    """The images of the archive, and the fine name of each."""
    with tarfile.open(archive) as opened, multiprocessing.get_context("spawn").Pool() as pool:
        members = (member for member in opened if member.name.endswith(".jpg"))
        images = ((member.name, opened.extractfile(member).read()) for member in members)
        names, fine_names = zip(*pool.imap(_named, images, chunksize=16), strict=True)
    return list(names), list(fine_names)


def _named(image: tuple[str, bytes]) -> tuple[str, str]:
    name, data = image
    return name, fine_name(find_palette(data).table())


def _partition(archive: Path, table: Path, train: Path, test: Path) -> None:
    """Store the images with the labels and the split of a CSV table."""
    command = [sys.executable, ROOT / "colourHeuristic.py", "partition", archive, train, test, "0.8"]
    options = ["--labels", table, "--split", table, "--no-palette"]
    subprocess.run([*map(str, command + options)], check=True, stdout=subprocess.DEVNULL)
