"""Decompress in processes, ahead of this one: DecompressingProcesses.

rapidgzip 0.16.2 keeps the interpreter lock while it decompresses. In a thread, it would wait for the thread
that writes a store, and that thread for it. The processes write into memory that they share with this one.
"""

from __future__ import annotations

import contextlib
import mmap
import os
from collections.abc import Iterator
from multiprocessing.connection import Connection
from multiprocessing.reduction import recv_handle, send_handle
from queue import Empty, SimpleQueue

from imagestore.console import note
from imagestore.decompression.decompressed_blocks import BLOCK, Ending, OpenDecompressor
from imagestore.decompression.decompressor import Decompressor
from imagestore.forked_process import ForkedProcess
from imagestore.processes import keep_only

# Blocks of a file that are in memory at a time. Few of them stay in the processor's caches.
FEW_BLOCKS = 8
# For formats that take longer to decompress than images take to be stored: the next archives get ready.
MANY_BLOCKS = 64

USED = b"u"  # what this process sends when it has used a block


class ProcessFailed(Exception):
    """A process could not decompress a file to its end, or was killed."""


class DecompressingProcesses:
    """Processes each of which decompresses one file at a time; a context manager.

    Create it before this process starts threads, because the processes are forked.
    """

    def __init__(self, count: int) -> None:
        """Fork `count` processes, or as many as the system has room for."""
        self._processes: list[_Process] = []
        self._idle: SimpleQueue[_Process] = SimpleQueue()
        with contextlib.suppress(OSError):
            while len(self._processes) < count:
                self._processes.append(_Process())
                self._idle.put(self._processes[-1])

    def __len__(self) -> int:
        """The number of processes that were started."""
        return len(self._processes)

    def begin(
        self, open_decompressor: OpenDecompressor, descriptor: int, most_blocks: int
    ) -> BlocksOfProcess | None:
        """Let a process decompress a file, at most so many blocks ahead. None if no process is idle.

        `open_decompressor` is pickled.
        """
        with contextlib.suppress(Empty, ProcessFailed):
            process = self._idle.get_nowait()
            return BlocksOfProcess(process, self._idle, open_decompressor, descriptor, most_blocks)
        return None

    def __enter__(self) -> DecompressingProcesses:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.end()


class BlocksOfProcess:
    """The Blocks that a process makes of one file. When they end, the process is idle again."""

    def __init__(
        self,
        process: _Process,
        idle: SimpleQueue[_Process],
        open_decompressor: OpenDecompressor,
        descriptor: int,
        most_blocks: int,
    ) -> None:
        """Begin. Raises ProcessFailed if the process was killed."""
        self.ending: Ending | None = None
        self._process, self._idle = process, idle
        self._open_decompressor, self._descriptor = open_decompressor, descriptor
        self._most_blocks = most_blocks
        self._count = 0  # of the blocks that have come
        self._is_under_way = True
        with self._noting_death():
            process.connection.send((open_decompressor, most_blocks))
            send_handle(process.connection, descriptor, process.pid)

    def next(self) -> memoryview | bytes:
        """Wait for the next block. Raises ProcessFailed."""
        if self._is_under_way:
            with self._noting_death():
                if self._count:
                    self._process.connection.send_bytes(USED)
                answer = self._process.connection.recv()
            if isinstance(answer, int):
                self._count += 1
                return self._process.block(self._count - 1, self._most_blocks)[:answer]
            self._is_under_way, self.ending = False, answer
            self._idle.put(self._process)
        if self.ending is None:
            raise ProcessFailed
        return b""

    @contextlib.contextmanager
    def _noting_death(self) -> Iterator[None]:
        try:
            yield
        except (EOFError, OSError) as error:
            self.close()
            note(
                "a process that decompresses was killed, probably because memory ran out; "
                "the run goes on without it"
            )
            raise ProcessFailed from error

    def stop(self) -> Decompressor:
        """End the process if it is not done; return a decompressor of this process, at the beginning."""
        self.close()
        return self._open_decompressor(self._descriptor)

    def close(self) -> None:
        """Kill the process if it is not done: it has nothing to lose."""
        if self._is_under_way:
            self._is_under_way = False
            self._process.end()


class _Process(ForkedProcess):
    """A process that decompresses, and its memory."""

    def __init__(self) -> None:
        self._memory = memoryview(mmap.mmap(-1, MANY_BLOCKS * BLOCK))
        super().__init__(self._serve)

    def block(self, number: int, most_blocks: int) -> memoryview:
        """The memory of block `number` of a file."""
        begin = number % most_blocks * BLOCK
        return self._memory[begin : begin + BLOCK]

    def _serve(self, connection: Connection) -> None:
        """In the process: decompress one file after the other."""
        keep_only(connection.fileno())
        while True:
            open_decompressor, most_blocks = connection.recv()
            descriptor = recv_handle(connection)
            for count, answer in enumerate(_decompress(open_decompressor, descriptor)):
                if isinstance(answer, bytes):
                    if count >= most_blocks:
                        connection.recv_bytes()  # the block that was in this memory is used
                    self.block(count, most_blocks)[: len(answer)] = answer
                    connection.send(len(answer))
                else:
                    connection.send(answer)
                    for _ in range(min(count, most_blocks)):
                        connection.recv_bytes()
            os.close(descriptor)


def _decompress(open_decompressor: OpenDecompressor, descriptor: int) -> Iterator[bytes | Ending | None]:
    """The blocks of a file, then what its decompressor says at the end; None if anything goes wrong."""
    try:
        with contextlib.closing(open_decompressor(descriptor)) as decompressor:
            while data := decompressor.read(BLOCK):
                yield data
            yield Ending(decompressor.points(), decompressor.bytes_behind())
    except Exception:  # the other process finds it again, at its place
        yield None
