"""How many files may be open, and which stay open if there are too many."""

from __future__ import annotations

import pickle
import resource
import subprocess
import sys

import pytest

from imagestore.open_files import OTHERS, MostRecent
from tests.helpers.commands import ROOT

MAY_OPEN = """
import resource, sys
from imagestore.open_files import may_open
print(may_open(int(sys.argv[1])), *resource.getrlimit(resource.RLIMIT_NOFILE))
"""


@pytest.mark.parametrize(
    ("soft", "hard", "count", "answer"),
    [
        (1000, 1000, 1000 - OTHERS, f"{1000 - OTHERS} 1000 1000"),
        (1000, 1000, 5000, f"{1000 - OTHERS} 1000 1000"),
        (300, 1000, 500, f"500 {500 + OTHERS} 1000"),
        (300, 1000, 5000, f"{1000 - OTHERS} 1000 1000"),
        (100, 100, 5, "1 100 100"),
    ],
)
def test_the_soft_limit_is_raised_as_far_as_needed(soft, hard, count, answer):
    done = subprocess.run(
        [sys.executable, "-c", MAY_OPEN, str(count)], cwd=ROOT, capture_output=True, text=True, timeout=120,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard)), check=True,
    )  # fmt: skip
    assert done.stdout.strip() == answer


class Thing:
    """Something that counts how often it is released."""

    def __init__(self) -> None:
        self.released = 0

    def release(self) -> None:
        self.released += 1


def test_what_was_used_longest_ago_is_released():
    recent, (a, b, c) = MostRecent(2), (Thing(), Thing(), Thing())
    for thing in (a, b, a, c):
        recent.use(thing)
    assert (a.released, b.released, c.released) == (0, 1, 0)
    recent.use(b)
    assert (a.released, b.released, c.released) == (1, 1, 0)


def test_a_thing_that_is_closed_is_not_released():
    recent, (a, b, c) = MostRecent(2), (Thing(), Thing(), Thing())
    recent.use(a)
    recent.use(b)
    recent.forget(a)
    recent.forget(a)
    recent.use(c)
    assert (a.released, b.released, c.released) == (0, 0, 0)


def test_a_pickled_copy_has_the_same_limit_and_no_things():
    recent = MostRecent(1)
    recent.use(Thing())
    copy = pickle.loads(pickle.dumps(recent))
    first, second = Thing(), Thing()
    copy.use(first)
    copy.use(second)
    assert (first.released, second.released) == (1, 0)
