"""bzip2: by the standard library from front to back, or by rapidgzip with seek points."""

from __future__ import annotations

import bz2
import io

from imagestore.decompression.damage import CutShort, Damaged, WrongChecksum
from imagestore.decompression.forward_decompressor import ForwardDecompressor
from imagestore.decompression.joined_streams import JoinedStreams
from imagestore.decompression.rapidgzip_decompressor import RapidgzipDecompressor

MAGIC = b"BZh"


class Bzip2Decompressor(ForwardDecompressor):
    """bzip2 by the standard library."""

    def _open(self, file: io.BufferedReader) -> JoinedStreams:
        return JoinedStreams(file, bz2.BZ2Decompressor, MAGIC)

    def _damage(self, error: Exception) -> Damaged:
        """A block's checksum comes behind its bytes: bytes that were delivered may be wrong."""
        damage = super()._damage(error)
        return damage if isinstance(damage, CutShort) else WrongChecksum("wrong checksum of a block")


class RapidBzip2Decompressor(RapidgzipDecompressor):
    """bzip2 by rapidgzip. It fails in a cut file: each block and the whole have a checksum."""

    plain_decompressor = Bzip2Decompressor

    def _is_true_end(self, position: int) -> bool:
        return True
