"""The mount options for libfuse: ours, and those that the user gives with -o."""

from __future__ import annotations

import os
from collections.abc import Sequence

from imagestore.console import UserError
from imagestore.mount.fuse_library import Library

LONGEST_FSNAME = 1024  # bytes of the first column of /proc/mounts; mount(2) takes less than a page
FORBIDDEN_OPTIONS = {"subtype": "h5vfs finds its mounts by it", "max_read": "the kernel decides it"}


def mount_options(
    library: Library, *, stores: str, user_options: Sequence[str], timeout: float, kernel_cache: bool
) -> list[str]:
    """All mount options for libfuse. Those of the user come last and win, but the mount is always read-only.

    `stores` is shown in /proc/mounts. `timeout` is how long the kernel keeps names and attributes, in
    seconds. With `kernel_cache`, it keeps the bytes of files too. Raises UserError if the user may not give
    an option.
    """
    for option in user_options:
        if reason := FORBIDDEN_OPTIONS.get(option.partition("=")[0]):
            raise UserError(f"-o {option} cannot be given: {reason}")
    fsname = stores if len(os.fsencode(stores)) <= LONGEST_FSNAME else f"{stores[: LONGEST_FSNAME // 8]}..."
    fsname = fsname.replace("\\", "\\\\").replace(",", "\\,")
    options = [
        f"fsname={fsname}",
        "subtype=h5vfs",
        "default_permissions",
        f"entry_timeout={timeout}",
        f"attr_timeout={timeout}",
        f"negative_timeout={timeout}",
    ]
    if kernel_cache:
        options.append("kernel_cache")
    if library.generation == 2:  # libfuse 3 takes these in Requests.init
        options += ["use_ino", "readdir_ino"]
    return [*options, *(option for option in user_options if option != "rw"), "ro"]
