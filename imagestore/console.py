"""What every command shares at the terminal: one-line errors, exit statuses, signals, progress.

Used by the scripts and by the rooms that run long. Imports nothing of the package, and nothing
slow: `--help` must answer at once.
"""

from __future__ import annotations

import argparse
import codecs
import contextlib
import difflib
import errno
import io
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from types import FrameType
from typing import Protocol

from imagestore.processes import ENDING

FAILED = 1


INTERRUPTED = 128 + signal.SIGINT


TERMINATED = 128 + signal.SIGTERM


SECONDS_BETWEEN_LOG_LINES = 10.0


SECONDS_BEFORE_A_BAR = 0.3  # what is done by then needs none
NAMES_TO_COMPARE = 20_000


class UserError(Exception):
    """Something the user must hear: one line that says what is wrong and what to do."""


class Terminated(BaseException):
    """SIGTERM arrived where nothing watches for it: unwind, so that every `finally` runs."""


def main(
    program: str,
    parser: argparse.ArgumentParser,
    command: Callable[[argparse.Namespace], int | None],
    argv: Sequence[str] | None = None,
) -> int:
    """Parse `argv`, run `command` and return the exit status; no traceback reaches the user.

    Set IMAGESTORE_DEBUG=1 to see the traceback of an error that nobody foresaw.
    """
    _have_standard_streams()
    arguments = parser.parse_args(argv)
    with _signals_unwind():
        return _run(program, command, arguments)


def _run(
    program: str, command: Callable[[argparse.Namespace], int | None], arguments: argparse.Namespace
) -> int:
    """Run a command; every way that it may end is a line and an exit status."""
    try:
        status = command(arguments) or 0
        sys.stdout.flush()
        return status
    except UserError as error:
        return fail(program, str(error))
    except KeyboardInterrupt:
        note(f"{program}: interrupted")
        return INTERRUPTED
    except Terminated:
        note(f"{program}: terminated")
        return TERMINATED
    except BrokenPipeError:
        # The reader of a pipe (`| head`) has seen enough; Python must not complain at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        return fail(program, describe(error))
    except MemoryError:
        return fail(program, "out of memory: ask for more, or use fewer --workers")
    except Exception as error:
        if os.environ.get("IMAGESTORE_DEBUG"):
            raise
        text = f"{type(error).__name__}: {error}".splitlines()[0]
        return fail(program, f"unexpected {text} (IMAGESTORE_DEBUG=1 shows where)")


@contextlib.contextmanager
def _signals_unwind() -> Iterator[None]:
    """Have signals raise exceptions, so that every `finally` runs; after that, end Python without a word."""
    before = {number: signal.getsignal(number) for number in ENDING}
    signal.signal(signal.SIGTERM, _raise_terminated)
    if before[signal.SIGHUP] == signal.SIG_DFL:  # the terminal is lost; not so under nohup
        signal.signal(signal.SIGHUP, _raise_terminated)
    if before[signal.SIGINT] == signal.SIG_DFL:  # as the scripts have it until here
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        for number, handler in before.items():
            if signal.getsignal(number) != signal.SIG_IGN:  # as a command leaves it that has come to its end
                signal.signal(number, handler)


def _have_standard_streams() -> None:
    """Open /dev/null where one was closed (`>&-`): the next file would get its number, and its messages."""
    for number, key in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free, this one
        if getattr(sys, key) is None:
            setattr(sys, key, open(number, "w" if number else "r", closefd=False))
    if isinstance(sys.stdout, io.TextIOWrapper):
        codecs.register_error("shown", _shown)
        sys.stdout.reconfigure(errors="shown")


def _shown(error: UnicodeError) -> tuple[bytes, int]:
    """For names that are no text, or none in this locale: bytes as they are, characters as escapes."""
    assert isinstance(error, UnicodeEncodeError)
    wrong = error.object[error.start : error.end]
    shown = [
        bytes([ord(c) - 0xDC00]) if "\udc80" <= c <= "\udcff" else c.encode("ascii", "backslashreplace")
        for c in wrong
    ]
    return b"".join(shown), error.end


def fail(program: str, message: str) -> int:
    """Print the one line of an error; return the exit status that goes with it."""
    note(f"{program}: error: {' '.join(message.split())}")
    return FAILED


def describe(error: OSError) -> str:
    """An operating system error in words: the file, and what was wrong with it."""
    reason = error.strerror or str(error)
    if error.errno == errno.ENOSPC:
        reason += ": free some space or write elsewhere, then run the same command again"
    return f"{error.filename}: {reason}" if error.filename else reason


def note(text: str) -> None:
    """A message for the person, on standard error, as one write so that processes do not mix."""
    with contextlib.suppress(OSError):
        sys.stderr.write(text + "\n")
        sys.stderr.flush()


def first_line(error: BaseException) -> str:
    """The first line of an error's text, or its kind where it has none."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def did_you_mean(name: str, others: Iterable[str]) -> str:
    """The end of a message that a name is not there: names like it among `others`, or nothing."""
    like = difflib.get_close_matches(name, list(islice(others, NAMES_TO_COMPARE)))
    return f": did you mean {' or '.join(map(printable, like))}?" if like else ""


def printable(text: str | bytes) -> str:
    """A name on one line, whatever is in it, with nothing that a terminal would act on."""
    if isinstance(text, bytes):
        text = text.decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _raise_terminated(signum: int, frame: FrameType | None) -> None:
    raise Terminated


class Progress(Protocol):
    """How far a long run has come."""

    def update(self, n: int = 1) -> object:
        """Count `n` more units done."""


@dataclass
class LogProgress:
    """Progress for a log file: a line now and then, instead of a bar that redraws itself."""

    total: int | None
    description: str
    unit: str
    done: int = 0

    def __post_init__(self) -> None:
        """Start the clock: the first line comes when there is something to say."""
        self.started = self.last = time.monotonic()

    def update(self, n: int = 1) -> None:
        """Count `n` more units done; print a line when the last is a while ago."""
        self.done += n
        now = time.monotonic()
        if now - self.last >= SECONDS_BETWEEN_LOG_LINES:
            self.last = now
            note(self._line(self.done / (now - self.started)))

    def _line(self, rate: float) -> str:
        if not self.total:
            return f"{self.description}: {self.done:,} {self.unit}, {rate:,.0f}/s"
        left = (self.total - self.done) / rate if rate else 0
        done = f"{self.done:,} of {self.total:,} {self.unit}"
        return f"{self.description}: {done}, {rate:,.0f}/s, {left:,.0f} s left"


@contextlib.contextmanager
def progress(total: int | None, description: str, unit: str = "images") -> Iterator[Progress]:
    """Show progress on standard error: a tqdm bar on a terminal, else a line now and then."""
    if not sys.stderr.isatty():
        yield LogProgress(total, description, unit)
        return
    from tqdm import tqdm

    look = {"leave": False, "dynamic_ncols": True, "delay": SECONDS_BEFORE_A_BAR}
    with tqdm(total=total, desc=description, unit=f" {unit}", **look) as bar:
        yield bar
