"""The label sheet of a store: a row of random images for each label."""

from __future__ import annotations

import random
from pathlib import Path

from imagestore import stored_names
from imagestore.console import counted
from imagestore.drawing.canvas import Canvas
from imagestore.drawing.contact_sheet import CaptionedImage, SheetRow, contact_sheet
from imagestore.store.labels import NO_LABEL, StoreLabels, find_labels, note_what_is_left_out
from imagestore.store.reader import ImageStore

IMAGES_OF_A_LABEL = 8  # at most
SEED = 0  # the same store gives the same sheet
NO_LABEL_TITLE = "(no label)"


def draw_label_sheet(path: Path, follow_external: bool = False) -> Canvas:
    """A sheet with a row for each label of a store, the largest label first. Raises UserError."""
    with ImageStore(path, follow_external=follow_external) as store:
        labels = find_labels(store)
        note_what_is_left_out("colourHeuristic", store, labels)
        rows = sorted(_images_by_row(labels), key=lambda row: -len(row[1]))
        sheet = [SheetRow(f"{name}\n{len(images):,}", _sample_images(store, images)) for name, images in rows]
        total = int(labels.is_counted.sum())
        title = f"{path.name}: {counted(total, 'image')}, {counted(len(labels.names), 'label')}"
        return contact_sheet(sheet, title)


def _images_by_row(labels: StoreLabels) -> list[tuple[str, list[int]]]:
    """(label, images) of each row; the images without a label make the last one."""
    rows = [(name, labels.images_of(number).tolist()) for number, name in enumerate(labels.names)]
    without_label = labels.images_of(NO_LABEL).tolist()
    return [*rows, (NO_LABEL_TITLE, without_label)] if without_label else rows


def _sample_images(store: ImageStore, images: list[int]) -> list[CaptionedImage]:
    """A few random images of a label, each with its name as the caption."""
    sample = random.Random(SEED).sample(images, min(IMAGES_OF_A_LABEL, len(images)))
    return [CaptionedImage(store.read(i), stored_names.decode(store.index.name(i))) for i in sorted(sample)]
