#!/usr/bin/env python3
"""classify.py with the colour network: how fast, beside the same threads that only read and decode.

Both take the same 4,800 photographs from a store, in turn, with as many threads as there are processors. The
time to start Python and to import torch is left out.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

from common.measuring import command
from common.paths import bench_folder
from common.photographs import build_archive
from common.reporting import Figure, print_table

from imagestore.classifying.accuracy import Accuracy
from imagestore.classifying.choose_images import Images, open_images, read_images
from imagestore.processes import cpu_count, share_processors
from imagestore.store.labels import find_labels
from imagestore.store.reader import ImageStore

IMAGES = 4800
RUNS = 9
SIDE = 60  # pixels: of the pictures that the colour network takes


def main() -> None:
    """Print the table."""
    share_processors()  # before torch is imported
    store = make_store()
    with ImageStore(store) as opened:
        labels = find_labels(opened).names
    weights = make_weights(labels)
    with open_images(str(store)) as images:
        decoding, answering = in_turn(lambda: decode(images), lambda: classify(images, labels, weights))
    figures = [
        rate_figure(what, *(statistics.median(run[i] for run in runs) for runs in (answering, decoding)))
        for i, what in enumerate(("wall time", "processor time"))
    ]
    print_table("classify", figures)


def rate_figure(what: str, ours: float, theirs: float) -> Figure:
    """The rates of two ways that took so many seconds."""
    rates = {"yardstick": "only reading and decoding", "reference": IMAGES / theirs}
    name = f"classify, colour network, {what}"
    return Figure(name, IMAGES / ours, "images/s", **rates, target=">= 0.9 x", runs=RUNS)


def make_store() -> Path:
    """The photographs as a store, made once and kept."""
    store = bench_folder() / f"classify-{IMAGES}.h5"
    if not store.exists():
        archive = build_archive(bench_folder() / f"classify-{IMAGES}.tgz", images=IMAGES)
        command("colourHeuristic.py", "sort", archive, store, IMAGES, IMAGES)
    return store


def make_weights(labels: list[str]) -> Path:
    """A network that was not trained: it takes the same time."""
    from imagestore.networks.description import NetworkDescription
    from imagestore.networks.make_network import make_network
    from imagestore.networks.weights_file import save_network

    path = bench_folder() / "colour-weights.pth"
    save_network(make_network(NetworkDescription(model="colour", labels=tuple(labels), size=SIDE)), path)
    return path


def decode(images: Images) -> None:
    """Read and decode all images, for pictures of the same side."""
    from imagestore.classifying.predict import decode_pictures
    from imagestore.loading.views import View

    pictures = read_images(images, list(range(len(images))))
    assert sum(map(len, decode_pictures(pictures, View(SIDE), cpu_count()))) == IMAGES


def classify(images: Images, labels: list[str], weights: Path) -> None:
    """Do with all images what classify.py does."""
    from imagestore.classifying.predict import predict_labels

    accuracy = Accuracy(labels)
    pictures = read_images(images, list(range(len(images))))
    with open(os.devnull, "w", encoding="utf-8") as output:
        for answer in predict_labels(pictures, labels, weights=weights, device="cpu", workers=cpu_count()):
            print(answer.line(), file=output)
            accuracy.add(answer)
    assert accuracy.answers == IMAGES


def in_turn(*actions: Callable[[], object]) -> list[list[tuple[float, float]]]:
    """The (wall time, processor time) of RUNS calls of each action in seconds, after one that does not count.

    A slow moment of the machine hits all of them.
    """
    measured: list[list[tuple[float, float]]] = [[] for _ in actions]
    for run in range(RUNS + 1):
        for action, runs in zip(actions, measured, strict=True):
            wall, processor = time.perf_counter(), time.process_time()
            action()
            if run:
                runs.append((time.perf_counter() - wall, time.process_time() - processor))
    return measured


if __name__ == "__main__":
    sys.exit(main())
