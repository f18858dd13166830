"""The kinds of damage that an archive may have. They are told apart by what can still be used."""

from __future__ import annotations


class Damaged(Exception):
    """The data are broken in the bytes of this read. Earlier reads have delivered all bytes before.

    If the decompressor found the damage, a checksum has confirmed the first `confirmed` decompressed bytes.
    If the tar itself makes no sense, `confirmed` is None.
    """

    confirmed: int | None = None


class CutShort(Damaged):
    """The data end too early."""


class WrongChecksum(Damaged):
    """A checksum at the end (gzip) or behind a block (xz) does not fit the many bytes that were delivered."""
