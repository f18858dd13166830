"""What went into a run and what came out of it: the images of archives and of stores, by member name."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path

from imagestore.store.reader import ImageStore


def archive_images(archive: Path) -> dict[str, bytes]:
    """Return the bytes of all JPEGs in a tar archive, by name."""
    with tarfile.open(archive) as tar:
        return {member.name: tar.extractfile(member).read() for member in tar if member.name.endswith(".jpg")}


def stored_images(*stores: Path) -> dict[str, bytes]:
    """Return the bytes of all images of some stores, by the member's name; no image may occur twice."""
    images: dict[str, bytes] = {}
    for path in stores:
        with ImageStore(path) as store:
            for i in range(len(store)):
                member = os.fsdecode(store.index.member(i))
                assert member not in images, f"{member} is stored twice"
                images[member] = store.read(i)
    return images


def stored_labels(*stores: Path) -> dict[str, str]:
    """Return the labels of all images of some stores, by the member's name."""
    labels: dict[str, str] = {}
    for path in stores:
        with ImageStore(path) as store:
            for i in range(len(store)):
                labels[os.fsdecode(store.index.member(i))] = store.labels[store.index.label_of(i)]
    return labels


def hidden_files(folder: Path) -> list[str]:
    """Return the names of the files that writers leave beside a store: locks, partial files and journals."""
    return [path.name for path in folder.iterdir() if path.name.startswith(".")]
