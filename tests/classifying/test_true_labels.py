"""True labels of an archive's images, by the colour heuristic."""

from __future__ import annotations

import tarfile
from pathlib import Path

from imagestore.classifying.choose_images import open_images
from tests.helpers.small_stores import COLOURS, picture


def test_the_heuristic_gives_true_labels(archive: Path, tmp_path: Path) -> None:
    """These pictures have plain colours. An image that cannot be decoded has no true label."""
    with tarfile.open(archive, "a") as tar:
        (tmp_path / "cut.jpg").write_bytes(picture(COLOURS["red"], 1)[:700])
        tar.add(tmp_path / "cut.jpg", "jpg/cut.jpg")
    with open_images(str(archive), tmp_path / "index", heuristic=True) as images:
        labels = {image.name: image.true_label for image in map(images.read, range(len(images)))}
    assert labels.pop("jpg/cut.jpg") is None
    assert len(labels) == 3
    for name, label in labels.items():
        assert label.rpartition("-")[2] == Path(name).stem
