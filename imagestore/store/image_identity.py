"""Which image is which: by the member's name, and the size and the CRC-32 of its bytes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from isal.isal_zlib import crc32

from imagestore.store.reader import ImageStore


def identity(member: bytes, size: int, checksum: int) -> int:
    """A number that tells images apart: by the member's name, and its bytes' size and CRC-32."""
    return (checksum << 64) | (crc32(member) << 32) | (size & 0xFFFFFFFF)


def identities(store: ImageStore) -> Iterator[int]:
    """The `identity` of each image of a store, in the order of its index."""
    index = store.index
    members = (index.member(i) or index.name(i).rpartition(b"/")[2] for i in range(len(index)))
    for member, size, checksum in zip(members, index.size.tolist(), checksums(store), strict=True):
        yield identity(member, size, checksum)


def checksums(store: ImageStore) -> Iterator[int]:
    """The CRC-32 of each image: the stored one, or that of its bytes if another tool stored none."""
    stored = zip(store.index.crc32.tolist(), store.index.has_crc.tolist(), strict=True)
    for i, (checksum, has_checksum) in enumerate(stored):
        if not has_checksum:
            with contextlib.suppress(OSError):  # an image that cannot be read equals no new image
                checksum = crc32(store.read(i))
        yield checksum
