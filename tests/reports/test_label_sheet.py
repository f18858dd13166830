"""The label sheet of a store: a row for each label, the largest first, with a few images of it."""

from __future__ import annotations

from pathlib import Path

import h5py
from PIL import Image

from imagestore.reports.label_sheet import IMAGES_OF_A_LABEL, draw_label_sheet
from tests.helpers.commands import Run
from tests.helpers.pictures import texts_of
from tests.helpers.small_stores import COLOURS, make_store


def test_a_store_without_name_gives_a_sheet_of_labels(run: Run, sample_store: Path, tmp_path: Path) -> None:
    run("colourHeuristic.py", "show", sample_store, "-o", "sheet.png")
    with h5py.File(sample_store) as file:
        counts = {label: len(images) for label, images in file.items()}
    canvas = draw_label_sheet(sample_store)
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.tobytes() == canvas.draw().tobytes()
    titles = [text for text in texts_of(canvas) if "\n" in text]
    assert sorted(titles) == sorted(f"{label}\n{count}" for label, count in counts.items())
    in_order = [int(title.split("\n")[1]) for title in titles]
    assert in_order == sorted(in_order, reverse=True)  # the largest label is the first row


def test_a_row_has_a_few_different_images(tmp_path: Path) -> None:
    """30 red images are more than a row has; of the 3 images of the second store, a row has all."""
    red = {"red": COLOURS["red"]}
    for count, in_row in ((30, IMAGES_OF_A_LABEL), (3, 3)):
        store = make_store(tmp_path / f"{count}.h5", count, colours=red)
        captions = image_captions(store)
        assert len(set(captions)) == len(captions) == in_row
        assert captions == sorted(captions)
        assert image_captions(store) == captions  # the same store gives the same sheet


def image_captions(store: Path) -> list[str]:
    return [text for text in texts_of(draw_label_sheet(store)) if text.endswith(".jpg")]
