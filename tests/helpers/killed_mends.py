"""Kill h5vfs.py mv, rm, add and rename-label with SIGKILL: there is the old store or the new one.

    python killed_mends.py STORE FOLDER KILLS SEED

A program of its own, as killed_runs.py is: each run is forked from a process that has imported everything.
STORE has images under `red`. It prints a summary, and raises if a store is neither the old nor the new one.
"""

from __future__ import annotations

import os
import random
import shutil
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import h5vfs
from imagestore.mending import add, relabel, remove  # noqa: F401  (before the forks)
from tests.helpers.killed_runs import kill_after, run_to_end
from tests.helpers.mended_stores import bytes_of, kept, labels_of

State = tuple[dict, list, dict]  # labels, bytes and corrections


def main(source: Path, folder: Path, kills: int, seed: int) -> None:
    """Kill each command `kills` times, check the store, run again where it is the old one, check again."""
    store, log = folder / "work" / "store.h5", folder / "log"
    store.parent.mkdir()
    new = folder / "new.jpg"
    new.write_bytes(bytes_of(source)[0] + b"new")
    rng, finished = random.Random(seed), 0
    commands = (
        ["mv", store, "red/*", "rose/"],
        ["rm", store, "red/*"],
        ["add", store, new, "rose/"],
        ["rename-label", store, "red", "rose"],
    )
    for words in commands:
        finished += kill_command(list(map(str, words)), source, store, log, kills, rng)
    print(f"{kills} kills of {len(commands)} commands, {finished} after publishing")


def kill_command(
    words: list[str], source: Path, store: Path, log: Path, kills: int, rng: random.Random
) -> int:
    """Kill one command; return how often it had published its store by then."""
    old = state_of(source)
    shutil.copyfile(source, store)
    begin = time.monotonic()
    run_to_end(lambda: h5vfs.main(words), log)
    duration, new, finished = time.monotonic() - begin, state_of(store), 0
    assert old != new
    for _ in range(kills):
        shutil.copyfile(source, store)
        kill_after(rng.uniform(0, 1.2 * duration), lambda: h5vfs.main(words), log)
        found = state_of(store)
        assert found in (old, new), "the store is neither the old nor the new one"
        finished += found == new
        if found == old:
            run_to_end(lambda: h5vfs.main(words), log)
            assert os.listdir(store.parent) == [store.name], os.listdir(store.parent)
        assert state_of(store) == new
    return finished


def state_of(store: Path) -> State:
    """What a store holds; that a file beside it is open or damaged makes no difference."""
    return labels_of(store), bytes_of(store), kept(store)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
