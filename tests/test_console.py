"""console.py: exit statuses, one-line errors and signals, in processes of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from imagestore.console import counted, describe_out_of_memory, did_you_mean, first_line, printable
from tests.helpers.commands import ROOT, Run, environment
from tests.helpers.small_commands import run_body, start


@pytest.mark.parametrize(("body", "status"), [("pass", 0), ("return 0", 0), ("return 7", 7)])
def test_the_exit_status_is_what_the_command_returns(body: str, status: int) -> None:
    assert run_body(body) == (status, "", "")


def test_an_error_is_one_line() -> None:
    status, output, messages = run_body('raise UserError("no such file: x.h5:\\n  give another")')
    assert (status, output) == (1, "")
    assert messages == "tool: error: no such file: x.h5: give another\n"
    assert run_body('raise UserError("two  spaces.h5: bad")')[2] == "tool: error: two  spaces.h5: bad\n"


def test_an_error_of_the_system_names_its_file() -> None:
    status, _, messages = run_body('open("/nowhere/at/all")')
    assert status == 1
    assert messages == "tool: error: /nowhere/at/all: No such file or directory\n"


def test_a_full_disk_says_what_to_do() -> None:
    status, _, messages = run_body('with open("/dev/full", "w") as file: file.write("x")')
    assert status == 1
    assert "No space left on device" in messages
    assert "run the same command again" in messages
    assert len(messages.splitlines()) == 1


@pytest.mark.parametrize(
    ("error", "line"),
    [
        ("MemoryError()", "out of memory: ask for more\n"),
        ("OSError(12, 'Cannot allocate memory')", "out of memory: ask for more"),
        ("RuntimeError('[enforce fail] DefaultCPUAllocator: can\\'t allocate memory')", "out of memory: ask"),
        ("RuntimeError('CUDA out of memory. Tried to allocate')", "the device is out of memory: use a"),
        ("ImportError('libtorch.so: failed to map segment from shared object')", "out of memory while a li"),
    ],
)  # fmt: skip
def test_out_of_memory_is_one_line(error: str, line: str) -> None:
    for debug in (None, "1"):
        status, _, messages = run_body(f"raise {error}", {"IMAGESTORE_DEBUG": debug})
        assert (status, len(messages.splitlines())) == (1, 1)
        assert messages.startswith(f"tool: error: {line}")


@pytest.mark.parametrize(
    ("error", "flags", "line"),
    [
        (MemoryError(), ["workers"], "out of memory: ask for more, or use fewer --workers"),
        (MemoryError(), ["workers", "batch_size"],
         "out of memory: ask for more, or use fewer --workers or a smaller --batch-size"),
        (RuntimeError("CUDA out of memory"), ["batch_size", "size"],
         "the device is out of memory: use a smaller --batch-size or a smaller --size"),
        (RuntimeError("CUDA out of memory"), ["device"], "the device is out of memory: use --device cpu"),
    ],
)  # fmt: skip
def test_only_flags_of_the_command_are_named(error: Exception, flags: list[str], line: str) -> None:
    assert describe_out_of_memory(error, flags) == line


def test_an_unexpected_error_is_one_line_but_debugging_shows_it() -> None:
    status, _, messages = run_body("return {}['missing']")
    assert (status, len(messages.splitlines())) == (1, 1)
    assert "KeyError" in messages
    status, _, messages = run_body("return {}['missing']", {"IMAGESTORE_DEBUG": "1"})
    assert status == 1
    assert "Traceback" in messages


@pytest.mark.parametrize(("signum", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_command_and_cleans_up(signum: signal.Signals, status: int) -> None:
    process = start("""
        try:
            print("ready", flush=True)
            time.sleep(30)
        finally:
            print("cleaned up")
    """)
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signum)
    output, messages = process.communicate(timeout=120)
    assert (process.returncode, output) == (status, "cleaned up\n")
    assert len(messages.splitlines()) == 1
    assert "Traceback" not in messages


@pytest.mark.parametrize("script", ["train_model.py", "classify.py"])
def test_an_interrupt_during_the_imports_prints_nothing(script: str, tmp_path: Path) -> None:
    (tmp_path / "argparse.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")
    done = subprocess.run(
        [sys.executable, ROOT / script, "--help"], capture_output=True, text=True, timeout=120,
        env=environment({"PYTHONPATH": str(tmp_path)}),
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (-signal.SIGINT, "")


def test_a_pipe_that_is_closed_early_is_no_error() -> None:
    process = start('for i in range(100_000): print("line", i)')
    assert process.stdout.readline() == "line 0\n"
    process.stdout.close()
    assert process.wait(timeout=120) == 0
    assert process.stderr.read() == ""


def test_a_full_log_costs_no_results() -> None:
    with open("/dev/full", "w") as full:
        process = start('note("lost"); print("kept")', stderr=full)
        output, _ = process.communicate(timeout=120)
    assert (process.returncode, output) == (0, "kept\n")


def test_a_closed_standard_error_does_not_get_the_next_file(tmp_path: Path) -> None:
    body = f"""
        file = open({str(tmp_path / "result")!r}, "w")
        note("a message")
        file.write("a result")
        file.close()
    """
    process = start(body, stderr=None, preexec_fn=lambda: os.close(2))
    process.communicate(timeout=120)
    assert process.returncode == 0
    assert (tmp_path / "result").read_text() == "a result"


def test_output_that_the_locale_lacks_is_escaped() -> None:
    ascii_only = {"PYTHONIOENCODING": None, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C"}
    body = r'print("caf\u00e9 \udce9"); note("caf\u00e9 \udce9")'
    status, output, messages = run_body(body, ascii_only, errors="surrogateescape")
    assert status == 0
    assert output == messages == "caf\\xe9 \udce9\n"


@pytest.mark.parametrize("script", ["colourHeuristic.py", "h5vfs.py", "train_model.py", "classify.py"])
def test_help_is_printed_in_every_locale(run: Run, script: str) -> None:
    help_in_ascii = run(script, "--help", env={"PYTHONIOENCODING": "ascii"}).stdout
    assert help_in_ascii.isascii()
    assert help_in_ascii.count("\n") == run(script, "--help").stdout.count("\n")


def test_printable_names_are_one_line_without_control_characters() -> None:
    assert printable("plain é.jpg") == "plain é.jpg"
    assert printable("two\nlines\x1b[31m") == "two\\nlines\\x1b[31m"
    assert printable(b"caf\xe9") == "caf\\xe9"


def test_similar_names_are_suggested() -> None:
    assert did_you_mean("image_001.jpg", ["image_0001.jpg", "zebra"]) == ": did you mean image_0001.jpg?"
    assert did_you_mean("image_001.jpg", ["zebra"]) == ""


def test_the_first_line_of_an_error() -> None:
    assert first_line(ValueError("one\ntwo")) == "one"
    assert first_line(ValueError()) == "ValueError"


def test_a_number_and_its_noun():
    numbers = (0, 1, 2, 1200)
    assert [counted(n, "image") for n in numbers] == ["0 images", "1 image", "2 images", "1,200 images"]
    assert [counted(n, "entry", "entries") for n in (1, 2)] == ["1 entry", "2 entries"]
