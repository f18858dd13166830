"""The files that datasets of all kinds hold."""

from __future__ import annotations

import os
from pathlib import Path

import h5py
import numpy as np
import pytest

from imagestore.hdf5.element_files import ElementFiles
from imagestore.hdf5.entry import ELEMENTS, NO_OFFSET
from imagestore.hdf5.global_heap import HeapReader
from imagestore.hdf5.held_files import (
    OTHER_FILE,
    OneFile,
    element_files,
    held_files,
    read_element,
    read_file,
)
from tests.helpers.held_images import BYTES_OF_ANY_LENGTH, add_vlen, as_array, padded, picture

PICTURES = [picture(number) for number in range(7)]


def make(path: Path, value: object, **options: object) -> Path:
    """A file with the dataset "x"."""
    with h5py.File(path, "w") as file:
        file.create_dataset("x", data=value, **options)
    return path


def found(path: Path) -> tuple[OneFile | None, ElementFiles | None]:
    """What the dataset "x" holds; each offset is compared with the bytes in the file."""
    with path.open("rb") as raw, h5py.File(path) as file:
        held = held_files(file["x"].id, raw.fileno())
        return (None, element_files(file["x"].id, raw.fileno())) if held == ELEMENTS else (held, None)


def contents(path: Path) -> list[bytes]:
    """All element files of "x", read from their offsets; through HDF5 they must be the same."""
    with path.open("rb") as raw, h5py.File(path) as file:
        dataset, fd, read = file["x"].id, raw.fileno(), []
        for number, (size, offset, heap_number) in enumerate(
            zip(*element_files(dataset, fd)[1:], strict=True)
        ):
            if heap_number:
                offset = HeapReader(fd).place_of(int(offset), int(heap_number), int(size))
            through_hdf5 = read_element(dataset, number, int(size))
            assert offset == NO_OFFSET or os.pread(fd, size, offset) == through_hdf5
            read.append(through_hdf5)
        return read


# ----- one file -----


@pytest.mark.parametrize(
    "value",
    [
        np.void(PICTURES[0]),
        as_array(PICTURES[0]).view(np.int8),
        as_array(PICTURES[0])[None, :],
        as_array(PICTURES[0])[:, None],
        as_array(PICTURES[0]).view(np.int8)[None, None, :],
        np.bytes_(PICTURES[0]),
    ],
)
def test_bytes_in_any_type_are_the_file_they_hold(tmp_path, value):
    path = make(tmp_path / "a.h5", value)
    file, elements = found(path)
    assert (file.size, file.is_image, elements) == (len(PICTURES[0]), True, None)
    assert path.read_bytes()[file.offset :][: file.size] == PICTURES[0]


@pytest.mark.parametrize("options", [{"chunks": (1, 50)}, {"chunks": (1, 50), "compression": "gzip"}])
def test_a_row_in_chunks_is_read_through_hdf5(tmp_path, options):
    path = make(tmp_path / "a.h5", as_array(PICTURES[0])[None, :], **options)
    file, _ = found(path)
    assert file == OneFile(len(PICTURES[0]), NO_OFFSET, is_image=True)
    with h5py.File(path) as opened:
        assert read_file(opened["x"].id, file.size) == PICTURES[0]


def test_a_text_ends_where_its_image_ends(tmp_path):
    path = make(tmp_path / "a.h5", np.array(PICTURES[0], dtype=f"S{len(PICTURES[0]) + 9}"))
    assert found(path)[0].size == len(PICTURES[0])


