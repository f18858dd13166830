"""Write images as WebDataset has them: tar files, in which what belongs to an image has the same key.

    train-000000.tar: 000000.jpg  000000.cls  000000.json  000001.jpg  …

`.cls` is the number of the label, and classes.json lists all labels. `.json` has the label, the name and the
member. See https://github.com/webdataset/webdataset.
"""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from imagestore import stored_names
from imagestore.image_formats import has_image_suffix, suffix_of
from imagestore.tools.labelled_images import ImageList, LabelledImage

CLASSES = "classes.json"
DIGITS = 6  # of a shard's number, and of an image's at least
BLOCK = 1 << 20  # bytes that are written at once


def write_webdataset(
    folder: Path,
    lists: Sequence[ImageList],
    labels: Sequence[str],
    shard_size: int,
    on_image: Callable[[], object],
) -> None:
    """Write the images of all lists, in a random order. Raises OSError."""
    number_of = {label: number for number, label in enumerate(labels)}
    digits = max(DIGITS, len(str(sum(map(len, lists)))))
    done = 0
    for images in lists:
        for shard, part in enumerate(images.shuffled().shards(shard_size)):
            with (folder / f"{images.name}-{shard:0{DIGITS}}.tar").open("xb", buffering=BLOCK) as file:
                with tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as tar:
                    for image in part.read(on_image):
                        _add(tar, f"{done:0{digits}}", image, number_of)
                        done += 1
                file.flush()
                os.fsync(file.fileno())
    (folder / CLASSES).write_text(json.dumps(list(labels), indent=0) + "\n", encoding="ascii")


def _add(tar: tarfile.TarFile, key: str, image: LabelledImage, number_of: Mapping[str, int]) -> None:
    """Add an image with its label; one without a label gets no `.cls`."""
    facts = {"name": stored_names.decode(image.name), "member": stored_names.decode(image.member)}
    _add_file(tar, f"{key}{_suffix(image)}", image.data, image.modified)
    if image.label is not None:
        _add_file(tar, f"{key}.cls", b"%d" % number_of[image.label], image.modified)
        facts = {"label": image.label} | facts
    _add_file(tar, f"{key}.json", json.dumps(facts).encode(), image.modified)


def _suffix(image: LabelledImage) -> str:
    """The suffix of the name if it is that of an image, else that of the bytes; readers decode by it."""
    name = stored_names.decode(image.name)
    if has_image_suffix(name):
        return os.path.splitext(name)[1].lower()
    return suffix_of(image.data) or ".bin"


def _add_file(tar: tarfile.TarFile, name: str, data: bytes, modified: int | None) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mtime = len(data), max(0, modified or 0)
    tar.addfile(entry, io.BytesIO(data))
