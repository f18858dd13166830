"""The owner and the permissions that a tree shows: the user who mounts a store can read everything in it.

The kernel compares these with the user of each request. They are those of the store's file, as long as they
say that this user may read it. They do not if the file was opened by an ACL, by a capability, or as a member
of a group that only a server or another user namespace knows. Then the tree is shown as this user's own.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass

OVERFLOW_ID = 65534  # stands for users and groups that this namespace or server does not know
OWNER, GROUP, OTHERS = 0o700, 0o070, 0o007
READABLE = 0o444


@dataclass(frozen=True)
class ShownAccess:
    """The owner of all nodes of a store, and which of them this user can read."""

    uid: int
    gid: int
    readable: int  # bits of READABLE
    own_bits: int  # OWNER, GROUP or OTHERS: those that count for this user; 0 if none do, as for root

    def mode(self, file_type: int, permissions: int | None = None) -> int:
        """The mode of a node: its stored permissions, as far as the store's file grants them.

        `file_type` is one of stat's S_IF constants. This user can read each node, and nobody can write it.
        """
        most = self.readable | self.readable >> 2  # who can read can enter folders
        default = most if file_type == stat.S_IFDIR else self.readable
        return file_type | (default if permissions is None else permissions & most | default & self.own_bits)


def shown_access(status: os.stat_result) -> ShownAccess:
    """What to show of a file that this process has open for reading."""
    readable, own_bits = status.st_mode & READABLE, _bits_of_this_user(status)
    if readable & own_bits or not own_bits:
        return ShownAccess(status.st_uid, status.st_gid, readable, own_bits)
    return ShownAccess(os.geteuid(), status.st_gid, readable & ~OWNER | OWNER & READABLE, OWNER)


def _bits_of_this_user(status: os.stat_result) -> int:
    """The permissions of a file that count for this user; 0 for root, who reads all files of known users."""
    if os.geteuid() == 0 and OVERFLOW_ID not in (status.st_uid, status.st_gid):
        return 0
    if os.geteuid() == status.st_uid:
        return OWNER
    is_member = status.st_gid in (os.getegid(), *os.getgroups()) and status.st_gid != OVERFLOW_ID
    return GROUP if is_member else OTHERS
