"""Open an archive of any format.

To add a format, write a class that offers what the Archive protocol says, in a file of its own. Then let
`_open_by_content` recognise the format. Kinds other than tars and folders are imported when a file is of that
kind: a run starts sooner without them.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from imagestore.archive.folder_archive import FolderArchive
from imagestore.archive.members import SourceLabels
from imagestore.archive.protocol import Archive
from imagestore.archive.tar_archive import TarArchive, find_tar
from imagestore.console import UserError, describe
from imagestore.decompression.decompressing_processes import DecompressingProcesses
from imagestore.hdf5.superblock import has_signature
from imagestore.sources.no_archive import NoArchive, check_is_no_part
from imagestore.tables.table_options import TableOptions

PARQUET_SIGNATURE = b"PAR1"
MAT_SIGNATURE = b"MATLAB 5.0 MAT-file"
MARK_OF_UTF_8 = b"\xef\xbb\xbf"
# With members, without any, and split in one part or in more, which are joined again.
ZIP_SIGNATURES = (b"PK\3\4", b"PK\5\6", b"PK00PK\3\4", b"PK\7\x08PK\3\4")
BEGINNING = 0x8010  # bytes by which a file is recognised; ISO 9660 has its mark behind 32 KiB


def open_archive(
    path: Path,
    index: Path | None = None,
    *,
    ignore_zeros: bool = False,
    labels: SourceLabels | None = None,
    processes: DecompressingProcesses | None = None,
    follow_external: bool = False,
) -> Archive:
    """Open a folder of images, or an archive file, whose content tells its format. Raises UserError.

    `index` names the file that holds the archive's index, in place of a file in the user's cache folder. With
    `ignore_zeros`, the images behind an end mark belong to the archive, too (`cat a.tar b.tar`). With
    `labels`, members have the labels that the archive itself holds. The `processes` decompress tars.
    HDF5 files may lead to other files in their folder or below it, with `follow_external` to all.
    """
    path = Path(path)
    if path.is_dir():
        return FolderArchive(path)
    file, inner = split_inner_path(path)
    options = TableOptions(index=index, labels=labels, follow_external=follow_external)
    descriptor = _open_file(file)
    try:
        if inner:
            return _open_part(path, file, descriptor, inner, options)
        return _open_by_content(path, descriptor, options, ignore_zeros=ignore_zeros, processes=processes)
    except BaseException:
        os.close(descriptor)
        raise


def split_inner_path(path: Path) -> tuple[Path, str]:
    """The file of a path such as `file.h5:/train/images`, and the path in it, or "" if there is none."""
    before, separator, after = str(path).partition(":/")
    if not separator or path.exists() or not Path(before).is_file():
        return path, ""
    return Path(before), after.strip("/")


def is_table(path: Path) -> bool:
    """Whether a file is Parquet, HDF5, MATLAB or JSON Lines, or a part of one. Most hold labels, too."""
    file, _ = split_inner_path(path)
    if not file.is_file():
        return False
    try:
        with file.open("rb") as opened:
            beginning = opened.read(BEGINNING)
            return beginning.startswith((PARQUET_SIGNATURE, MAT_SIGNATURE)) or (
                _may_be_json_lines(beginning) or has_signature(opened.fileno())
            )
    except OSError:
        return False


def _open_file(path: Path) -> int:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise UserError(describe(error)) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise UserError(
            f"{path} is neither a file nor a folder: an archive is read twice, which a pipe does not allow"
        )
    return descriptor


def _open_by_content(path: Path, descriptor: int, options: TableOptions, **of_tars: object) -> Archive:
    """Return an archive that owns the descriptor; each format has its lines here."""
    beginning = _read_beginning(path, descriptor)
    check_is_no_part(path, descriptor)
    if beginning.startswith(ZIP_SIGNATURES):
        from imagestore.archive.zip_archive import ZipArchive

        return ZipArchive(path, descriptor)
    if beginning.startswith(PARQUET_SIGNATURE):
        return _open_parquet(path, path, descriptor, "", options)
    compression = find_tar(path, descriptor, beginning)
    if compression is not None:
        return TarArchive(path, descriptor, compression, options.index, labels=options.labels, **of_tars)
    if has_signature(descriptor):
        return _open_hdf5(path, path, descriptor, "", options)
    if beginning.startswith(MAT_SIGNATURE):
        return _open_mat(path, path, descriptor, "", options)
    if archive := _open_json_lines(path, path, descriptor, "", beginning, options):
        return archive
    raise NoArchive(path, descriptor, beginning)


def _open_part(path: Path, file: Path, descriptor: int, inner: str, options: TableOptions) -> Archive:
    """Return the archive that is a dataset or a column of a file; `path` names both."""
    if has_signature(descriptor):
        return _open_hdf5(path, file, descriptor, inner, options)
    beginning = _read_beginning(file, descriptor)
    if beginning.startswith(PARQUET_SIGNATURE):
        return _open_parquet(path, file, descriptor, inner, options)
    if beginning.startswith(MAT_SIGNATURE):
        return _open_mat(path, file, descriptor, inner, options)
    if archive := _open_json_lines(path, file, descriptor, inner, beginning, options):
        return archive
    raise UserError(
        f"{path}: {file} is neither HDF5, Parquet nor a MATLAB file, nor JSON Lines with images at {inner!r}"
    )


def _open_hdf5(path: Path, file: Path, descriptor: int, inner: str, options: TableOptions) -> Archive:
    from imagestore.tables.hdf5_archive import open_hdf5_archive

    return open_hdf5_archive(path, file, descriptor, inner, options)


def _open_parquet(path: Path, file: Path, descriptor: int, inner: str, options: TableOptions) -> Archive:
    from imagestore.tables.parquet_rows import ParquetRows
    from imagestore.tables.row_archive import RowArchive

    return RowArchive(path, descriptor, ParquetRows(file, descriptor, inner, options.labels), options)


def _open_mat(path: Path, file: Path, descriptor: int, inner: str, options: TableOptions) -> Archive:
    from imagestore.tables.mat_archive import open_mat_archive

    return open_mat_archive(path, file, descriptor, inner, options)


def _may_be_json_lines(beginning: bytes) -> bool:
    """Whether a file that begins so may hold an object in each line."""
    text = beginning.removeprefix(MARK_OF_UTF_8).lstrip()
    return text[:1] == b"{" and text[1:].lstrip()[:1] == b'"'


def _open_json_lines(
    path: Path, file: Path, descriptor: int, inner: str, beginning: bytes, options: TableOptions
) -> Archive | None:
    """The archive in a file of JSON Lines; None if the file is something else, or holds no image."""
    if not _may_be_json_lines(beginning):
        return None
    from imagestore.tables.json_rows import open_json_rows
    from imagestore.tables.row_archive import RowArchive

    rows = open_json_rows(file, descriptor, inner, options.labels)
    return RowArchive(path, descriptor, rows, options) if rows else None


def _read_beginning(path: Path, descriptor: int) -> bytes:
    try:
        beginning = os.pread(descriptor, BEGINNING, 0)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from error
    if not beginning:
        raise UserError(f"{path} is empty: download or copy it again")
    return beginning
