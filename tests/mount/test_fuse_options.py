"""Options of a mount: ours, and those of the user."""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType

import pytest

from imagestore.console import UserError
from imagestore.mount.fuse_library import PACKAGES, Library
from imagestore.mount.fuse_options import ShownOptions, low_level_options, mount_options
from tests.helpers.mounts import refused

pytestmark = pytest.mark.usefixtures("fuse_library")


def library(generation: int) -> Library:
    """A library of which only the generation matters."""
    return Library(PACKAGES["mfusepy"], ModuleType("no module is needed"), generation)


def options(
    given: Sequence[str] = (), generation: int = 3, stores: str = "a.h5", cache: bool = True
) -> list[str]:
    """All mount options for these options of the user."""
    return mount_options(
        library(generation), stores=stores, user_options=given, timeout=7.0, kernel_cache=cache
    )


def test_options_of_the_user_win_but_for_read_only():
    assert options(["uid=1", "rw", "entry_timeout=3"])[-3:] == ["uid=1", "entry_timeout=3", "ro"]
    assert "rw" not in options(["rw"])


def test_the_kernel_caches_files_and_names_as_it_is_told():
    assert {"kernel_cache", "entry_timeout=7.0", "attr_timeout=7.0"} <= set(options())
    assert "kernel_cache" not in options(cache=False)


def test_only_libfuse_2_takes_inode_numbers_by_an_option():
    assert {"use_ino", "readdir_ino"} <= set(options(generation=2))
    assert not {"use_ino", "readdir_ino"} & set(options(generation=3))


def test_the_names_of_the_stores_are_escaped_and_cut():
    assert options(stores="a,b\\c.h5")[0] == "fsname=a\\,b\\\\c.h5"
    assert options(stores="é" * 600)[0] == f"fsname={'é' * 128}..."


def test_the_low_level_interface_leaves_options_to_us():
    given = ["uid=1", "rw", "entry_timeout=3", "umask=027", "kernel_cache", "remember=9", "allow_other"]
    passed_on, shown = low_level_options(stores="a.h5", user_options=given, timeout=7.0)
    assert passed_on == ["fsname=a.h5", "subtype=h5vfs", "default_permissions", "allow_other", "ro"]
    assert shown == ShownOptions(entry_timeout=3, attr_timeout=7, negative_timeout=7, uid=1, umask=0o27)
    for option in ("uid=me", "umask=8", "attr_timeout="):
        with pytest.raises(UserError, match=f"-o {option}: not a number"):
            low_level_options(stores="a.h5", user_options=[option], timeout=7.0)


def test_an_unknown_or_forbidden_option_is_refused(run, store, mountpoint):
    assert "unknown option" in refused(run, "-o", "no_such_option", store[0], mountpoint)
    for option in ("subtype=x", "max_read=4096"):
        assert f"-o {option} cannot be given" in refused(run, "-o", f"ro,{option}", store[0], mountpoint)


def test_options_of_the_user_are_passed_on(run, store, mountpoint):
    run("h5vfs.py", "-o", "uid=1234,gid=4321,max_background=20", "-o", "umask=077", store[0], mountpoint)
    image = (mountpoint / "label0/image_0000.jpg").stat()
    assert (image.st_uid, image.st_gid) == (1234, 4321)
    assert not image.st_mode & 0o077
