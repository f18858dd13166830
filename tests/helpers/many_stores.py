"""More stores than a process may have open."""

from __future__ import annotations

import contextlib
import io
import resource
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

from imagestore import open_files
from tests.helpers.commands import ROOT, environment
from tests.helpers.written_stores import write_store

MOST_OPEN = 290  # which leaves 34 for stores: see open_files.py


@contextlib.contextmanager
def few_descriptors(most: int) -> Iterator[None]:
    """This process can open no descriptor of the number `most` or above, and not raise this limit."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, before[1]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(open_files, "raise_limit", lambda wanted: most)
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, before)


def make_many_stores(folder: Path) -> list[bytes]:
    """Stores many-000.h5 and so on, of one image each, of which a few have no index; returns the images."""
    images = []
    for number in range(MOST_OPEN + 10):
        path = folder / f"many-{number:03d}.h5"
        encoded = io.BytesIO()
        Image.new("RGB", (8, 8), (number % 256, number // 256, 7)).save(encoded, "PNG")
        images.append(encoded.getvalue())
        if number % 30:
            write_store(path, {("label", b"%d.png" % number): images[-1]})
        else:
            with h5py.File(path, "w") as file:
                file[f"label/{number}.png"] = np.frombuffer(images[-1], np.uint8)
    return images


def run_with_few_descriptors(words: Sequence[str], cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a script of the checkout that can have MOST_OPEN files open, and no more."""
    limited = f'ulimit -n {MOST_OPEN}; exec "$@"'
    command = ["bash", "-c", limited, "bash", sys.executable, str(ROOT / words[0]), *words[1:]]
    return subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, timeout=120, check=False,
        env=environment({"XDG_CACHE_HOME": str(cwd / "cache")}),
    )  # fmt: skip
