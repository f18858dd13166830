"""Run the command for whose length a tree is mounted: its signals and its exit status."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Sequence

from imagestore.console import UserError


def run_command(command: Sequence[str]) -> int:
    """Run a command; return its exit status, or 128 + n if signal n ended it. Raises UserError."""
    try:
        process = subprocess.Popen(command)
    except OSError as error:
        raise UserError(f"{command[0]}: cannot be run ({error.strerror})") from error
    # The terminal sends Ctrl-C to the command too, which decides what to do. Other signals come to us alone.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda signum, frame: process.send_signal(signum))
    status = process.wait()
    return 128 - status if status < 0 else status
