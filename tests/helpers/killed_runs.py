"""Kill a labelling run with SIGKILL at random moments, and see that nothing is lost.

    python killed_runs.py sort|merge ARCHIVE FOLDER KILLS SEED

A program of its own, run by test_faults: it forks each run from a process that has everything imported, so
that the moments fall into the work and not into Python's start. Prints what it did; raises on any loss.
"""

import os
import random
import shutil
import signal
import sys
import tarfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from imagestore.labelling.merge import merge
from imagestore.labelling.sort_and_partition import RunOptions, sort
from imagestore.store import journal
from imagestore.store.reader import ImageStore

PUBLISHED_BEFORE = 15
WORKERS = 2

Work = Callable[[], int]  # a command; returns its exit status


def contents(path: Path) -> dict[str, bytes]:
    """Every image of a store by its member's name."""
    with ImageStore(path) as store:
        return {os.fsdecode(store.index.member(i)): store.read(i) for i in range(len(store))}


def members(archive: Path) -> dict[str, bytes]:
    """Every image of an archive by its name."""
    with tarfile.open(archive) as tar:
        return {member.name: tar.extractfile(member).read() for member in tar if member.name.endswith(".jpg")}


def start(work: Work, log: Path) -> int:
    """Begin a run in a process of its own; returns its id."""
    child = os.fork()
    if child:
        return child
    os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
    os.dup2(2, 1)
    try:
        os._exit(work())
    finally:
        traceback.print_exc()
        os._exit(99)


def run(work: Work, log: Path) -> None:
    """A whole run; it must succeed."""
    _, status = os.waitpid(start(work, log), 0)
    assert os.waitstatus_to_exitcode(status) == 0, log.read_text()


def in_journals(folder: Path) -> int:
    """How many images an interrupted run can be taken over with."""
    found = [path for path in folder.glob(".*.journal") if path.with_suffix(".partial").exists()]
    return sum(1 for path in found for _ in journal.read(path))


def sorting(archive: Path, store: Path, count: int, shard: tuple[int, int] | None = None) -> Work:
    """`sort` of so many images."""
    options = RunOptions(seed=1, workers=WORKERS, shard=shard)
    return lambda: sort(archive, store, count, 7, options)


def merging(archive: Path, folder: Path, store: Path, log: Path) -> Work:
    """`merge` of three shards that hold the whole archive."""
    shards = [folder / f"shard{k}.h5" for k in (1, 2, 3)]
    for k, shard in enumerate(shards, 1):
        run(sorting(archive, shard, len(members(archive)), (k, 3)), log)
    return lambda: merge(store, list(map(str, shards)))


def main(command: str, archive: Path, folder: Path, kills: int, seed: int) -> None:
    """`kills` times: a run on top of a published store, killed; checked; run again; checked.

    `merge` begins with no store every other time.
    """
    rng, expected, log = random.Random(seed), members(archive), folder / "log"
    published, store = folder / "published.h5", folder / "work" / "store.h5"
    run(sorting(archive, published, PUBLISHED_BEFORE), log)
    work = (
        sorting(archive, store, len(expected)) if command == "sort" else merging(archive, folder, store, log)
    )
    begun = time.monotonic()
    store.parent.mkdir()
    shutil.copyfile(published, store)
    run(work, log)
    longest = time.monotonic() - begun
    taken_over = finished = 0
    for i in range(kills):
        shutil.copyfile(published, store)
        before = contents(published)
        if command == "merge" and i % 2:
            store.unlink()
            before = {}
        child = start(work, log)
        time.sleep(rng.uniform(0, 1.3 * longest))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        kept = contents(store) if store.exists() or before else {}
        assert kept.items() >= before.items(), "a published image is gone"
        assert kept in (before, expected), "neither the old store nor the new one"
        finished += kept == expected
        whole = in_journals(store.parent) if kept == before else 0
        run(work, log)
        assert contents(store) == expected, "running again did not complete the store"
        assert f"interrupted run: {whole}" in log.read_text() or not whole, (whole, log.read_text())
        assert os.listdir(store.parent) == ["store.h5"], os.listdir(store.parent)
        taken_over += whole
    print(
        f"{kills} kills within {longest:.2f} s; {finished} after publishing; {taken_over} images taken over"
    )


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5]))
