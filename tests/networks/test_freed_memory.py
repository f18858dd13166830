"""Memory that is kept for the next large tensor."""

from __future__ import annotations

import resource
import subprocess
import sys

import pytest

from tests.helpers.commands import ROOT

FAULTS = """
import resource, sys
from imagestore.networks.freed_memory import keep_freed_memory
if len(sys.argv) > 1:
    keep_freed_memory()
for _ in range(4):
    b"x" * (100 << 20)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc is asked")
def test_memory_is_taken_once() -> None:
    """100 MB, four times: their pages come from the system once, and without that each time."""
    faults = [
        int(subprocess.run([sys.executable, "-c", FAULTS, *flag], cwd=ROOT, capture_output=True, text=True,
                           check=True, timeout=120).stdout)
        for flag in ([], ["keep"])
    ]  # fmt: skip
    pages = (100 << 20) // resource.getpagesize()
    assert faults[0] - faults[1] > pages
