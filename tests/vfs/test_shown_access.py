"""ShownAccess: who mounts a store can read it, and nobody else reads more than its file allows."""

from __future__ import annotations

import os
import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagestore.vfs.shown_access import OVERFLOW_ID, shown_access

ME, MY_GROUP, MY_OTHER_GROUP, STRANGER = 1001, 2001, 2002, 3001


def become(monkeypatch, user=ME):
    monkeypatch.setattr(os, "geteuid", lambda: user)
    monkeypatch.setattr(os, "getegid", lambda: MY_GROUP)
    monkeypatch.setattr(os, "getgroups", lambda: [MY_OTHER_GROUP, OVERFLOW_ID])


def status(mode, uid, gid):
    return os.stat_result((stat.S_IFREG | mode, 1, 1, 1, uid, gid, 0, 0, 0, 0))


def can_read(mode, uid, gid):
    """What the kernel answers (default_permissions): ids that this user does not know never match."""
    if uid == ME:
        return bool(mode & 0o400)
    if gid in (MY_GROUP, MY_OTHER_GROUP):
        return bool(mode & 0o040)
    return bool(mode & 0o004)


@pytest.mark.parametrize(
    ("mode", "uid", "gid", "owner", "shown"),
    [
        (0o640, ME, STRANGER, ME, 0o440),
        (0o644, STRANGER, STRANGER, STRANGER, 0o444),
        (0o640, STRANGER, MY_OTHER_GROUP, STRANGER, 0o440),
        (0o640, STRANGER, STRANGER, ME, 0o440),  # an ACL
        (0o600, STRANGER, STRANGER, ME, 0o400),  # an ACL, or a server that maps this user to the owner
        (0o000, STRANGER, STRANGER, ME, 0o400),  # CAP_DAC_READ_SEARCH
        (0o000, ME, MY_GROUP, ME, 0o400),
        (0o604, STRANGER, MY_GROUP, ME, 0o404),  # the group may not, others may
        (0o640, OVERFLOW_ID, OVERFLOW_ID, ME, 0o440),  # a group that this user namespace does not know
    ],
)
def test_the_owner_is_shown_if_the_mode_says_who_may_read(monkeypatch, mode, uid, gid, owner, shown):
    become(monkeypatch)
    access = shown_access(status(mode, uid, gid))
    assert (access.uid, access.gid, access.mode(stat.S_IFREG)) == (owner, gid, stat.S_IFREG | shown)


def test_root_sees_the_store_as_it_is(monkeypatch):
    become(monkeypatch, user=0)
    access = shown_access(status(0o200, STRANGER, STRANGER))
    assert (access.uid, access.mode(stat.S_IFREG)) == (STRANGER, stat.S_IFREG)


def test_root_of_a_user_namespace_is_not_root_for_others(monkeypatch):
    become(monkeypatch, user=0)
    access = shown_access(status(0o640, OVERFLOW_ID, OVERFLOW_ID))
    assert (access.uid, access.mode(stat.S_IFREG)) == (0, stat.S_IFREG | 0o440)


@pytest.mark.parametrize(
    ("file_type", "permissions", "mode"),
    [
        (stat.S_IFREG, None, 0o440),
        (stat.S_IFDIR, None, 0o550),
        (stat.S_IFREG, 0o777, 0o550),
        (stat.S_IFREG, 0o4604, 0o400),
        (stat.S_IFREG, 0o000, 0o400),  # stored so, but this user can read the store
        (stat.S_IFDIR, 0o000, 0o500),
        (stat.S_IFDIR, 0o700, 0o500),
    ],
)
def test_a_mode_has_what_both_the_file_and_the_store_grant(monkeypatch, file_type, permissions, mode):
    become(monkeypatch)
    assert shown_access(status(0o640, ME, MY_GROUP)).mode(file_type, permissions) == file_type | mode


ids = st.sampled_from([ME, STRANGER, OVERFLOW_ID])
groups = st.sampled_from([MY_GROUP, MY_OTHER_GROUP, STRANGER, OVERFLOW_ID])
modes = st.integers(0, 0o7777)


@given(modes, ids, groups, st.none() | modes)
def test_this_user_can_read_and_nobody_else_gains_anything(mode, uid, gid, permissions):
    with pytest.MonkeyPatch.context() as monkeypatch:
        become(monkeypatch)
        access = shown_access(status(mode, uid, gid))
        for file_type, needed in ((stat.S_IFREG, 0o4), (stat.S_IFDIR, 0o5)):
            shown = access.mode(file_type, permissions)
            assert can_read(shown, access.uid, access.gid)
            assert needed == 0o4 or can_read(shown << 2 & 0o444, access.uid, access.gid)
            assert not shown & 0o222
            assert not shown & 0o044 & ~mode
