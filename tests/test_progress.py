"""progress.py: lines in a log and bars on a terminal, in processes of their own."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import termios

import pytest

from imagestore.progress import SECONDS_BEFORE_A_BAR
from tests.helpers.small_commands import run_body, start


def on_a_terminal(body: str) -> str:
    """What a command writes to standard error, if that is a terminal of 24 lines and 80 columns."""
    main, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("4H", 24, 80, 0, 0))
    process = start(body, stderr=terminal)
    assert process.wait(timeout=120) == 0
    output = os.read(main, 10_000).decode()
    os.close(main)
    os.close(terminal)
    return output


def test_progress_in_a_log_is_lines_on_standard_error() -> None:
    status, output, messages = run_body("""
        progress.SECONDS_BETWEEN_LOG_LINES = 0
        with progress.progress(4, "labelling") as bar:
            bar.update(3)
            bar.update()
    """)
    assert (status, output) == (0, "")
    first, second = messages.splitlines()
    assert first.startswith("labelling: 3 of 4 images, ")
    assert second.startswith("labelling: 4 of 4 images, ")
    assert "\r" not in messages


@pytest.mark.parametrize(("limit", "bar"), [(SECONDS_BEFORE_A_BAR, True), (3600, False)])
def test_progress_on_a_terminal_is_a_bar_if_the_work_is_long(limit: float, bar: bool) -> None:
    output = on_a_terminal(
        f"progress.SECONDS_BEFORE_A_BAR = {limit}\n"
        'with progress.progress(4, "labelling") as bar: bar.update(3); time.sleep(0.5); bar.update(1)\n'
        'print("done", file=sys.stderr)',
    )
    assert ("labelling" in output) == ("\r" in output.replace("\r\n", "")) == bar


def test_a_note_under_a_bar_has_a_line_of_its_own() -> None:
    output = on_a_terminal(
        'with progress.progress(4, "labelling") as bar:\n'
        '    bar.update(1); time.sleep(0.5); bar.update(1); note("skipped a")',
    )
    assert "labelling" in output
    assert "\rskipped a\r\n" in output  # behind a carriage return, not behind the bar
