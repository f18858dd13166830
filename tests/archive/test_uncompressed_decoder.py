"""A plain file is read as it is."""

from __future__ import annotations

import os

from imagestore.archive.uncompressed_decoder import UncompressedDecoder
from tests.helpers.archives import write


def test_a_seek_stays_within_the_file(tmp_path):
    fd = os.open(write(tmp_path / "file", b"0123456789"), os.O_RDONLY)
    decoder = UncompressedDecoder(fd)
    assert decoder.seek(7) == 7 and decoder.read(9) == b"789"
    assert decoder.seek(100) == 10 and decoder.read(1) == b""
    assert decoder.seek(-1) == 0 and decoder.read(2) == b"01"
    decoder.close()
    os.close(fd)