def test_a_single_value_of_any_length_is_a_file(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("x", (), BYTES_OF_ANY_LENGTH)[()] = as_array(PICTURES[0])
    file, elements = found(path)
    assert (file.is_image, elements) == (True, None)
    assert path.read_bytes()[file.offset :][: file.size] == PICTURES[0]


def test_opaque_bytes_are_a_file_even_if_they_are_no_image(tmp_path):
    file, _ = found(make(tmp_path / "a.h5", np.void(b"a pickle")))
    assert (file.size, file.is_image) == (8, False)


@pytest.mark.parametrize(
    "value",
    [
        np.arange(-5, 90, dtype=np.int8),
        np.zeros((1, 400), np.uint8),
        np.bytes_(b"a text"),
        np.float64(1),
        np.zeros((4, 30, 30), np.uint8),
        "a text",
    ],
)
def test_numbers_and_texts_are_no_files(tmp_path, value):
    assert found(make(tmp_path / "a.h5", value)) == (None, None)


# ----- a file for each element -----


def opaque(values: list[bytes]) -> np.ndarray:
    return np.array([np.void(value) for value in values], f"V{max(map(len, values))}")


@pytest.mark.parametrize(
    ("value", "options"),
    [
        (padded(PICTURES), {}),
        (padded(PICTURES).view(np.int8), {}),
        (padded(PICTURES)[:, None, :], {}),
        (padded(PICTURES), {"chunks": (2, 100)}),
        (padded(PICTURES), {"chunks": (2, 100), "compression": "gzip", "shuffle": True}),
        (opaque(PICTURES), {}),
        (np.array(PICTURES), {}),
        (np.array(PICTURES), {"chunks": (3,), "compression": "lzf"}),
    ],
)
def test_rows_of_images_are_files_without_padding(tmp_path, value, options):
    path = make(tmp_path / "a.h5", value, **options)
    one, elements = found(path)
    assert (one, elements.suffix, len(elements.size)) == (None, ".jpg", len(PICTURES))
    assert contents(path) == PICTURES


@pytest.mark.parametrize("options", [{}, {"chunks": (2,)}, {"chunks": (3,), "compression": "gzip"}])
def test_elements_of_any_length_are_files(tmp_path, options):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w", userblock_size=512) as file:
        add_vlen(file, "x", PICTURES, **options)
    assert found(path)[1].suffix == ".jpg"
    assert contents(path) == PICTURES


def test_elements_of_several_axes_are_numbered_in_c_order(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        dataset = file.create_dataset("x", (2, 3), BYTES_OF_ANY_LENGTH)
        for number in range(6):
            dataset[divmod(number, 3)] = as_array(PICTURES[number])
    assert contents(path) == PICTURES[:6]


@pytest.mark.parametrize("chunks", [None, (3,)])
def test_opaque_values_with_a_tag(tmp_path, chunks):
    width = max(map(len, PICTURES))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        kind, layout = h5py.h5t.create(h5py.h5t.OPAQUE, width), h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        kind.set_tag(b"image/jpeg")
        if chunks:
            layout.set_chunk(chunks)
        space = h5py.h5s.create_simple((len(PICTURES),))
        dataset = h5py.h5d.create(file.id, b"x", kind, space, dcpl=layout)
        dataset.write(h5py.h5s.ALL, h5py.h5s.ALL, opaque(PICTURES), mtype=kind)
    assert contents(tmp_path / "a.h5") == PICTURES


def test_elements_that_are_no_images_are_files_without_a_suffix(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        add_vlen(file, "x", [b"", b"some bytes", b"others"])
    assert (found(path)[1].suffix, contents(path)) == ("", [b"", b"some bytes", b"others"])


def test_the_first_element_with_bytes_gives_the_suffix(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        add_vlen(file, "x", [b"", picture(1, "PNG"), picture(2)])
    assert found(path)[1].suffix == ".png"


def test_elements_of_another_file_are_read_through_hdf5(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        add_vlen(file, "x", PICTURES)
        files = element_files(file["x"].id, OTHER_FILE)
        assert (files.size.tolist(), set(files.offset)) == ([len(data) for data in PICTURES], {NO_OFFSET})


def test_a_damaged_element_costs_only_itself(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        add_vlen(file, "x", [bytes(70_000), *PICTURES])
        collection = element_files_of(path, file)
    with path.open("r+b") as raw:
        raw.seek(collection)
        raw.write(b"\xff" * 16)
    _, elements = found(path)
    assert (elements.suffix, elements.size.tolist()) == (".jpg", [70_000, *map(len, PICTURES)])


def element_files_of(path: Path, file: h5py.File) -> int:
    """Where the heap collection of the first element of "x" is."""
    file.flush()
    with path.open("rb") as raw:
        return int(element_files(file["x"].id, raw.fileno()).offset[0])


def test_an_empty_row_among_images_is_an_empty_file(tmp_path):
    path = make(tmp_path / "a.h5", padded([b"", *PICTURES]))
    assert contents(path) == [b"", *PICTURES]


@pytest.mark.parametrize(
    "value",
    [
        np.full((30, 40), 200, np.uint8),
        np.zeros((30, 40), np.uint8),
        padded([*PICTURES[:3], b"no image"]),
        np.array([b"ab", b"cd"]),
        opaque([b"ab", b"cd"]),
    ],
)
def test_pixels_and_numbers_are_no_folder_of_files(tmp_path, value):
    assert found(make(tmp_path / "a.h5", value)) == (None, None)


def test_bytes_that_may_not_be_read_are_not_looked_at(tmp_path):
    (tmp_path / "raw").write_bytes(padded(PICTURES).tobytes())
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        shape = padded(PICTURES).shape
        dataset = file.create_dataset("x", shape, np.uint8, external=[(str(tmp_path / "raw"), 0, 10**7)])
        with pytest.raises(OSError, match="another file"):
            held_files(dataset.id, OTHER_FILE)
        assert held_files(dataset.id, OTHER_FILE, follow_external=True) == ELEMENTS
