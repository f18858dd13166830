"""libfuse 3's low-level interface: used if its structures are known; otherwise mfusepy is."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from imagestore.mount import low_level_library
from imagestore.mount.fuse_library import load_library
from imagestore.mount.low_level_library import LowLevelLibrary
from tests.helpers.commands import ROOT, environment
from tests.helpers.mounts import contents_of, serving

# Mounts as h5vfs.py does, as if libfuse 3 had structures that nobody knows.
PROGRAM_WITH_UNKNOWN_STRUCTURES = """
import sys
import h5vfs
from imagestore.mount import low_level_library

low_level_library.STAT_LAYOUTS = ()
sys.exit(h5vfs.main(sys.argv[1:]))
"""


@pytest.fixture
def libfuse_3(fuse_library: str) -> str:
    """The name of the package that stands for libfuse 3; a test with libfuse 2 is skipped."""
    if fuse_library != "mfusepy":
        pytest.skip("for libfuse 3")
    return fuse_library


def test_libfuse_3_is_used_without_a_package(libfuse_3: str) -> None:
    library = load_library(libfuse_3)
    assert (library.module, library.generation) == (None, 3)
    assert library.low_level is not None


def test_libfuse_2_is_used_with_its_package(fuse_library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if fuse_library != "fusepy":
        pytest.skip("for libfuse 2")
    library = load_library(fuse_library)
    assert (library.generation, library.low_level) == (2, None)
    with pytest.raises(OSError, match="low-level interface"):
        LowLevelLibrary("libfuse.so.2")


def test_the_check_finds_a_field_in_another_place(libfuse_3: str, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = [[(name, kind) for name, kind in reversed(layout)] for layout in low_level_library.STAT_LAYOUTS]
    monkeypatch.setattr(low_level_library, "STAT_LAYOUTS", wrong)
    with pytest.raises(OSError, match="struct stat"):
        LowLevelLibrary(os.environ.get("FUSE_LIBRARY_PATH", "libfuse3.so.3"))


def test_a_libfuse_3_that_is_not_known_mounts_too(
    libfuse_3: str, store: tuple[Path, dict[str, bytes]], mountpoint: Path
) -> None:
    path, contents = store
    command = [sys.executable, "-c", PROGRAM_WITH_UNKNOWN_STRUCTURES, path, mountpoint]
    subprocess.run(command, env=environment({"PYTHONPATH": str(ROOT)}), timeout=120, check=True)
    for _ in range(2):
        assert contents_of(mountpoint) == contents
    assert len(serving(mountpoint)) == 1
