"""Exit statuses, one-line errors and printable names: all commands share these.

Imports nothing slow: `--help` must answer at once.
"""

from __future__ import annotations

import argparse
import codecs
import contextlib
import errno
import io
import os
import signal
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from itertools import islice
from types import FrameType

from imagestore import environment
from imagestore.processes import ENDING
from imagestore.shell_completion import answer_the_shell

FAILED = 1
INTERRUPTED = 128 + signal.SIGINT
TERMINATED = 128 + signal.SIGTERM
NAMES_TO_COMPARE = 5_000
# What takes less memory, by the flag.
SPARE_MEMORY = {
    "workers": "fewer --workers",
    "batch_size": "a smaller --batch-size",
    "processes": "fewer --processes",
}
SPARE_DEVICE_MEMORY = {
    "batch_size": "a smaller --batch-size",
    "size": "a smaller --size",
    "device": "--device cpu",
}
DEVICE_OUT_OF_MEMORY = "out of memory"  # so torch.OutOfMemoryError begins: "CUDA out of memory"
NO_MEMORY = (  # what errors of libraries say
    DEVICE_OUT_OF_MEMORY, "can't allocate memory", "annot allocate memory", "failed to map segment",
)  # fmt: skip
ESCAPE_ERRORS = "imagestore-escape"  # our handler of unencodable characters; see codecs.register_error


class UserError(Exception):
    """An error for the user: one line that says what is wrong and what to do."""


class Terminated(BaseException):
    """SIGTERM came while nothing watched for it: every `finally` on the way up runs."""


# ----- from the arguments to the exit status -----


def main(
    program: str,
    parser: argparse.ArgumentParser,
    command: Callable[[argparse.Namespace], int | None],
    argv: Sequence[str] | None = None,
) -> int:
    """Parse `argv`, run `command` and return the exit status. No traceback reaches the user.

    IMAGESTORE_DEBUG=1 in the environment shows the traceback of an unexpected error.
    """
    answer_the_shell(parser)
    _open_standard_streams()
    arguments = parser.parse_args(argv)
    with _signals_as_exceptions():
        return _run(program, command, arguments)


def _run(
    program: str, command: Callable[[argparse.Namespace], int | None], arguments: argparse.Namespace
) -> int:
    """Run a command, and turn each way in which it can end into at most one line and an exit status."""
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
        # The reader of the pipe (`| head`) has ended. Python must not complain at its exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if is_out_of_memory(error):
            return fail(program, describe_out_of_memory(error, vars(arguments)))
        if isinstance(error, OSError):
            return fail(program, describe(error))
        if isinstance(error, ModuleNotFoundError):
            return fail(program, describe_missing(error))
        if os.environ.get("IMAGESTORE_DEBUG"):
            raise
        return fail(program, describe_unexpected(error))


@contextlib.contextmanager
def _signals_as_exceptions() -> Iterator[None]:
    """Let signals raise exceptions, so that every `finally` runs. Afterwards, they end Python silently."""
    before = {number: signal.getsignal(number) for number in ENDING}
    signal.signal(signal.SIGTERM, _raise_terminated)
    if before[signal.SIGHUP] == signal.SIG_DFL:  # the terminal is gone; nohup ignores this signal
        signal.signal(signal.SIGHUP, _raise_terminated)
    if before[signal.SIGINT] == signal.SIG_DFL:  # see processes.let_interrupts_end_python
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        for number, handler in before.items():
            if signal.getsignal(number) != signal.SIG_IGN:  # a command ignores signals once it is done
                signal.signal(number, handler)


def _raise_terminated(signum: int, frame: FrameType | None) -> None:
    raise Terminated


def _open_standard_streams() -> None:
    """Open /dev/null in place of a closed standard stream (`>&-`): a new file would get its number."""
    for number, key in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # it gets the lowest free number, which is this one
        if getattr(sys, key) is None:
            setattr(sys, key, open(number, "w" if number else "r", closefd=False))
    codecs.register_error(ESCAPE_ERRORS, _escape)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=ESCAPE_ERRORS)


