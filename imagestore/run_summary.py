"""What a command has done: its last line, and the same as a JSON file for scripts.

A command that worked ends with the line. One that failed ends with its error, and the file tells both.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from imagestore.arguments import given_path
from imagestore.console import (
    FAILED,
    INTERRUPTED,
    TERMINATED,
    Terminated,
    UserError,
    counted,
    note,
    printable,
)
from imagestore.files.atomic_write import check_writable, write_whole

KIB, MB = 1024, 1e6  # getrusage(2) and proc(5) count memory in KiB
OUTPUTS_SHOWN = 4
STATUS_OF = {KeyboardInterrupt: INTERRUPTED, Terminated: TERMINATED}  # as console.main exits


@dataclass
class RunSummary:
    """What a command counts while it runs. Without `images`, it says nothing at its end."""

    images: int | None = None  # that it worked on, also if they needed nothing
    what: Sequence[str] = ("image",)  # the noun of `images`, and its plural if that needs more than an s
    counts: dict[str, int] = field(default_factory=dict)  # of special kinds, by name
    outputs: list[Path] = field(default_factory=list)
    workers: int = 0  # child processes that do the work beside this process
    is_silent: bool = False  # True in all but the first of several processes
    has_line: bool = True  # False if the command has a last line of its own
    started: float = field(default_factory=time.monotonic)

    def as_json(self, command: str, status: int, error: str) -> dict[str, object]:
        """Everything, for a file. Memory in bytes, of this process and of the largest worker."""
        seconds = time.monotonic() - self.started
        return {
            "command": command, "status": status, "error": error, "images": self.images,
            "counts": self.counts, "seconds": round(seconds, 3),
            "images_per_second": round((self.images or 0) / seconds, 3) if seconds else 0,
            "workers": self.workers,
            "peak_memory": {"process": own_peak_memory(), "worker": self._worker_memory()},
            "outputs": [os.fsdecode(path) for path in self.outputs],
        }  # fmt: skip

    def line(self) -> str:
        """Counts, seconds, images per second, peak memory and outputs."""
        seconds, images = time.monotonic() - self.started, self.images or 0
        special = ", ".join(f"{count:,} {name}" for name, count in self.counts.items() if count)
        done = counted(images, *self.what) + (f" ({special})" if special else "")
        rate = f"{images / seconds:,.0f}/s" if seconds else "-"
        return f"{done} in {seconds:,.1f} s, {rate}, peak memory {self._memory()}{self._outputs()}"

    def _memory(self) -> str:
        own = f"{own_peak_memory() / MB:,.0f} MB"
        return f"{own} + {self.workers} x {self._worker_memory() / MB:,.0f} MB" if self.workers else own

    def _worker_memory(self) -> int:
        return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * KIB if self.workers else 0

    def _outputs(self) -> str:
        shown = ", ".join(printable(_seen_from_here(path)) for path in self.outputs[:OUTPUTS_SHOWN])
        more = f" and {len(self.outputs) - OUTPUTS_SHOWN:,} more" if len(self.outputs) > OUTPUTS_SHOWN else ""
        return f": {shown}{more}" if shown else ""


def _seen_from_here(path: Path) -> str:
    """The path without the current folder, if it is below that."""
    here = Path.cwd()
    return os.fspath(path.relative_to(here) if path.is_relative_to(here) else path)


def add_json_summary(parser: argparse.ArgumentParser | argparse._ArgumentGroup) -> None:
    """Add --json-summary, and a RunSummary as `arguments.summary`, for a command that `summarised` runs."""
    parser.set_defaults(summary=RunSummary())
    parser.add_argument(
        "--json-summary", metavar="FILE", type=given_path,
        help="write counts, seconds, peak memory, outputs and exit status to this file, as JSON",
    )  # fmt: skip


def summarised(
    program: str, command: Callable[[argparse.Namespace], int | None]
) -> Callable[[argparse.Namespace], int]:
    """A command for `console.main` that tells at its end what `command` did.

    `command` fills `arguments.summary`. A command without --json-summary tells nothing.
    """

    def run(arguments: argparse.Namespace) -> int:
        summary = getattr(arguments, "summary", None)
        if summary is None:
            return command(arguments) or 0
        file = arguments.json_summary
        if file:
            check_writable(file)
        try:
            status = command(arguments) or 0
        except BaseException as error:
            with contextlib.suppress(OSError, UserError):  # the command's own error is the one to tell
                _write(summary, file, program, STATUS_OF.get(type(error), FAILED), str(error))
            raise
        is_told = summary.has_line and summary.images is not None and not summary.is_silent
        if status == 0 and is_told:
            note(f"{program}: {summary.line()}")
        _write(summary, file, program, status, "")
        return status

    return run


def _write(summary: RunSummary, file: Path | None, program: str, status: int, error: str) -> None:
    if file is None or summary.is_silent:
        return
    text = json.dumps(summary.as_json(program, status, error), indent=1)
    with write_whole(file) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8", errors="backslashreplace")


def own_peak_memory() -> int:
    """The largest resident memory of this process so far, in bytes.

    Linux's ru_maxrss begins with that of the program that started this one, so the kernel's VmHWM is better.
    """
    with contextlib.suppress(OSError, ValueError):
        text = Path("/proc/self/status").read_text(encoding="utf-8", errors="replace")
        return int(text.partition("VmHWM:")[2].split(maxsplit=1)[0]) * KIB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * KIB
