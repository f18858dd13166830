"""Types that NumPy lacks: their values are shown as raw bytes, and a NumPy file holds them."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from h5py import h5d, h5s, h5t

from imagestore.hdf5.datasets_as_files import dataset_as_file
from imagestore.hdf5.memory_types import CannotBeShown
from tests.helpers.commands import without_summary


def integer(bits: int) -> h5t.TypeID:
    kind = h5t.STD_I32LE.copy()
    kind.set_size(bits // 8)
    kind.set_precision(bits)
    return kind


def quad_precision() -> h5t.TypeID:
    """IEEE 754 binary128, as Fortran and ARM's `long double` write it."""
    kind = h5t.IEEE_F64LE.copy()
    kind.set_size(16)
    kind.set_precision(128)
    kind.set_fields(127, 112, 15, 0, 112)
    kind.set_ebias(16383)
    return kind


def compound(*fields: tuple[str, int, h5t.TypeID], size: int) -> h5t.TypeID:
    kind = h5t.create(h5t.COMPOUND, size)
    for name, offset, field in fields:
        kind.insert(name.encode(), offset, field)
    return kind


def opaque() -> h5t.TypeID:
    kind = h5t.create(h5t.OPAQUE, 7)
    kind.set_tag(b"a program's own")
    return kind


RAW: dict[str, Callable[[], h5t.TypeID]] = {
    "integer of 24 bits": lambda: integer(24),
    "integer of 56 bits": lambda: integer(56),
    "float of 128 bits": quad_precision,
    "time of 32 bits": lambda: h5t.UNIX_D32LE,
    "time of 64 bits": lambda: h5t.UNIX_D64BE,
    "opaque": opaque,
    "array of times": lambda: h5t.array_create(h5t.UNIX_D32LE, (2, 3)),
    "bits": lambda: h5t.STD_B16LE,
    "compound of times": lambda: compound(("t", 4, h5t.UNIX_D32LE), ("u", 0, integer(24)), size=8),
}


def write(file: h5py.File, name: str, kind: h5t.TypeID, shape: tuple[int, ...], **options: object) -> bytes:
    """Write a dataset of any type without a conversion; returns its bytes."""
    data = np.random.default_rng(1).bytes(kind.get_size() * int(np.prod(shape)))
    space = h5s.create_simple(shape) if shape else h5s.create(h5s.SCALAR)
    layout = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    if options.get("chunks"):
        layout.set_chunk(options["chunks"])
        layout.set_deflate(1)
    dataset = h5d.create(file.id, name.encode(), kind, space, layout)
    dataset.write(h5s.ALL, h5s.ALL, np.frombuffer(data, f"V{kind.get_size()}").reshape(shape), mtype=kind)
    return data


def load(dataset: h5py.Dataset) -> np.ndarray:
    """The array in the NumPy file of a dataset."""
    as_file = dataset_as_file(dataset.id, False)
    data = as_file.read(0, as_file.size)
    assert len(data) == as_file.size
    return np.load(io.BytesIO(data))


@pytest.mark.parametrize("shape", [(), (5,), (3, 4, 2)])
@pytest.mark.parametrize("name", [name for name in RAW if not name.startswith("compound")])
def test_values_that_numpy_lacks_are_raw_bytes(tmp_path, name, shape):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        data = write(file, "x", RAW[name](), shape)
        loaded = load(file["x"])
    assert loaded.shape[: len(shape)] == shape
    assert loaded.tobytes() == data


