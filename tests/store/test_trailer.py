"""The index of a store in its own file: its bytes, and when it is believed."""

from __future__ import annotations

import json
import os
import struct
import zlib
from pathlib import Path

import h5py
import numpy as np
import pytest

from imagestore.hdf5.superblock import end_of_file_address
from imagestore.store.index_builder import IndexBuilder
from imagestore.store.reader import ImageStore
from imagestore.store.record import ImageRecord
from imagestore.store.trailer import read_trailer, write_trailer
from tests.helpers.written_stores import (
    CREATED,
    EDITS,
    IMAGES,
    MODIFIED,
    cut_the_index_off,
    edit_with_the_old_time,
    images_by_h5py,
    images_by_member,
    images_by_path,
)


def end_of_data(path: Path) -> int:
    """Where the HDF5 data of a file end, from bytes 40 to 47 of a version 0 superblock."""
    return struct.unpack_from("<Q", path.read_bytes(), 40)[0]


# ----- the bytes, read here with struct and json only -----


def test_the_footer_is_at_the_end_of_the_file(store_path):
    data = store_path.read_bytes()
    magic, begin, length, checksum, padding = struct.unpack("<16sQQI4s", data[-40:])
    assert (magic, begin, padding) == (b"imagestore-index", end_of_data(store_path), bytes(4))
    header = data[-40 - length : -40]
    assert zlib.crc32(header) == checksum
    facts = json.loads(header)
    assert facts.keys() == {"labels", "start", "whole", "columns"}
    assert (facts["labels"], facts["start"]) == (["dark-blue", "red", "white"], [0, 2, 4, 8])
    assert facts["whole"] is True


def columns_of(path: Path) -> dict[str, np.ndarray]:
    """The columns of a trailer; each is at a multiple of 8 bytes behind the data, and has its checksum."""
    data = path.read_bytes()
    (length,) = struct.unpack_from("<Q", data, len(data) - 16)
    columns, end = {}, end_of_data(path)
    for key, (dtype, offset, count, checksum) in json.loads(data[-40 - length : -40])["columns"].items():
        assert offset % 8 == 0 and 0 <= offset - end < 8 and not any(data[end:offset])
        end = offset + count * np.dtype(dtype).itemsize
        assert zlib.crc32(data[offset:end]) == checksum
        columns[key] = np.frombuffer(data[offset:end], dtype)
    assert 0 <= len(data) - 40 - length - end < 8
    return columns


def test_the_columns_say_where_each_image_is(store_path):
    columns, data = columns_of(store_path), store_path.read_bytes()
    assert {key: column.dtype.str for key, column in columns.items()} == {
        "offset": "<i8", "size": "<i8", "mtime": "<i8", "created": "<i8", "crc32": "<u4", "has_crc": "|i1",
        "name_end": "<i8", "name_text": "|u1", "member_end": "<i8", "member_text": "|u1",
    }  # fmt: skip
    ends = columns["member_end"].tolist()
    members = [columns["member_text"].tobytes()[a:b] for a, b in zip([0, *ends], ends, strict=False)]
    labels = ["dark-blue"] * 2 + ["red"] * 2 + ["white"] * 4
    for i, key in enumerate(zip(labels, members, strict=True)):
        offset, size = int(columns["offset"][i]), int(columns["size"][i])
        assert data[offset : offset + size] == IMAGES[key]
        assert zlib.crc32(IMAGES[key]) == columns["crc32"][i]
    assert columns["mtime"].tolist() == [MODIFIED] * 8 and columns["created"].tolist() == [CREATED] * 8
    assert columns["has_crc"].tolist() == [1] * 8


