"""Small commands under console.main, each in a process of its own."""

from __future__ import annotations

import subprocess
import sys
import textwrap

from tests.helpers.commands import ROOT, environment

PROGRAM = """
import argparse, os, signal, sys, time
from imagestore import console, progress
from imagestore.console import UserError, note
from imagestore.processes import stopping

def command(arguments):
{body}

sys.exit(console.main("tool", argparse.ArgumentParser("tool"), command))
"""


def start(body: str, env: dict[str, str | None] | None = None, **options: object) -> subprocess.Popen:
    """A process that runs `body` as a command does, under console.main."""
    source = PROGRAM.format(body=textwrap.indent(textwrap.dedent(body), "    "))
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    environ = environment({"PYTHONPATH": str(ROOT), "IMAGESTORE_DEBUG": None, **(env or {})})
    return subprocess.Popen([sys.executable, "-c", source], text=True, env=environ, **pipes)


def run_body(body: str, env: dict[str, str | None] | None = None, **options: object) -> tuple[int, str, str]:
    """Run `body` as a command; its exit status, standard output and standard error."""
    process = start(body, env, **options)
    output, messages = process.communicate(timeout=120)
    return process.returncode, output, messages
