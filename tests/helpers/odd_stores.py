"""HDF5 files with something of everything, and indexed stores: what test_tree and test_mount look into."""

from __future__ import annotations

import zlib
from pathlib import Path

import h5py
import numpy as np

from imagestore.store.record import ImageRecord
from imagestore.store.writer import StoreWriter

ODD_NAMES = [b"..", b"%C1", b"caf\xe9", "café".encode(), b"line\nbreak", b"long" * 100 + b".jpg"]
MODIFIED, CREATED = 1_000_000_000, 1_100_000_000


def some_bytes(seed: int, size: int = 5000) -> bytes:
    """Bytes that do not repeat, the same for the same seed."""
    return np.random.default_rng(seed).bytes(size)


def make_indexed(
    path: Path, images: int = 30, first: int = 0, labels: int = 3, size: int = 5000
) -> dict[str, bytes]:
    """A store as `sort` leaves it; returns what is in it, by path."""
    contents = {}
    with StoreWriter(path) as writer:
        for i in range(first, first + images):
            label, name = f"label{i % labels}", f"image_{i:04d}.jpg"
            data = some_bytes(i, size + i)
            contents[f"{label}/{name}"] = data
            image = ImageRecord(
                label=label.encode(), name=name.encode(), member=f"jpg/{name}".encode(), size=len(data),
                crc32=zlib.crc32(data), mtime=MODIFIED + i, created=CREATED + i,
            )  # fmt: skip
            writer.add(image, data)
        writer.publish()
    return contents


def make_odd(path: Path) -> dict[str, np.ndarray]:
    """A file with every kind of object; returns the arrays in it, by path."""
    arrays = odd_arrays()
    with h5py.File(path, "w") as file:
        add_files(file, path)
        for name, array in arrays.items():
            file[name] = array
        file["arrays/nothing"] = h5py.Empty("f8")
        file["arrays/texts"] = ["one", "three", ""]
        file["arrays/ragged"] = np.array([np.arange(2), np.arange(3)], dtype=object).astype(
            h5py.vlen_dtype(np.int64)
        )
        file.create_dataset(
            "arrays/chunked", data=np.arange(60_000).reshape(300, 200), chunks=(7, 30), compression=1
        )
        arrays["arrays/chunked"] = np.arange(60_000).reshape(300, 200)
        rows = arrays["arrays/of_arrays"] = np.arange(12, dtype="<f4").reshape(4, 3)
        file.create_dataset("arrays/of_arrays", (4,), np.dtype(("<f4", (3,))))[...] = rows
        add_links(file)
        add_attributes(file)
    return arrays


def odd_arrays() -> dict[str, np.ndarray]:
    """Arrays of many types and shapes."""
    words = np.dtype([("größe", "<f4"), ("花", ">i2")])  # the second is not Latin-1
    point = np.dtype([("x", "<f4"), ("y", ">i2"), ("name", "S5")])
    return {
        "arrays/matrix": np.arange(12.0).reshape(3, 4),
        "arrays/cube": np.arange(60, dtype=">i2").reshape(3, 4, 5),
        "arrays/scalar": np.array(42.5),
        "arrays/bytes2d": np.arange(20, dtype=np.uint8).reshape(4, 5),
        "arrays/signed": np.arange(-5, 5, dtype=np.int8),
        "arrays/truth": np.array([True, False, True]),
        "arrays/complex": np.array([1 + 2j, -1j]),
        "arrays/fixed": np.array([b"ab", b"cdef"]),
        "arrays/points": np.array([(1.5, 2, b"here"), (2.5, 3, b"there")], dtype=point),
        "arrays/words": np.array([(1.5, 2), (2.5, 3)], dtype=words),
        "arrays/no_rows": np.zeros((0, 3), np.float32),
        "shadow/x": np.arange(3),
    }


