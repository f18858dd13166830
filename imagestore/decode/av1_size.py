"""The size of the largest AV1 frame in an AVIF.

Pillow tells the size that the container says. The decoder takes memory for the size that the frames say, and
a hostile file may say another one there.
"""

from __future__ import annotations

from collections.abc import Iterator

from imagestore.decode.errors import NotAnImage

ROOM = 1 << 20  # pixels by which frames may be larger than twice the picture: encoders round up
CONTAINERS = {
    b"moov",
    b"trak",
    b"mdia",
    b"minf",
    b"stbl",
}  # boxes that hold boxes, on the way to a track's frames
SEQUENCE_HEADER, TEMPORAL_DELIMITER = 1, 2  # kinds of OBU (AV1 specification, 6.2.2)


def check_frames(data: bytes, size: tuple[int, int]) -> None:
    """Raise NotAnImage if a frame is much larger than the (width, height) that the container says."""
    width, height = largest_frame(data)
    if width * height > 2 * size[0] * size[1] + ROOM:
        raise NotAnImage(
            f"claims {size[0]:,} x {size[1]:,} pixels and has {width:,} x {height:,}; it is not decoded"
        )


def largest_frame(data: bytes) -> tuple[int, int]:
    """The largest (width, height) of the first frame of each item and each track; (0, 0) if there is none."""
    sizes = [size for start in _starts_of_frames(data) if (size := _frame_size(data, start))]
    return max(sizes, key=lambda size: size[0] * size[1], default=(0, 0))


# ----- boxes (ISO/IEC 14496-12) -----


def _boxes(data: bytes, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """The kind of each box between two places, and where its body begins and ends."""
    while start + 8 <= end:
        size, header = _number(data, start, 4), 8
        if size == 1:
            size, header = _number(data, start + 8, 8), 16
        box_end = start + size if size else end
        if box_end < start + header or box_end > end:
            return
        yield data[start + 4 : start + 8], start + header, box_end
        start = box_end


def _starts_of_frames(data: bytes) -> Iterator[int]:
    """Where the data of items and of tracks begin."""
    for kind, start, end in _boxes(data, 0, len(data)):
        if kind == b"meta":
            inside = {kind: start for kind, start, _ in _boxes(data, start + 4, end)}
            if b"iloc" in inside:
                yield from _starts_of_items(data, inside[b"iloc"], inside.get(b"idat", 0))
        elif kind == b"moov":
            yield from _starts_of_chunks(data, start, end)


def _starts_of_items(data: bytes, place: int, item_data: int) -> Iterator[int]:
    """Where the items begin, by the table `iloc` (8.11.3)."""
    version = data[place]
    sizes = _number(data, place + 4, 2)
    offset_size, length_size, base_size = sizes >> 12, sizes >> 8 & 15, sizes >> 4 & 15
    index_size = sizes & 15 if version else 0
    wide = 4 if version == 2 else 2
    count, place = _number(data, place + 6, wide), place + 6 + wide
    for _ in range(count):
        in_item_data = version and _number(data, place + wide, 2) & 15 == 1
        place += wide + (4 if version else 2)
        base, extents = _number(data, place, base_size), _number(data, place + base_size, 2)
        place += base_size + 2
        if extents:
            offset = base + _number(data, place + index_size, offset_size)
            yield offset + (item_data if in_item_data else 0)
        place += extents * (index_size + offset_size + length_size)
        if place >= len(data):
            return


def _starts_of_chunks(data: bytes, start: int, end: int) -> Iterator[int]:
    """Where the first frames of tracks begin, by their tables `stco` and `co64` (8.7.5)."""
    for kind, body, body_end in _boxes(data, start, end):
        if kind in CONTAINERS:
            yield from _starts_of_chunks(data, body, body_end)
        elif kind in (b"stco", b"co64"):
            yield _number(data, body + 8, 4 if kind == b"stco" else 8)


def _number(data: bytes, place: int, size: int) -> int:
    return int.from_bytes(data[place : place + size], "big")


# ----- AV1 -----


def _frame_size(data: bytes, place: int) -> tuple[int, int] | None:
    """The (width, height) of the sequence header at the start of a frame's data."""
    for _ in range(4):
        if place >= len(data):
            return None
        header = data[place]
        kind, has_extension, has_size = header >> 3, header >> 2 & 1, header >> 1 & 1
        place += 1 + has_extension
        size, place = _leb128(data, place) if has_size else (len(data), place)
        if kind == SEQUENCE_HEADER:
            return _size_in_header(_Bits(data[place : place + min(size, 128)]))
        if kind != TEMPORAL_DELIMITER:
            return None
        place += size
    return None


def _leb128(data: bytes, place: int) -> tuple[int, int]:
    """A number of seven bits a byte, the lowest first, and where it ends (4.10.5)."""
    number = 0
    for i, byte in enumerate(data[place : place + 8]):
        number |= (byte & 127) << 7 * i
        if byte < 128:
            return number, place + i + 1
    return number, place + 8


class _Bits:
    """Numbers of any count of bits, one after another."""

    def __init__(self, data: bytes) -> None:
        self._number, self._left = int.from_bytes(data, "big"), 8 * len(data)

    def read(self, count: int) -> int:
        """The next number; bits behind the end are 0."""
        self._left -= count
        shifted = self._number >> self._left if self._left >= 0 else self._number << -self._left
        return shifted & ((1 << count) - 1)


def _size_in_header(bits: _Bits) -> tuple[int, int]:
    """The largest frame that a sequence header allows (5.5.1)."""
    bits.read(4)  # profile, still picture
    if bits.read(1):  # reduced header
        bits.read(5)
    else:
        _pass_operating_points(bits)
    width_bits, height_bits = bits.read(4) + 1, bits.read(4) + 1
    return bits.read(width_bits) + 1, bits.read(height_bits) + 1


def _pass_operating_points(bits: _Bits) -> None:
    """Read what stands between the start of a sequence header and its size."""
    delay_bits = _pass_timing(bits) if bits.read(1) else 0
    has_display_delay = bits.read(1)
    for _ in range(bits.read(5) + 1):
        bits.read(12)
        if bits.read(5) > 7:
            bits.read(1)
        if delay_bits and bits.read(1):
            bits.read(2 * delay_bits + 1)
        if has_display_delay and bits.read(1):
            bits.read(4)


def _pass_timing(bits: _Bits) -> int:
    """Read the timing; return the bits of a delay, 0 without a decoder model (5.5.3 and 5.5.4)."""
    bits.read(64)
    if bits.read(1):
        zeros = 0
        while zeros < 32 and not bits.read(1):
            zeros += 1
        bits.read(zeros)
    if not bits.read(1):
        return 0
    delay_bits = bits.read(5) + 1
    bits.read(32 + 5 + 5)
    return delay_bits
