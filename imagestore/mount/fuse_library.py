"""Which libfuse is used: libfuse 3 without a Python package, or either generation through one."""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType

from imagestore.console import UserError
from imagestore.mount.low_level_library import LowLevelLibrary
from imagestore.printed_commands import pip_install


@dataclass(frozen=True)
class Package:
    """A Python package for FUSE, and what it needs on this machine."""

    module: str
    shared_libraries: tuple[str, ...]  # the first one that loads is used
    mount_helper: str  # the program that mounts for users who are not root
    has_low_level: bool = False  # whether we use its libfuse without the package, if its layouts are known


PACKAGES = {
    "fusepy": Package("fuse", ("libfuse.so.2",), "fusermount"),
    "mfusepy": Package("mfusepy", ("libfuse3.so.4", "libfuse3.so.3"), "fusermount3", True),
}
# libfuse 2 is no longer maintained. libfuse 2 and 3 are equally fast here (benchmarks/mount.py).
PREFERRED = ("mfusepy", "fusepy")


@dataclass(frozen=True)
class Library:
    """A FUSE package that is imported, with its libfuse."""

    package: Package
    module: ModuleType | None  # None if the low-level interface is used
    generation: int  # of libfuse: 2 or 3
    low_level: LowLevelLibrary | None = None  # None if the package's own functions are used


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
    chosen = os.environ.get("FUSE_LIBRARY_PATH") or _find_shared_library(package.shared_libraries)
    if package.has_low_level:
        with contextlib.suppress(OSError):  # another libfuse: the package may know it
            return Library(package, None, 3, LowLevelLibrary(chosen))
    # Both packages read this variable while they are imported. Without it, both prefer libfuse 2.
    given = os.environ.get("FUSE_LIBRARY_PATH")
    os.environ["FUSE_LIBRARY_PATH"] = chosen
    try:
        module = importlib.import_module(package.module)
    finally:
        if given is None:
            del os.environ["FUSE_LIBRARY_PATH"]
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
