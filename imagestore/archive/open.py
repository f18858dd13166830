"""Open an archive, whatever kind it is."""

from __future__ import annotations

from pathlib import Path

from imagestore.archive.folder import FolderArchive
from imagestore.archive.protocol import Archive
from imagestore.archive.tar_archive import TarArchive
from imagestore.console import UserError


def open_archive(path: Path, index: Path | None = None) -> Archive:
    """Open a tar archive (compressed or not, by content) or a folder of images. Raises UserError.

    `index` names the file that holds the archive's index, in place of one in the user's cache folder.
    """
    path = Path(path)
    return FolderArchive(path) if path.is_dir() else TarArchive(path, index)


def is_archive(path: Path) -> bool:
    """Whether `open_archive` would take it: a folder, or a file with a tar inside."""
    try:
        with open_archive(path):
            return True
    except UserError:
        return False
