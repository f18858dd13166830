"""How many files a process may have open, and how to do with few: a system may allow 1,024.

Imports nothing slow.
"""

from __future__ import annotations

import resource
import sys
from collections import OrderedDict
from typing import Protocol

OTHERS = 256  # open files that are not counted: pipes, libraries, archives, temporary files


class Releasable(Protocol):
    """Something that opens a file when it is used, and can close it until the next use."""

    def release(self) -> None:
        """Close the file. The next use opens it again."""


class MostRecent:
    """Lets only those things keep their files open that were used last. Not thread-safe.

    A pickled copy begins with no things.
    """

    def __init__(self, most: int) -> None:
        """`most` is how many things may have their files open."""
        self.most = most
        self._used: OrderedDict[int, Releasable] = OrderedDict()  # by id: the last used comes last

    def __reduce__(self) -> tuple[type[MostRecent], tuple[int]]:
        return MostRecent, (self.most,)

    def use(self, thing: Releasable) -> None:
        """Tell that a thing is used now. If too many were, the one used longest ago is released."""
        self._used[id(thing)] = thing
        self._used.move_to_end(id(thing))
        if len(self._used) > self.most:
            _, oldest = self._used.popitem(last=False)
            oldest.release()

    def forget(self, thing: Releasable) -> None:
        """Tell that a thing has no file open any more."""
        self._used.pop(id(thing), None)


def may_open(count: int) -> int:
    """How many of `count` files this process may have open at once, besides OTHERS; at least 1.

    The soft limit is raised for them, as far as the hard limit allows.
    """
    return max(1, min(count, raise_limit(count + OTHERS) - OTHERS))


def raise_limit(wanted: int) -> int:
    """Have the system let this process open `wanted` files; returns how many it may open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if _number(soft) >= wanted:
        return _number(soft)
    allowed = min(wanted, _number(hard))
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    except (ValueError, OSError):  # some systems have further limits
        return soft
    return allowed


def _number(limit: int) -> int:
    return sys.maxsize if limit == resource.RLIM_INFINITY else limit