def _escape(error: UnicodeError) -> tuple[bytes, int]:
    """Replace text that the terminal's encoding lacks: raw bytes stay, other characters become escapes."""
    assert isinstance(error, UnicodeEncodeError)
    escaped = [
        bytes([ord(c) - 0xDC00]) if "\udc80" <= c <= "\udcff" else c.encode("ascii", "backslashreplace")
        for c in error.object[error.start : error.end]
    ]
    return b"".join(escaped), error.end


# ----- messages -----


def note(text: str) -> None:
    """Write a message to standard error in one write, so that lines of several processes do not mix."""
    with contextlib.suppress(OSError), _without_bars():
        sys.stderr.write(text + "\n")
        sys.stderr.flush()


def _without_bars() -> AbstractContextManager[object]:
    """Take progress bars off the terminal, and draw them again below what is written."""
    tqdm = sys.modules.get("tqdm")  # not imported before there is a bar
    return tqdm.tqdm.external_write_mode(sys.stderr) if tqdm else contextlib.nullcontext()


def fail(program: str, message: str) -> int:
    """Write the one line of an error; return the exit status that goes with it."""
    note(f"{program}: error: {' '.join(line.strip() for line in message.splitlines())}")
    return FAILED


def describe_missing(error: ModuleNotFoundError) -> str:
    """A package that is not installed, and how to get it; a module of this project is a bug."""
    package = (error.name or "").partition(".")[0]
    is_bug = package in ("", "imagestore")
    return describe_unexpected(error) if is_bug else environment.missing_package(package)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether there was no memory left. Python, torch and the loader of libraries say so differently."""
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
        return True
    is_of_library = isinstance(error, (RuntimeError, ImportError))
    return is_of_library and any(text in str(error) for text in NO_MEMORY)


def describe_out_of_memory(error: BaseException, flags: Collection[str]) -> str:
    """What to do where there was no memory left. `flags` are those of the command, as argparse names them."""
    if isinstance(error, RuntimeError) and DEVICE_OUT_OF_MEMORY in str(error):
        return f"the device is out of memory: {_advice(flags, SPARE_DEVICE_MEMORY) or 'use another'}"
    if isinstance(error, ImportError):
        return f"out of memory while a library was loaded: ask for more ({first_line(error)})"
    advice = _advice(flags, SPARE_MEMORY)
    return f"out of memory: ask for more{', or ' if advice else ''}{advice}"


def _advice(flags: Collection[str], sparing: Mapping[str, str]) -> str:
    """What to use, of the flags that a command has; empty if it has none of them."""
    texts = [text for flag, text in sparing.items() if flag in flags]
    return f"use {' or '.join(texts)}" if texts else ""


def describe_unexpected(error: BaseException) -> str:
    """A bug in one line."""
    text = f"{type(error).__name__}: {error}".splitlines()[0]
    return f"unexpected {text} (IMAGESTORE_DEBUG=1 shows where)"


def describe(error: OSError) -> str:
    """An error of the operating system in words: the file, and what is wrong with it."""
    reason = error.strerror or str(error)
    if error.errno == errno.ENOSPC:
        reason += ": free some space or write elsewhere, then run the same command again"
    return f"{error.filename}: {reason}" if error.filename else reason


def first_line(error: BaseException) -> str:
    """The first line of an error's text, or the name of its class if it has no text."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def counted(number: int, noun: str, plural: str = "") -> str:
    """A number and its noun, such as "1 image" or "1,200 images".

    `plural` is given where more than an s makes it: "1 entry", "2 entries"; "1 image is", "2 images are".
    """
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def did_you_mean(name: str, others: Iterable[str]) -> str:
    """The end of a message that `name` is missing: similar names among `others`, or nothing."""
    import difflib

    similar = difflib.get_close_matches(name, list(islice(others, NAMES_TO_COMPARE)))
    return f": did you mean {' or '.join(map(printable, similar))}?" if similar else ""


def printable(text: str | bytes) -> str:
    """A name on one line, without characters that a terminal acts on."""
    if isinstance(text, bytes):
        text = text.decode("utf-8", "backslashreplace")
    return text if text.isprintable() else "".join(c if c.isprintable() else _escaped(c) for c in text)


def _escaped(character: str) -> str:
    if "\udc80" <= character <= "\udcff":  # a byte that is not UTF-8, see stored_names.py
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode()
