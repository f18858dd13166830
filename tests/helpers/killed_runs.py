"""Kill labelling runs with SIGKILL at random moments, and check that no image is lost.

    python killed_runs.py sort|merge ARCHIVE FOLDER KILLS SEED

This is a program of its own, so that each run is forked from a process that has imported everything: the
kills then hit the work, not the start of Python. It prints a summary, and raises if an image is lost.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from imagestore.labelling.labelling_run import RunOptions
from imagestore.labelling.merge import merge
from imagestore.labelling.sort_and_partition import sort
from imagestore.store import journal
from tests.helpers.stored_images import archive_images, stored_images

PUBLISHED_BEFORE = 15  # images in the store that a run adds to
CHUNK = 7
WORKERS = 2
SHARDS = 3

Command = Callable[[], int]  # returns an exit status


def main(command_name: str, archive: Path, folder: Path, kills: int, seed: int) -> None:
    """Kill a run that adds to a published store, check the store, run again, check again; `kills` times.

    `merge` starts without a store every other time.
    """
    log = folder / "log"
    all_images = archive_images(archive)
    published, store = folder / "published.h5", folder / "work" / "store.h5"
    store.parent.mkdir()
    run_to_end(sort_command(archive, published, PUBLISHED_BEFORE), log)
    published_images = stored_images(published)
    if command_name == "sort":
        command = sort_command(archive, store, len(all_images))
    else:
        command = merge_command(store, make_shards(archive, folder, log))

    begin = time.monotonic()
    shutil.copyfile(published, store)
    run_to_end(command, log)
    duration = time.monotonic() - begin

    rng = random.Random(seed)
    finished = recovered = 0
    for i in range(kills):
        if command_name == "merge" and i % 2:
            store.unlink(missing_ok=True)
            before: dict[str, bytes] = {}
        else:
            shutil.copyfile(published, store)
            before = published_images
        kill_after(rng.uniform(0, 1.3 * duration), command, log)
        after = stored_images(store) if store.exists() else {}
        assert after.items() >= before.items(), "a published image is gone"
        assert after in (before, all_images), "the store is neither the old nor the complete store"
        in_journals = count_in_journals(store.parent) if after == before else 0
        check_next_run(command, store, all_images, in_journals, log)
        finished += after == all_images
        recovered += in_journals
    print(
        f"{kills} kills within {duration:.2f} s; {finished} after publishing; {recovered} images taken over"
    )


def sort_command(archive: Path, store: Path, count: int, shard: tuple[int, int] | None = None) -> Command:
    """`sort` of so many images."""
    options = RunOptions(seed=1, workers=WORKERS, shard=shard)
    return lambda: sort([archive], store, count, CHUNK, options)


def merge_command(store: Path, shards: list[Path]) -> Command:
    """`merge` of these stores."""
    return lambda: merge(store, [str(shard) for shard in shards])


def make_shards(archive: Path, folder: Path, log: Path) -> list[Path]:
    """Sort the whole archive into a store for each shard; return their paths."""
    shards = []
    for k in range(1, SHARDS + 1):
        shard = folder / f"shard{k}.h5"
        run_to_end(sort_command(archive, shard, len(archive_images(archive)), (k, SHARDS)), log)
        shards.append(shard)
    return shards


def start(command: Command, log: Path) -> int:
    """Start a run in a process of its own, which writes to `log`; return the process id."""
    child = os.fork()
    if child:
        return child
    try:
        os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
        os.dup2(2, 1)
        os._exit(command())
    finally:
        traceback.print_exc()
        os._exit(99)


def run_to_end(command: Command, log: Path) -> None:
    """Run a command in a process of its own; it must succeed."""
    _, status = os.waitpid(start(command, log), 0)
    assert os.waitstatus_to_exitcode(status) == 0, log.read_text()


def kill_after(seconds: float, command: Command, log: Path) -> None:
    """Start a run, and kill it after this time."""
    child = start(command, log)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def count_in_journals(folder: Path) -> int:
    """Count the images that the next run can take over from an interrupted run."""
    journals = [path for path in folder.glob(".*.journal") if path.with_suffix(".partial").exists()]
    return sum(1 for path in journals for _ in journal.read(path))


def check_next_run(
    command: Command, store: Path, all_images: dict[str, bytes], in_journals: int, log: Path
) -> None:
    """Run again: the store is complete, images in journals are taken over, and no other file is left."""
    run_to_end(command, log)
    assert stored_images(store) == all_images, "running again did not complete the store"
    messages = log.read_text()
    assert not in_journals or f"interrupted run: {in_journals}" in messages, (in_journals, messages)
    assert os.listdir(store.parent) == [store.name], os.listdir(store.parent)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5]))
