"""Processes decompress files ahead; a run goes on without one that is killed or cannot be started."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from imagestore.decompression.compression_formats import FORMATS, UNCOMPRESSED, compression_of
from imagestore.decompression.decompressed_blocks import BLOCK
from imagestore.decompression.decompressing_processes import FEW_BLOCKS, DecompressingProcesses
from imagestore.decompression.gzip_decompressor import RapidGzipDecompressor
from imagestore.decompression.read_ahead import ReadAhead, read_ahead
from tests.helpers.archives import PACKERS, noise, write
from tests.helpers.descriptors import open_descriptors

DATA = noise(BLOCK + 54_321, 2) + bytes(2 * FEW_BLOCKS * BLOCK)  # more than the memory of a process takes
OPEN = RapidGzipDecompressor.for_first_pass


@pytest.fixture(scope="module", params=[name for name in PACKERS if name != "tar"])
def packed(request, tmp_path_factory) -> Path:
    return write(tmp_path_factory.mktemp("packed") / "a", PACKERS[request.param](DATA))


@pytest.fixture
def gzip_file(tmp_path: Path):
    path = write(tmp_path / "a.gz", PACKERS["gz"](DATA))
    with path.open("rb") as file:
        yield file.fileno()


def processes_of_this_one() -> list[int]:
    task = Path(f"/proc/self/task/{os.getpid()}/children")
    return [int(number) for number in task.read_text().split()]


def begin(descriptor: int, processes: DecompressingProcesses) -> ReadAhead:
    """A ReadAhead that a process serves."""
    before = processes._idle.qsize()
    reader = read_ahead(OPEN, descriptor, processes)
    assert processes._idle.qsize() == before - 1
    return reader


def test_one_process_decompresses_file_after_file(packed: Path) -> None:
    compression = compression_of(packed.read_bytes()[:10])
    assert compression in FORMATS and compression is not UNCOMPRESSED
    with DecompressingProcesses(1) as processes, packed.open("rb") as file:
        plain = compression.open_for_first_pass(file.fileno())
        assert plain.read(len(DATA) + 1) == DATA
        for _ in range(3):
            reader = read_ahead(
                compression.open_for_first_pass, file.fileno(), processes, is_slow=compression.is_slow
            )
            assert processes._idle.empty()
            assert reader.read(len(DATA) + 1) == DATA
            assert not processes._idle.empty()
            assert reader.points() == plain.points() and reader.bytes_behind() == 0
            reader.close()
        plain.close()
        assert reader._other is None  # nothing was decompressed here


def test_each_process_has_one_file_and_the_next_gets_a_thread(gzip_file: int) -> None:
    with DecompressingProcesses(2) as processes:
        readers = [begin(gzip_file, processes), begin(gzip_file, processes)]
        readers.append(read_ahead(OPEN, gzip_file, processes))
        for size in (1, 70_000, 3 * BLOCK, len(DATA)):
            pieces = [reader.read(size) for reader in readers]
            assert pieces[0] == pieces[1] == pieces[2]
        for reader in readers:
            reader.close()


@pytest.mark.parametrize("read_before", [0, 100, 3 * BLOCK + 7])
def test_a_killed_process_costs_no_byte(gzip_file: int, capsys, read_before: int) -> None:
    with DecompressingProcesses(1) as processes:
        reader = begin(gzip_file, processes)
        start = reader.read(read_before)
        os.kill(processes_of_this_one()[-1], signal.SIGKILL)
        assert start + reader.read(len(DATA)) == DATA
        assert reader.read(1) == b"" and reader.bytes_behind() == 0 and reader.points()
        reader.close()
        assert capsys.readouterr().err.count("was killed") == 1
        with_thread = read_ahead(OPEN, gzip_file, processes)
        assert with_thread.read(len(DATA)) == DATA
        with_thread.close()


def test_an_idle_process_that_is_killed_is_not_used(gzip_file: int, capsys) -> None:
    with DecompressingProcesses(1) as processes:
        os.kill(processes_of_this_one()[-1], signal.SIGKILL)
        reader = read_ahead(OPEN, gzip_file, processes)
        assert reader.read(len(DATA)) == DATA
        reader.close()
    assert capsys.readouterr().err.count("was killed") == 1


def test_no_process_is_left(gzip_file: int) -> None:
    before = processes_of_this_one()
    descriptors = open_descriptors()
    with DecompressingProcesses(3) as processes:
        assert len(processes) == 3 and len(processes_of_this_one()) == len(before) + 3
        closed = begin(gzip_file, processes)
        closed.read(10)
        closed.close()
        assert len(processes_of_this_one()) == len(before) + 2
        begin(gzip_file, processes).read(10)  # and never closed
    assert processes_of_this_one() == before
    assert open_descriptors() <= descriptors


@pytest.mark.parametrize("room_for", [0, 1])
def test_without_room_for_processes_a_thread_decompresses(gzip_file: int, monkeypatch, room_for: int) -> None:
    fork, forked = os.fork, []

    def fork_if_there_is_room() -> int:
        if len(forked) == room_for:
            raise BlockingIOError(11, "Resource temporarily unavailable")
        forked.append(True)
        return fork()

    monkeypatch.setattr(os, "fork", fork_if_there_is_room)
    descriptors = open_descriptors()
    with DecompressingProcesses(2) as processes:
        assert len(processes) == room_for
        reader = read_ahead(OPEN, gzip_file, processes)
        assert reader.read(len(DATA)) == DATA
        reader.close()
    assert open_descriptors() <= descriptors
