"""Stores that a StoreWriter wrote, with odd names in them, and edits that other tools make to them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import h5py
import numpy as np
from isal.isal_zlib import crc32

from imagestore.store.reader import ImageStore
from imagestore.store.record import ImageRecord
from imagestore.store.writer import StoreWriter

PALETTE = np.array([[0.75, 50, 60, 40, 200, 30, 20], [0.25, 90, 0, 0, 226, 226, 226]], np.float32)
HEURISTIC = {"version": "test", "settings": {"clusters": 2}, "since": 1}
MODIFIED, CREATED = 1_000_000_000, 1_500_000_000
IMAGES = {  # label, archive member -> bytes
    ("red", b"jpg/one.jpg"): b"first" * 1000,
    ("red", b"other/one.jpg"): b"second" * 900,
    ("dark-blue", "jpg/d\u00e9 j\u00e0 'vu'.jpg".encode()): b"third",
    ("dark-blue", b"jpg/\xff not utf-8.jpg"): b"fourth" * 7000,
    ("white", b"../../etc/passwd.jpg"): b"fifth",
    ("white", b"/absolute/-rf.jpg"): b"sixth",
    ("white", b"jpg/.."): b"seventh",
    ("white", b"jpg/" + b"n" * 300 + b".jpg"): b"eighth",
}
NEW = {("red", b"new.jpg"): b"new"}  # one that IMAGES lacks


def make_record(label: str, member: bytes, data: bytes, palette: np.ndarray | None = PALETTE) -> ImageRecord:
    """The record of an image as the labelling makes it: its name is still that of the member."""
    return ImageRecord(
        label=label.encode(), name=member, member=member, size=len(data), crc32=crc32(data),
        mtime=MODIFIED, created=CREATED, palette=palette,
    )  # fmt: skip


def add_images(writer: StoreWriter, images: Mapping[tuple[str, bytes], bytes]) -> list[bool]:
    """Add images, given as label, member -> bytes; the answers of the writer."""
    return [writer.add(make_record(label, member, data), data) for (label, member), data in images.items()]


def write_store(path: Path, images: Mapping[tuple[str, bytes], bytes]) -> None:
    """Add images to the store at `path`, which may be new, and publish it."""
    with StoreWriter(path) as writer:
        add_images(writer, images)
        writer.publish([HEURISTIC])


def images_by_member(store: ImageStore) -> dict[tuple[str, bytes], bytes]:
    """The images of an open store: label, member -> bytes."""
    positions = range(len(store))
    return {(store.path_of(i).split("/")[0], store.index.member(i)): store.read(i) for i in positions}


def images_by_path(path: Path) -> dict[str, bytes]:
    """The images of a store, read by ImageStore: path -> bytes."""
    with ImageStore(path) as store:
        return {store.path_of(i): store.read(i) for i in range(len(store))}


def images_by_h5py(path: Path) -> dict[str, bytes]:
    """The same, read by h5py."""
    with h5py.File(path) as file:
        return {
            f"{label}/{os.fsdecode(name)}": group[name][()].tobytes()
            for label, group in file.items()
            for name in group.id
        }


# ----- edits by other tools -----


def cut_the_index_off(path: Path) -> None:
    """Open a file for writing and close it again: HDF5 cuts off everything behind its data."""
    with h5py.File(path, "r+"):
        pass


def move_an_image(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        file.move("red/one.jpg", "white/moved.jpg")


def swap_the_bytes_of_two(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        file.move("dark-blue/d\u00e9 j\u00e0 'vu'.jpg", "white/swap")
        file.move("white/passwd.jpg", "dark-blue/d\u00e9 j\u00e0 'vu'.jpg")
        file.move("white/swap", "white/passwd.jpg")


def overwrite_in_place(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        file["white/passwd.jpg"][...] = np.frombuffer(b"FIFTH", np.uint8)


def delete_and_add(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        del file["red/one.jpg"]
        file["red/new.jpg"] = np.frombuffer(b"new" * 1666, np.uint8)


def repack(path: Path) -> None:
    packed = path.with_name("packed.h5")
    subprocess.run(["h5repack", path, packed], check=True, timeout=120)
    packed.replace(path)


def repack_compressed(path: Path) -> None:
    packed = path.with_name("packed.h5")
    subprocess.run(["h5repack", "-f", "GZIP=1", path, packed], check=True, timeout=120)
    packed.replace(path)


EDITS = [move_an_image, swap_the_bytes_of_two, overwrite_in_place, delete_and_add, repack, repack_compressed]


def edit_with_the_old_time(edit: Callable[[Path], None], path: Path) -> None:
    """Edit a file, and set its time of modification back."""
    before = path.stat()
    edit(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