def test_a_trailer_made_by_hand_is_believed(tmp_path):
    """The other direction: what this test writes with struct and json is a valid index."""
    path, data = tmp_path / "a.h5", b"twelve bytes"
    with h5py.File(path, "w") as file:
        file.create_dataset("red/\u00e9.jpg", data=np.frombuffer(data, np.uint8))
        offset = file["red/\u00e9.jpg"].id.get_offset()
    begin, name = path.stat().st_size, "\u00e9.jpg".encode()
    assert begin == end_of_data(path)
    values = {
        "offset": struct.pack("<q", offset), "size": struct.pack("<q", 12), "mtime": struct.pack("<q", 1),
        "created": struct.pack("<q", 2), "crc32": struct.pack("<I", zlib.crc32(data)), "has_crc": b"\1",
        "name_end": struct.pack("<q", len(name)), "name_text": name, "member_end": struct.pack("<q", 0),
        "member_text": b"",
    }  # fmt: skip
    types = dict.fromkeys(values, "<i8") | {"crc32": "<u4", "has_crc": "|i1"}
    types |= {"name_text": "|u1", "member_text": "|u1"}
    body, columns = b"", {}
    for key, value in values.items():
        body += bytes(-(begin + len(body)) % 8)
        count = len(value) // np.dtype(types[key]).itemsize
        columns[key] = [types[key], begin + len(body), count, zlib.crc32(value)]
        body += value
    body += bytes(-(begin + len(body)) % 8)
    header = json.dumps({"labels": ["red"], "start": [0, 1], "whole": True, "columns": columns}).encode()
    footer = struct.pack("<16sQQI4x", b"imagestore-index", begin, len(header), zlib.crc32(header))
    with path.open("ab") as file:
        file.write(body + header + footer)
    with ImageStore(path) as store:
        assert store.index.written_with_store and store.index.covers_whole_file
        assert (store.path_of(0), store.read(0)) == ("red/\u00e9.jpg", data)
        assert store.index.record(0) == ImageRecord(
            label=b"red", name=name, size=12, crc32=zlib.crc32(data), mtime=1, created=2
        )


# ----- whether it is believed -----


def test_a_flipped_byte_in_the_index_costs_nothing(store_path):
    intact = store_path.read_bytes()
    for position in range(end_of_data(store_path), len(intact), 7):
        damaged = bytearray(intact)
        damaged[position] ^= 0x55
        store_path.write_bytes(damaged)
        with ImageStore(store_path) as store:
            assert images_by_member(store) == IMAGES, position


def test_every_flipped_byte_is_noticed(tmp_path):
    """Each byte behind the data; read_trailer alone, without the walk that would mend it."""
    path, builder = tmp_path / "trailer", IndexBuilder()
    builder.add(ImageRecord(label=b"red", name=b"1.jpg", size=3, crc32=7), 5)
    builder.add(ImageRecord(label=b"blue", name=b"2", size=4, member=b"jpg/2"), 9)
    path.write_bytes(b"some data")
    with path.open("r+b") as file:
        write_trailer(file.fileno(), 9, builder.build())
        assert read_trailer(file.fileno(), 9) is not None
        for position in range(9, path.stat().st_size):
            (byte,) = os.pread(file.fileno(), 1, position)
            os.pwrite(file.fileno(), bytes([byte ^ 0x10]), position)
            assert read_trailer(file.fileno(), 9) is None, position
            os.pwrite(file.fileno(), bytes([byte]), position)
        assert read_trailer(file.fileno(), 9) is not None


def test_a_trailer_that_data_were_added_before_is_ignored(store_path):
    """The end-of-file address in the superblock then points elsewhere."""
    data = bytearray(store_path.read_bytes())
    struct.pack_into("<Q", data, 40, end_of_data(store_path) + 8)
    store_path.write_bytes(data)
    with store_path.open("rb") as file:
        assert read_trailer(file.fileno(), end_of_file_address(file.fileno())) is None


def test_a_file_without_the_key_whole_covers_less(store_path):
    """Older stores lack it: then nobody can know that the file holds only these images."""
    data = store_path.read_bytes()
    (length,) = struct.unpack_from("<Q", data, len(data) - 16)
    facts = json.loads(data[-40 - length : -40])
    del facts["whole"]
    header = json.dumps(facts).encode()
    footer = struct.pack(
        "<16sQQI4x", b"imagestore-index", end_of_data(store_path), len(header), zlib.crc32(header)
    )
    store_path.write_bytes(data[: -40 - length] + header + footer)
    with ImageStore(store_path) as store:
        assert store.index.written_with_store and not store.index.covers_whole_file


def test_hdf5_cuts_the_trailer_off(store_path):
    """The format depends on it."""
    end = end_of_data(store_path)
    cut_the_index_off(store_path)
    assert store_path.stat().st_size == end_of_data(store_path) <= end
    with ImageStore(store_path) as store:
        assert not store.index.written_with_store


@pytest.mark.parametrize("edit", EDITS)
def test_no_edit_by_another_tool_gives_wrong_bytes(store_path, edit):
    edit_with_the_old_time(edit, store_path)
    expected = images_by_h5py(store_path)
    assert images_by_path(store_path) == expected
