"""libfuse through a Python package: which one is used, and its main loop."""

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
from imagestore.printed_commands import pip_install
from imagestore.processes import ENDING

Callback = Callable[..., int]  # returns a negative errno if it fails


@dataclass(frozen=True)
class Package:
    """A Python package for FUSE, and what it needs on this machine."""

    module: str
    shared_libraries: tuple[str, ...]  # the first one that loads is used
    mount_helper: str  # the program that mounts for users who are not root


PACKAGES = {
    "fusepy": Package("fuse", ("libfuse.so.2",), "fusermount"),
    "mfusepy": Package("mfusepy", ("libfuse3.so.4", "libfuse3.so.3"), "fusermount3"),
}
# libfuse 2 is no longer maintained. libfuse 2 and 3 are equally fast here (benchmarks/mount.py).
PREFERRED = ("mfusepy", "fusepy")


@dataclass(frozen=True)
class Library:
    """A FUSE package that is imported, with its libfuse."""

    package: Package
    module: ModuleType
    generation: int  # of libfuse: 2 or 3


# ----- which library -----


def load_library(name: str | None = None) -> Library:
    """Import a FUSE package: the one with this name, or else the first of PREFERRED that has its libfuse.

    Raises UserError if there is none, and ModuleNotFoundError if no package is installed.
    """
    errors: dict[str, ImportError | OSError] = {}
    for candidate in [name] if name else PREFERRED:
        if candidate not in PACKAGES:
            raise UserError(f"{candidate}: no such FUSE package (there are {' and '.join(PACKAGES)})")
        try:
            return _load(PACKAGES[candidate])
        except (ImportError, OSError) as error:
            errors[candidate] = error
    if all(isinstance(error, ModuleNotFoundError) for error in errors.values()):
        raise next(iter(errors.values()))
    reasons = "; ".join(f"{candidate}: {error}" for candidate, error in errors.items())
    raise UserError(
        f"no FUSE library works ({reasons}): apt install fuse3 libfuse2, dnf install fuse3 fuse-libs, "
        "conda install -c conda-forge libfuse, or load a module"
    )


def _load(package: Package) -> Library:
    """Import a package. Raises ImportError or OSError."""
    chosen = os.environ.get("FUSE_LIBRARY_PATH")
    # Both packages read this variable while they are imported. Without it, both prefer libfuse 2.
    os.environ["FUSE_LIBRARY_PATH"] = chosen or _find_shared_library(package.shared_libraries)
    module = importlib.import_module(package.module)
    if not hasattr(module, "fuse_operations"):
        raise ImportError(f"another package of the name 'fuse' is installed; {pip_install('fusepy')}")
    return Library(package, module, getattr(module, "fuse_version_major", 2))


def _find_shared_library(names: Sequence[str]) -> str:
    paths = [path for name in names for path in (name, f"{sys.prefix}/lib/{name}")]
    for path in paths:
        try:
            ctypes.CDLL(path)
        except OSError:
            continue
        return path
    raise OSError(f"{names[-1]} is not installed")


# ----- main loop -----


def serve(library: Library, callbacks: dict[str, Callback], mountpoint: Path, options: Sequence[str]) -> int:
    """Mount, and answer requests until unmounted or ended by a signal; returns libfuse's status."""
    operations = library.module.fuse_operations()
    prototypes = {field[0]: field[1] for field in operations._fields_}
    for name, callback in callbacks.items():
        if name in prototypes:
            setattr(operations, name, prototypes[name](callback))
    arguments = ["h5vfs", "-f", "-s", "-o", ",".join(options), str(mountpoint)]
    argv = (ctypes.c_char_p * len(arguments))(*map(os.fsencode, arguments))
    # libfuse handles signals that have their default action. Signals that are ignored (nohup) stay so.
    handled = [number for number in ENDING if signal.getsignal(number) != signal.SIG_IGN]
    handlers = [signal.signal(number, signal.SIG_DFL) for number in handled]
    try:
        return library.module._libfuse.fuse_main_real(
            len(arguments), argv, ctypes.byref(operations), ctypes.c_size_t(ctypes.sizeof(operations)), None
        )
    finally:
        for number, handler in zip(handled, handlers, strict=True):
            signal.signal(number, handler)
