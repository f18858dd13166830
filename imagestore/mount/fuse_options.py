"""The mount options for libfuse: ours, and those that the user gives with -o."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from imagestore.console import UserError
from imagestore.mount.fuse_library import Library

LONGEST_FSNAME = 1024  # bytes of the first column of /proc/mounts; mount(2) takes less than a page
FORBIDDEN_OPTIONS = {"subtype": "h5vfs finds its mounts by it", "max_read": "the kernel decides it"}
# Options of libfuse's high-level interface, which we understand where the low-level interface is used.
SHOWN_OPTIONS: dict[str, Callable[[str], float]] = {
    "entry_timeout": float,
    "attr_timeout": float,
    "negative_timeout": float,
    "uid": int,
    "gid": int,
    "umask": lambda octal: int(octal, 8),
}
# Others of them, which would change nothing: we give inode numbers, and the kernel keeps what it has read.
WITHOUT_EFFECT = [
    "kernel_cache", "auto_cache", "noauto_cache", "ac_attr_timeout", "noforget", "remember",
    "use_ino", "readdir_ino", "hard_remove", "direct_io", "intr", "intr_signal", "no_rofd_flush",
]  # fmt: skip


def mount_options(
    library: Library, *, stores: str, user_options: Sequence[str], timeout: float, kernel_cache: bool
) -> list[str]:
    """All mount options for libfuse. Those of the user come last and win, but the mount is always read-only.

    `stores` is shown in /proc/mounts. `timeout` is how long the kernel keeps names and attributes, in
    seconds. With `kernel_cache`, it keeps the bytes of files too. Raises UserError if the user may not give
    an option.
    """
    _refuse_forbidden(user_options)
    options = [
        *_common_options(stores),
        f"entry_timeout={timeout}",
        f"attr_timeout={timeout}",
        f"negative_timeout={timeout}",
    ]
    if kernel_cache:
        options.append("kernel_cache")
    if library.generation == 2:  # libfuse 3 takes these in Requests.init
        options += ["use_ino", "readdir_ino"]
    return [*options, *(option for option in user_options if option != "rw"), "ro"]


def _refuse_forbidden(user_options: Sequence[str]) -> None:
    for option in user_options:
        if reason := FORBIDDEN_OPTIONS.get(option.partition("=")[0]):
            raise UserError(f"-o {option} cannot be given: {reason}")


def _common_options(stores: str) -> list[str]:
    fsname = stores if len(os.fsencode(stores)) <= LONGEST_FSNAME else f"{stores[: LONGEST_FSNAME // 8]}..."
    fsname = fsname.replace("\\", "\\\\").replace(",", "\\,")
    return [f"fsname={fsname}", "subtype=h5vfs", "default_permissions"]


# ----- for the low-level interface -----


@dataclass(frozen=True)
class ShownOptions:
    """Options that libfuse leaves to us with its low-level interface. Timeouts are in seconds."""

    entry_timeout: float  # how long the kernel keeps a name
    attr_timeout: float
    negative_timeout: float  # how long the kernel keeps that there is no such name
    uid: int | None = None  # of all nodes; None: as the stores say
    gid: int | None = None
    umask: int | None = None  # permissions that no node has; all have the others; None: as the stores say


def low_level_options(
    *, stores: str, user_options: Sequence[str], timeout: float
) -> tuple[list[str], ShownOptions]:
    """The mount options for libfuse's low-level interface, and those that it leaves to us.

    Otherwise as `mount_options`.
    """
    _refuse_forbidden(user_options)
    shown = dict.fromkeys(("entry_timeout", "attr_timeout", "negative_timeout"), timeout)
    passed_on = []
    for option in user_options:
        name, _, value = option.partition("=")
        if name in SHOWN_OPTIONS:
            shown[name] = _number(option, value, SHOWN_OPTIONS[name])
        elif name not in WITHOUT_EFFECT:
            passed_on.append(option)
    return [*_common_options(stores), *(o for o in passed_on if o != "rw"), "ro"], ShownOptions(**shown)


def _number(option: str, value: str, parse: Callable[[str], float]) -> float:
    try:
        return parse(value)
    except ValueError:
        raise UserError(f"-o {option}: not a number") from None
