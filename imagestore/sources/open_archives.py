"""Open one archive or several: the images of all of them behind one Archive."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from imagestore import cache_folder
from imagestore.archive.members import SourceLabels
from imagestore.archive.protocol import Archive
from imagestore.console import UserError
from imagestore.decompression.decompressing_processes import DecompressingProcesses
from imagestore.sources.archive_paths import expand_archives
from imagestore.sources.joined_archives import JoinedArchives
from imagestore.sources.open_archive import open_archive


def open_archives(
    patterns: Sequence[str | Path],
    index: Path | None = None,
    *,
    ignore_zeros: bool = False,
    labels: SourceLabels | None = None,
    follow_external: bool = False,
) -> Archive:
    """Open the archives that paths, quoted globs and brace ranges mean. Raises UserError.

    The options are those of `open_paths`.
    """
    return open_paths(
        expand_archives(patterns),
        index,
        ignore_zeros=ignore_zeros,
        labels=labels,
        follow_external=follow_external,
    )


def open_paths(
    paths: Sequence[Path],
    index: Path | None = None,
    *,
    ignore_zeros: bool = False,
    labels: SourceLabels | None = None,
    processes: DecompressingProcesses | None = None,
    follow_external: bool = False,
) -> Archive:
    """Open the archives at paths that are expanded. Raises UserError.

    `index` names the index of one archive, or the folder for the indexes of several. The other options are
    those of `open_archive`.
    """
    options = {
        "ignore_zeros": ignore_zeros,
        "labels": labels,
        "processes": processes,
        "follow_external": follow_external,
    }
    if len(paths) == 1:
        return open_archive(paths[0], index, **options)
    if index is not None and index.exists() and not index.is_dir():
        raise UserError(f"{index} is a file: several archives need a folder for their indexes")

    def open_one(path: Path) -> Archive:
        own_index = None if index is None else index / cache_folder.path_for(path).name
        return open_archive(path, own_index, **options)

    return JoinedArchives(paths, open_one, ahead=max(1, len(processes or ()) - 1))
