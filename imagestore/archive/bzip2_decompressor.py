"""bzip2: by the standard library from front to back, or by rapidgzip with seek points."""

from __future__ import annotations

import bz2
import io

from imagestore.archive.forward_decompressor import ForwardDecompressor
from imagestore.archive.joined_streams import JoinedStreams
from imagestore.archive.rapidgzip_decompressor import RapidgzipDecompressor

MAGIC = b"BZh"


class Bzip2Decompressor(ForwardDecompressor):
    """bzip2 by the standard library."""

    def _open(self, file: io.BufferedReader) -> JoinedStreams:
        return JoinedStreams(file, bz2.BZ2Decompressor, MAGIC)


class RapidBzip2Decompressor(RapidgzipDecompressor):
    """bzip2 by rapidgzip. It fails in a cut file: each block and the whole have a checksum."""

    plain_decompressor = Bzip2Decompressor

    def _is_true_end(self, position: int) -> bool:
        return True
