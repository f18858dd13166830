"""What a file is that is given as a store and is none, and the command that makes stores of the images in it.

Nothing slow is imported before there is such a file.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from imagestore.console import UserError
from imagestore.hdf5.superblock import is_hdf5
from imagestore.printed_commands import command_line, path_argument, script
from imagestore.store.expand_paths import expand_paths

OUTPUTS = "train.h5 test.h5 0.8"


def check_are_stores(patterns: Sequence[str | Path], outputs: str = OUTPUTS) -> None:
    """Raise UserError, with the command that makes stores, if something is an archive or a folder.

    An HDF5 file whose only images are arrays of pixels is an archive, too. `outputs` are the stores in this
    command, and the share of the first.
    """
    from imagestore.sources.open_archive import open_archive

    for path in expand_paths(patterns):
        if _is_archive(path):
            open_archive(path).close()  # raises UserError if nothing can be made of it
            raise UserError(_describe(path, patterns, outputs))
        check_is_hdf5(path, patterns, outputs)


def check_is_hdf5(path: Path, patterns: Sequence[str | Path] = (), outputs: str = OUTPUTS) -> None:
    """Raise UserError that says what a file is, if it is no HDF5 file but something that is known.

    `patterns` are the files that the user gave, if they are more.
    """
    if not path.is_file() or is_hdf5(path):
        return
    from imagestore.sources.no_archive import NoArchive
    from imagestore.sources.open_archive import open_archive

    try:
        open_archive(path).close()
    except NoArchive as error:
        if error.is_known:
            raise UserError(f"{path}: not an HDF5 file: it {error.words}") from None
        return  # whoever opens the file says that it is damaged, perhaps
    raise UserError(_describe(path, patterns or [path], outputs))


def _is_archive(path: Path) -> bool:
    """Whether a path is that of a folder, of a part of a file, or of a file with arrays of pixels only."""
    from imagestore.sources.open_archive import split_inner_path
    from imagestore.tables.hdf5_archive import is_archive_of_arrays

    _, inner = split_inner_path(path)
    return bool(inner) or path.is_dir() or (path.is_file() and is_hdf5(path) and is_archive_of_arrays(path))


def _describe(path: Path, patterns: Sequence[str | Path], outputs: str) -> str:
    """The message that an archive is no store."""
    from imagestore.sources.open_archive import is_table

    labels = ["--labels", "source"] if is_table(path) else []
    command = [*script("colourHeuristic.py"), "partition", *map(path_argument, patterns), *outputs.split()]
    return f"{path} is no store; this makes stores of the images in it: {command_line(*command, *labels)}"
