"""Write files so that nobody ever sees half of one: beside the final name, synced, then renamed.

`write_whole` is for results that one `with` block can write. Stores use the other functions.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from imagestore.console import UserError

LONGEST_STEM = 200  # bytes of a file's name in the name of its temporary file


@contextlib.contextmanager
def write_whole(path: str | Path, *, synced: bool = True) -> Iterator[Path]:
    """Give a temporary path beside `path`; at the end of the block, put the file written there at `path`.

    If the block raises, the temporary file is removed and `path` stays as it was. Raises UserError if no file
    can be put at `path`, and OSError. Without `synced`, a power failure may leave a part of the file at
    `path`: only for a file with checksums that can be made again.
    """
    path = Path(path)
    check_writable(path)
    stem = os.fsdecode(os.fsencode(path.name)[:LONGEST_STEM])
    temporary = path.with_name(f".{stem}.{os.urandom(4).hex()}.tmp")
    try:
        yield temporary
        put_in_place(temporary, path, synced=synced)
    except OSError as error:
        if error.filename == os.fspath(temporary):  # a name that no user knows
            error.filename = os.fspath(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)


def check_writable(path: Path) -> None:
    """Raise UserError if no file can be put at `path`: a folder is there, or none can be made beside it."""
    import tempfile  # here: it is slow to import, and --help does not need it

    folder = path.parent
    check_replaceable(path)
    if not folder.is_dir():
        raise UserError(f"{path}: there is no folder {folder}; make it first")
    if os.statvfs(folder).f_flag & os.ST_RDONLY:
        raise UserError(f"{path}: {folder} is on a read-only file system; write elsewhere")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UserError(f"{path}: no permission to write in {folder}; write elsewhere")
    try:
        with tempfile.TemporaryFile(dir=folder):  # /proc seems to be writable, and a quota may be used up
            pass
    except OSError as error:
        raise UserError(
            f"{path}: no file can be made in {folder} ({error.strerror}); write elsewhere"
        ) from None


def check_replaceable(path: Path) -> None:
    """Raise UserError if `path` is a folder, a device or a pipe: no file may take its place."""
    if path.is_dir():
        raise UserError(f"{path}: is a folder; give the name of a file to write")
    if path.exists() and not path.is_file():
        raise UserError(f"{path}: is a device or a pipe; give the name of a file to write")


def put_in_place(temporary: Path, path: Path, *, synced: bool = True) -> None:
    """Put a finished file at `path`, with the mode of the file that was there. Raises OSError.

    The file is there after a power failure too, unless it is not `synced`.
    """
    if path.exists():
        temporary.chmod(path.stat().st_mode & 0o7777)
    if not synced:
        temporary.replace(path)
        return
    _sync(temporary, os.O_RDONLY)
    temporary.replace(path)
    with contextlib.suppress(OSError):  # some network file systems cannot sync a folder
        _sync(path.parent, os.O_RDONLY | os.O_DIRECTORY)


def _sync(path: Path, flags: int) -> None:
    fd = os.open(path, flags)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
