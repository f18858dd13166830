"""Several archives as one: the next one is opened while this one is used."""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path

import numpy as np
import pytest

from imagestore.archive.protocol import Archive, DamagedArchive
from imagestore.sources.joined_archives import JoinedArchives
from imagestore.sources.open_archive import open_archive
from tests.helpers.archives import pack, photographs, write
from tests.helpers.array_files import write_datasets
from tests.helpers.descriptors import open_descriptors, running_threads

IMAGES = photographs(12)
SECONDS_TO_WAIT = 120


class Opened:
    """Opens archives, and tells which were opened and in which thread."""

    def __init__(self) -> None:
        self.threads: dict[str, threading.Thread] = {}
        self.events = {f"{number}.tgz": threading.Event() for number in range(4)}

    def __call__(self, path: Path) -> Archive:
        archive = open_archive(path, path.with_suffix(".index"))
        self.threads[path.name] = threading.current_thread()
        if path.name in self.events:
            self.events[path.name].set()
        return archive


@pytest.fixture
def shards(tmp_path: Path) -> list[Path]:
    return [write(tmp_path / f"{i}.tgz", pack(IMAGES[3 * i : 3 * i + 3], "gz")) for i in range(4)]


def test_the_next_archive_is_opened_in_a_thread(shards: list[Path]) -> None:
    opened = Opened()
    with JoinedArchives(shards, opened) as joined, contextlib.closing(joined.stream()) as images:
        found = [next(images)]
        assert opened.events["1.tgz"].wait(SECONDS_TO_WAIT)
        assert opened.threads["1.tgz"] is not threading.current_thread()
        assert "2.tgz" not in opened.threads
        found += images
        assert [(member.name, data) for member, data in found] == IMAGES
        assert [member.position for member, _ in found] == list(range(12))


def test_the_stream_may_end_early_and_leaves_nothing_open(shards: list[Path]) -> None:
    opened, before = Opened(), open_descriptors()
    threads = running_threads()
    with JoinedArchives(shards, opened) as joined:
        images = joined.stream()
        next(images)
        images.close()
        assert open_descriptors() <= before
        assert running_threads() <= threads
        assert [data for _, data in joined.stream()] == [data for _, data in IMAGES]
    assert open_descriptors() <= before


@pytest.mark.parametrize("number", [0, 1, 3])
@pytest.mark.parametrize("damage", ["missing", "cut", "empty", "no image"])
def test_an_archive_that_fails_costs_no_other(shards: list[Path], number: int, damage: str) -> None:
    data = shards[number].read_bytes()
    shards[number].write_bytes(
        {
            "missing": b"",
            "cut": data[:100],
            "empty": pack([], "gz"),
            "no image": pack([("a.txt", b"a")], "gz"),
        }[damage]
    )
    if damage == "missing":
        shards[number].unlink()
    expected = IMAGES[: 3 * number] + IMAGES[3 * number + 3 :]
    with JoinedArchives(shards, Opened()) as joined:
        streamed = []
        error = contextlib.nullcontext() if damage in ("empty", "no image") else pytest.raises(DamagedArchive)
        with error:
            for member, data in joined.stream():
                streamed.append((member.name, data))
        assert streamed == expected
        assert [member.name for member in joined.members()] == [name for name, _ in expected]


def test_files_of_tables_are_opened_when_their_turn_comes(shards: list[Path], tmp_path: Path) -> None:
    pixels = np.zeros((3, 8, 8, 3), np.uint8)
    paths = [shards[0], write_datasets(tmp_path / "a.h5", x=pixels), shards[1]]
    opened = Opened()
    with JoinedArchives(paths, opened) as joined:
        assert len(list(joined.stream())) == 9
    assert opened.threads["a.h5"] is threading.current_thread()
    assert opened.threads["1.tgz"] is not threading.current_thread()