def test_raw_bytes_are_read_from_any_place(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        data = write(file, "x", integer(24), (7, 11), chunks=(3, 4))
        as_file = dataset_as_file(file["x"].id, False)
        for offset in range(0, 231, 13):
            assert as_file.read(len(as_file.header) + offset, 50) == data[offset : offset + 50]


def test_only_fields_that_numpy_lacks_are_raw(tmp_path):
    kind = compound(
        ("when", 10, h5t.UNIX_D64LE),
        ("size", 0, h5t.IEEE_F64LE),
        ("count", 8, h5t.STD_I16BE),
        ("bits", 20, h5t.STD_B16LE),
        size=24,
    )
    with h5py.File(tmp_path / "a.h5", "w") as file:
        data = np.frombuffer(write(file, "x", kind, (4,)), np.uint8).reshape(4, 24)
        loaded = load(file["x"])
    assert loaded.dtype.names == ("size", "count", "when", "bits")
    assert loaded["size"].tobytes() == data[:, :8].tobytes()
    assert loaded["count"].tolist() == data[:, 8:10].copy().view(">i2")[:, 0].tolist()
    assert loaded["when"].tobytes() == data[:, 10:18].tobytes()
    assert loaded["bits"].tobytes() == data[:, 20:22].tobytes()


def test_fields_may_be_in_any_order(tmp_path):
    dtype = np.dtype({"names": ["a", "b", "c"], "formats": ["S5", "<i4", "<f8"], "offsets": [12, 8, 0]})
    rows = np.array([(b"one", 1, 0.5), (b"two", 2, 1.5)], dtype)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = rows
        loaded = load(file["x"])
    assert loaded.dtype.names == ("c", "b", "a")
    assert [row.tolist() for row in loaded] == [(0.5, 1, b"one"), (1.5, 2, b"two")]


def test_a_reference_is_the_inode_number_of_its_object(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["target"] = [1, 2, 3]
        file["one"] = file["target"].ref
        file.create_dataset("all", data=[file["target"].ref, file["one"].ref], dtype=h5py.ref_dtype)
        regions = [file["target"].regionref[0:1], file["target"].regionref[1:3]]
        file.create_dataset("regions", data=regions, dtype=h5py.regionref_dtype)
        addresses = [h5py.h5o.get_info(file[name].id).addr for name in ("target", "one")]
        assert load(file["one"]) == addresses[0]
        assert load(file["all"]).tolist() == addresses
        assert load(file["regions"]).dtype == "V12" and len(set(load(file["regions"]).tolist())) == 2


def test_lists_of_what_numpy_lacks_cannot_be_shown(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        h5d.create(file.id, b"x", h5t.vlen_create(h5t.UNIX_D32LE), h5s.create_simple((3,)))
        with pytest.raises(CannotBeShown, match="values that h5py has no type for"):
            dataset_as_file(file["x"].id, False)


def test_long_lists_of_numbers_are_a_file_each(run, tmp_path):
    numbers = [np.arange(1_000_000, dtype="<i4"), np.arange(3, dtype="<i4")] * 2
    with h5py.File(tmp_path / "a.h5", "w") as file:
        lists = file.create_dataset("long", (4,), h5py.vlen_dtype("<i4"))
        for i, values in enumerate(numbers):
            lists[i] = values
        file.create_dataset("short", (2,), h5py.vlen_dtype("<i4"))[0] = [1, 2]
    run("h5vfs.py", "unpack", "a.h5", "out")
    for i, values in enumerate(numbers):
        assert (tmp_path / f"out/long/00000{i}").read_bytes() == values.tobytes()
    assert np.load(tmp_path / "out/short.npy").tolist() == [b"[1, 2]", b"[]"]


@pytest.fixture
def odd_types(tmp_path: Path) -> Path:
    """A file with all types of RAW, many texts, unequal texts, and an image."""
    path = tmp_path / "types.h5"
    with h5py.File(path, "w") as file:
        for name, kind in RAW.items():
            write(file, name, kind(), (4,))
        h5d.create(file.id, b"lists", h5t.vlen_create(h5t.UNIX_D32LE), h5s.create_simple((3,)))
        file.create_dataset("many", data=["x"] * 131_073, dtype=h5py.string_dtype())
        texts = ["x"] * 2000
        texts[7] = "y" * 40_000
        file.create_dataset("unequal", data=texts, dtype=h5py.string_dtype())
        huge = file.create_dataset("huge", (1000,), h5py.string_dtype())
        huge[7] = "z" * (2 << 20)  # as one NumPy type they would be 2 GB
        compact = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        compact.set_layout(h5d.COMPACT)
        times = h5t.vlen_create(h5t.UNIX_D32LE)
        h5d.create(file.id, b"compact", times, h5s.create_simple((3,)), compact)
        file["label/image.jpg"] = np.arange(200, dtype=np.uint8)
    return path


def test_good_objects_are_never_bad(run, odd_types, tmp_path):
    done = run("h5vfs.py", "verify", odd_types)
    files = len(RAW) + 2 + 3 + 1000 + 1  # raw, texts in one file, lists, long texts, the image
    right = f"{files:,} files, 0 checksums right, {files:,} readable, without a checksum, 1 cannot be shown"
    assert done.stdout == f"{odd_types}: {right}\n"
    reason = "its elements have texts or lists of any length, with values that h5py has no type for"
    compact = f"compact: cannot be shown: {reason}"
    assert without_summary(done.stderr) == f"h5vfs: {odd_types}: {compact}\n"
    done = run("h5vfs.py", "unpack", odd_types, "out")
    assert f"h5vfs: {compact}\n" in done.stderr and "passed over 1 object that cannot be shown" in done.stderr
    assert len(np.load(tmp_path / "out/many.npy")) == 131_073
    assert np.load(tmp_path / "out/unequal.npy")[7] == b"y" * 40_000
    assert (tmp_path / "out/huge/000007.txt").stat().st_size == 2 << 20
    done = run("h5vfs.py", "cat", odd_types, "compact", check=False)
    assert (done.returncode, done.stderr) == (1, f"h5vfs: error: {compact}\n")
