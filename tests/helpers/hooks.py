"""What a Python program does to itself when it is about to touch a chosen file, by an audit hook.

A process that watches the files from outside, and then sends a signal, comes too late on a busy machine.
"""

from __future__ import annotations

import signal
import textwrap
from pathlib import Path

HOOK = """
import os, signal, subprocess, sys, time

left = {number}

def act(event, arguments):
    global left
    if event == {event!r} and {file!r} in str(arguments[0]):
        left -= 1
        if left == 0:
{action}

sys.addaudithook(act)
"""


def write_hook(
    folder: Path, event: str, file: str, action: int | str = signal.SIGKILL, number: int = 1
) -> Path:
    """Make a folder that, in PYTHONPATH, lets each Python program do something before it touches a file.

    `event` is what Python's audit hooks call it ("open", "os.rename"), and `file` a part of the file's path.
    The action comes with event number `number` in a process: a signal to itself, or lines of Python.
    """
    lines = action if isinstance(action, str) else f"os.kill(os.getpid(), {int(action)})"
    action = textwrap.indent(textwrap.dedent(lines).strip(), " " * 12)
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(
        HOOK.format(event=event, file=file, number=number, action=action)
    )
    return folder
