"""One header of a tar, as tarfile reads it; those of plain files in a fourth of the time."""

from __future__ import annotations

import re
import tarfile

# The numbers of a plain file as GNU tar, bsdtar and Python write them: mode, uid, gid, size, time, checksum.
_NUMBERS = re.compile(rb"(?:[0-7]{6}[0-7 ]\0){3}([0-7]{11})[\0 ]([0-7]{11})[\0 ]([0-7]{6})(?:\0 | \0)[0\0]")
_BEGIN, _CHECKSUM, _TYPE, _DEVICE, _PREFIX = 100, slice(148, 156), slice(156, 157), slice(329, 345), 345
_NO_DEVICE = (bytes(16), b"0000000\0" * 2, b"000000 \0" * 2)
_BLANK_CHECKSUM = 8 * ord(" ")  # the checksum counts its own field as blanks


class TarInfo(tarfile.TarInfo):
    """A header with name, size, time and type; the other fields of a plain file have their defaults."""

    @classmethod
    def frombuf(cls, buf: bytes, encoding: str, errors: str) -> tarfile.TarInfo:  # type: ignore[override]
        """The header in a block. Raises tarfile.HeaderError."""
        return cls._plain_file(buf, encoding, errors) or super().frombuf(buf, encoding, errors)

    @classmethod
    def _plain_file(cls, buf: bytes, encoding: str, errors: str) -> tarfile.TarInfo | None:
        """The header of a plain file; None if it may be another one, or a broken one."""
        numbers = _NUMBERS.match(buf, _BEGIN)
        if numbers is None or len(buf) != tarfile.BLOCKSIZE or buf[_DEVICE] not in _NO_DEVICE:
            return None
        size, time, checksum = (int(octal, 8) for octal in numbers.groups())
        if checksum != sum(buf) - sum(buf[_CHECKSUM]) + _BLANK_CHECKSUM:
            return None
        name = buf[:_BEGIN].partition(b"\0")[0]
        if buf[_PREFIX] or name.endswith(b"/"):  # a longer name; a folder of an old tar
            return None
        info = cls(name.decode(encoding, errors))
        info.size, info.mtime, info.type = size, time, buf[_TYPE]
        return info
