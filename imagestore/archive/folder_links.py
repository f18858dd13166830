"""The symbolic links of a folder that lead to images which are passed over under their own names.

See tar_links.py: the same links are images here. A link that leads out of the folder is not followed.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from imagestore.archive.file_kinds import members_of_kind
from imagestore.archive.image_files import is_image, reason_to_skip_name
from imagestore.archive.passed_over import PassedOver
from imagestore.image_formats import has_image_suffix

LEADS_NOWHERE = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}


class FolderLinks:
    """The links of one folder, met in any order. Each file is taken once."""

    def __init__(self, folder: Path, skipped: PassedOver) -> None:
        """`skipped` counts the files of the folder that are passed over, by reason."""
        self._folder = os.path.realpath(folder)
        self._skipped = skipped
        self._taken: set[tuple[int, int]] = set()  # device and inode of each file

    def read(self, name: str) -> tuple[str | None, bytes]:
        """Return (None, the image's bytes), or the reason why a link is no image. Raises OSError.

        `name` is the link's path in the folder. A file that is taken was not passed over after all.
        """
        path = os.path.realpath(os.path.join(self._folder, name))
        try:
            status = os.stat(path)
        except OSError as error:
            if error.errno not in LEADS_NOWHERE:
                raise
            return ("broken links" if has_image_suffix(name) else "links"), b""
        own_name = os.path.relpath(path, self._folder)
        own_reason = reason_to_skip_name(own_name, status.st_size)
        if (
            own_name.startswith(os.pardir + os.sep)
            or not stat.S_ISREG(status.st_mode)
            or (status.st_dev, status.st_ino) in self._taken
            or reason_to_skip_name(name, status.st_size) is not None
            or (own_reason is None and has_image_suffix(own_name))
        ):
            return "links", b""
        data = Path(path).read_bytes()
        if not is_image(name, data) or (own_reason is None and is_image(own_name, data)):
            return "links", b""
        self._taken.add((status.st_dev, status.st_ino))
        self._skipped[own_reason or members_of_kind(own_name, data)] -= 1
        return None, data
