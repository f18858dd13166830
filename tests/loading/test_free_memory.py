"""How much memory this process may still use."""

from __future__ import annotations

import os
import subprocess
import sys

from imagestore.loading.free_memory import available_memory
from tests.helpers.commands import ROOT, environment


def test_this_machine_has_some_memory_available() -> None:
    assert 0 < available_memory() <= os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def test_the_limit_of_the_address_space_counts() -> None:
    code = "from imagestore.loading.free_memory import available_memory; print(available_memory())"
    done = subprocess.run(
        ["bash", "-c", 'ulimit -v 300000; exec "$0" -c "$1"', sys.executable, code],
        capture_output=True, text=True, timeout=120, env=environment({"PYTHONPATH": str(ROOT)}),
    )  # fmt: skip
    assert 0 < int(done.stdout) < 300_000 * 1024, done.stderr
