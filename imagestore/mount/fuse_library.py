"""The two FUSE libraries and the Python packages that speak to them."""

from __future__ import annotations

import ctypes
import importlib
import os
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from imagestore.console import UserError
from imagestore.processes import ENDING

FOREVER = 10**9  # seconds: nothing in a mount changes


LONGEST_SOURCE = 1024  # bytes of what /proc/mounts names as mounted; mount(2) takes less than a page


NOT_TO_BE_SET = {"subtype": "by it h5vfs knows its own", "max_read": "the kernel decides"}


Answer = Callable[..., int]


@dataclass(frozen=True)
class Library:
    """A Python package with the libfuse that it talks to."""

    name: str
    module: ModuleType
    generation: int


PACKAGES = {
    "fusepy": ("fuse", ("libfuse.so.2",), "fusermount"),
    "mfusepy": ("mfusepy", ("libfuse3.so.4", "libfuse3.so.3"), "fusermount3"),
}


def load_library(wanted: str | None = None) -> Library:
    """The FUSE package to mount with: the one asked for, else the first that is there with its libfuse.

    mfusepy on libfuse 3 comes first: libfuse 2 is no longer maintained, and the two are equally fast here
    (benchmarks/mount.py). Raises UserError where there is none.
    """
    reasons = []
    for name in [wanted] if wanted else ["mfusepy", "fusepy"]:
        if name not in PACKAGES:
            raise UserError(f"{name}: no such FUSE package (there are {' and '.join(PACKAGES)})")
        try:
            return _load(name)
        except (ImportError, OSError) as error:
            reasons.append(f"{name}: {error}")
    raise UserError(
        f"nothing to mount with ({'; '.join(reasons)}): apt install fuse3 libfuse2, dnf install fuse3 "
        "fuse-libs, conda install -c conda-forge libfuse, or module load it; or ./h5vfs.py unpack instead"
    )


def _load(name: str) -> Library:
    module_name, libraries, _ = PACKAGES[name]
    chosen = os.environ.get("FUSE_LIBRARY_PATH")
    # Both packages read this when they are imported; by themselves they would take libfuse 2 wherever it is.
    os.environ["FUSE_LIBRARY_PATH"] = chosen or _shared_library(libraries)
    module = importlib.import_module(module_name)
    if not hasattr(module, "fuse_operations"):
        raise ImportError("another package of the name 'fuse' is installed; pip install fusepy")
    return Library(name, module, getattr(module, "fuse_version_major", 2))


def _shared_library(candidates: Sequence[str]) -> str:
    paths = [path for name in candidates for path in (name, f"{sys.prefix}/lib/{name}")]
    for path in paths:
        try:
            ctypes.CDLL(path)
        except OSError:
            continue
        return path
    raise OSError(f"{candidates[-1]} is not installed")


def serve(library: Library, handlers: dict[str, Answer], mountpoint: Path, options: Sequence[str]) -> int:
    """Mount, answer requests until unmounted or told to end by a signal; libfuse's status."""
    operations = library.module.fuse_operations()
    prototypes = {field[0]: field[1] for field in operations._fields_}
    for name, handler in handlers.items():
        if name in prototypes:
            setattr(operations, name, prototypes[name](handler))
    arguments = ["h5vfs", "-f", "-s", "-o", ",".join(options), str(mountpoint)]
    argv = (ctypes.c_char_p * len(arguments))(*map(os.fsencode, arguments))
    # libfuse's turn; but what the caller wants ignored (nohup) stays so.
    ending = [number for number in ENDING if signal.getsignal(number) != signal.SIG_IGN]
    before = [signal.signal(number, signal.SIG_DFL) for number in ending]
    try:
        return library.module._libfuse.fuse_main_real(
            len(arguments), argv, ctypes.byref(operations), ctypes.c_size_t(ctypes.sizeof(operations)), None
        )
    finally:
        for number, handled_before in zip(ending, before, strict=True):
            signal.signal(number, handled_before)


def mount_options(
    library: Library, name: str, given: Sequence[str], timeout: float, cached: bool
) -> list[str]:
    """All options for libfuse: ours, then those of the user, which win; the mount is always read-only.

    Raises UserError where one is not for the user to set.
    """
    for option in given:
        if reason := NOT_TO_BE_SET.get(option.partition("=")[0]):
            raise UserError(f"-o {option} cannot be given: {reason}")
    shown = name if len(os.fsencode(name)) <= LONGEST_SOURCE else f"{name[: LONGEST_SOURCE // 8]}..."
    escaped = shown.replace("\\", "\\\\").replace(",", "\\,")
    ours = [
        f"fsname={escaped}",
        "subtype=h5vfs",
        "default_permissions",
        f"entry_timeout={timeout}",
        f"attr_timeout={timeout}",
        f"negative_timeout={timeout}",
    ]
    ours += ["kernel_cache"] * cached + ["use_ino", "readdir_ino"] * (library.generation == 2)
    return [*ours, *(option for option in given if option != "rw"), "ro"]