def add_files(file: h5py.File, path: Path) -> None:
    """One-dimensional uint8 datasets of every layout."""
    data = np.frombuffer(some_bytes(1), np.uint8)
    file["files/plain.jpg"] = data
    file.create_dataset("files/chunked.jpg", data=data, chunks=(1000,))
    file.create_dataset("files/gzip.jpg", data=data, chunks=(1000,), compression="gzip")
    file.create_dataset("files/lzf.jpg", data=data, chunks=(1000,), compression="lzf", shuffle=True)
    file.create_dataset("files/checksummed.jpg", data=data, chunks=(1000,), fletcher32=True)
    file.create_dataset("files/grown.jpg", data=data, maxshape=(None,))
    outside = path.with_suffix(".raw")
    file.create_dataset("files/outside.jpg", data=data, external=[(str(outside), 0, 10_000)])
    for name, source in (("inside", "."), ("virtual", "other.h5")):
        length, dataset = (
            (len(data), "files/plain.jpg") if source == "." else (len(some_bytes(3)), "far/away.jpg")
        )
        layout = h5py.VirtualLayout((length,), np.uint8)
        layout[:] = h5py.VirtualSource(source, dataset, (length,))
        file.create_virtual_dataset(f"files/{name}.jpg", layout)
    layout = h5py.VirtualLayout((2,), h5py.string_dtype())
    layout[:] = h5py.VirtualSource("other.h5", "far/texts", (2,), h5py.string_dtype())
    file.create_virtual_dataset("arrays/virtual_texts", layout)
    file["files/empty.jpg"] = np.zeros(0, np.uint8)
    file["files/deeper/still/deep.jpg"] = data
    file["shadow/x.npy"] = data
    for name in ODD_NAMES:
        file.require_group("names")[name] = data


def add_links(file: h5py.File) -> None:
    """Links of every kind, and groups that hold themselves."""
    links = file.create_group("links")
    links["absolute"] = h5py.SoftLink("/files/plain.jpg")
    links["relative"] = h5py.SoftLink("inside/one.jpg")
    links["to_array"] = h5py.SoftLink("/arrays/matrix")
    links["to_link_to_array"] = h5py.SoftLink("to_array")
    links["to_shadowed"] = h5py.SoftLink("/shadow/x")
    links["dangling"] = h5py.SoftLink("/nowhere/at/all")
    links["to_root"] = h5py.SoftLink("/")
    links["upwards"] = h5py.SoftLink("/../../../etc/passwd")
    links["hard.jpg"] = file["files/plain.jpg"]
    links["inside/one.jpg"] = np.frombuffer(some_bytes(2), np.uint8)
    links["inside/parent"] = links
    links["inside/top"] = file["/"]
    file["twice"] = file["files/deeper"]
    links["external"] = h5py.ExternalLink("other.h5", "/far")


def add_attributes(file: h5py.File) -> None:
    """Attributes of many types, and those that say times and modes."""
    file.attrs["title"] = "Blümen"
    file.attrs["numbers"] = [1, 2, 3]
    file.attrs["half"] = 0.5
    file.attrs["words"] = ["a", "b"]
    plain = file["files/plain.jpg"]
    plain.attrs.update(
        {"Modified": np.int64(MODIFIED), "Created": np.int64(CREATED), "Permissions": np.int64(0o751)}
    )
    plain.attrs["palette"] = np.array([[0.5, 1.0]], np.float32)
    file["files"].attrs["Permissions"] = np.int64(0o700)


def make_other(path: Path) -> None:
    """The file that the external link of `make_odd` leads to, where it is called other.h5."""
    with h5py.File(path, "w") as file:
        file["far/away.jpg"] = np.frombuffer(some_bytes(3), np.uint8)
        file["far/texts"] = ["far", "away"]


def make_damaged(path: Path, names: list[str], damaged: list[str]) -> None:
    """A file of `some_bytes(1)` under each name, of which HDF5 can make nothing of those that are damaged."""
    with h5py.File(path, "w") as file:
        for name in [*names, *damaged]:
            file[name] = np.frombuffer(some_bytes(1), np.uint8)
        addresses = [h5py.h5o.get_info(file[name].id).addr for name in damaged]
    with path.open("r+b") as file:
        for address in addresses:
            file.seek(address)
            file.write(b"\xff" * 16)
