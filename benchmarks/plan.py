#!/usr/bin/env python3
"""How long an archive takes on this node: what each step costs, at its start and for each image.

    benchmarks/plan.py                                       of photographs
    benchmarks/plan.py photos.tgz --images 1000000           of samples of your archive, for so many images
    benchmarks/plan.py tiny.zip -- --labels folder           with flags of colourHeuristic.py

Each step runs twice, on a small and on a large sample: the difference is what an image costs.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from common.measuring import command, seconds
from common.paths import bench_folder
from common.photographs import build_archive
from common.reporting import Figure, print_table

SAMPLES = (200, 1200)  # images
EPOCHS = 40  # of train_model.py, by default
MEASURED_EPOCHS = 9


@dataclass(frozen=True)
class Cost:
    """What a step takes: seconds in any case, and for each image."""

    step: str
    start: float
    image: float

    def seconds(self, images: int) -> float:
        """The forecast for so many images."""
        return self.start + self.image * images


def main() -> int:
    """Measure, print the table, and the forecast if the number of images is given."""
    arguments = parse()
    archive = arguments.archive or build_archive(bench_folder() / "plan.tgz", images=SAMPLES[1])
    with tempfile.TemporaryDirectory(dir=bench_folder()) as folder:
        costs = measure(archive, Path(folder), arguments.flags, arguments.train)
    figures = [figure for cost in costs for figure in as_figures(cost)]
    print_table("plan", figures)
    if arguments.images:
        print(f"\nforecast for {arguments.images:,} images on this node, one process:")
        for cost in costs:
            print(f"  {cost.step:<22} {cost.seconds(arguments.images):10,.0f} s")
    return 0


def parse() -> argparse.Namespace:
    """The command line; what stands behind -- are flags of colourHeuristic.py sort."""
    words = sys.argv[1:]
    dashes = words.index("--") if "--" in words else len(words)
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "archive", nargs="?", help="an archive (default: photographs, drawn if there are none)"
    )
    parser.add_argument("--images", type=int, help="print the forecast for so many images")
    parser.add_argument("--train", default="", metavar="FLAGS", help="flags of train_model.py")
    parser.set_defaults(flags=words[dashes + 1 :])
    return parser.parse_args(words[:dashes])


def as_figures(cost: Cost) -> list[Figure]:
    """Two lines of the table."""
    return [
        Figure(f"{cost.step}: start", cost.start),
        Figure(f"{cost.step}: an image", 1000 * cost.image, "ms"),
    ]


def measure(archive: str | Path, folder: Path, flags: list[str], train: str) -> list[Cost]:
    """The costs of all steps."""
    small, large = (folder / f"{count}.h5" for count in SAMPLES)
    sort = ["colourHeuristic.py", "sort", archive]
    index = seconds_of(*sort, folder / "first.h5", 1, 1, *flags, "--index", folder / "index")
    label = [
        seconds_of(*sort, store, count, count, *flags, "--index", folder / "index", "--seed", 1)
        for store, count in zip((small, large), SAMPLES, strict=True)
    ]
    merge = [
        seconds_of("colourHeuristic.py", "merge", folder / f"m-{store.name}", folder / "first.h5", store)
        for store in (small, large)
    ]
    once, once_large, longer = (
        seconds_of("train_model.py", store, "-o", folder, "--epochs", epochs, *train.split())
        for store, epochs in ((small, 1), (large, 1), (large, MEASURED_EPOCHS))
    )
    classify = [
        seconds_of("classify.py", store, folder / f"{large.stem}_labels.json", "all")
        for store in (small, large)
    ]
    epoch = max(0.0, longer - once_large) / (MEASURED_EPOCHS - 1) / SAMPLES[1]
    first = cost_of("train: the first epoch", once, once_large)
    return [
        Cost("index of the archive", index, 0),
        cost_of("partition", *label),
        cost_of("merge", *merge),
        Cost(f"train, {EPOCHS} epochs", first.start, first.image + (EPOCHS - 1) * epoch),
        cost_of("classify", *classify),
    ]


def cost_of(step: str, small: float, large: float) -> Cost:
    """The cost of a step that took so many seconds for the two samples."""
    image = max(0.0, large - small) / (SAMPLES[1] - SAMPLES[0])
    return Cost(step, max(0.0, small - image * SAMPLES[0]), image)


def seconds_of(*words: object) -> float:
    """How long a command takes, from the start of Python to its end."""
    return seconds(lambda: command(*words))


if __name__ == "__main__":
    sys.exit(main())
