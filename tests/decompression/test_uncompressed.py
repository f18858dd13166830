"""A plain file is read as it is."""

from __future__ import annotations

import os

from imagestore.decompression.uncompressed import UncompressedFile
from tests.helpers.archives import write


def test_a_seek_stays_within_the_file(tmp_path):
    fd = os.open(write(tmp_path / "file", b"0123456789"), os.O_RDONLY)
    decompressor = UncompressedFile(fd)
    assert decompressor.seek(7) == 7 and decompressor.read(9) == b"789"
    assert decompressor.seek(100) == 10 and decompressor.read(1) == b""
    decompressor.close()
    os.close(fd)
