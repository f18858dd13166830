"""The label sheet of a store: a row of random images for each label."""

from __future__ import annotations

import random
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from imagestore import stored_names
from imagestore.reports.drawing import CaptionedImage, SheetRow, contact_sheet
from imagestore.store.reader import ImageStore

if TYPE_CHECKING:
    from matplotlib.figure import Figure

IMAGES_OF_A_LABEL = 8  # at most
SEED = 0  # the same store gives the same sheet


def draw_label_sheet(path: Path) -> Figure:
    """A sheet with a row for each label of a store, the largest label first. Raises UserError."""
    with ImageStore(path) as store:
        counts = np.diff(store.index.start)
        order = np.argsort(-counts, kind="stable").tolist()
        rows = [SheetRow(f"{store.labels[i]}\n{counts[i]:,}", _sample_images(store, i)) for i in order]
        return contact_sheet(rows, f"{path.name}: {len(store):,} images, {len(rows)} labels")


def _sample_images(store: ImageStore, label: int) -> list[CaptionedImage]:
    """A few random images of a label, each with its name as the caption."""
    images = range(int(store.index.start[label]), int(store.index.start[label + 1]))
    sample = random.Random(SEED).sample(images, min(IMAGES_OF_A_LABEL, len(images)))
    return [CaptionedImage(store.read(i), stored_names.decode(store.index.name(i))) for i in sorted(sample)]
