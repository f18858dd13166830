"""The commands that pip installs: each runs the script of its name, started as the script starts itself."""

import importlib

from imagestore.environment import check_python


def colour_heuristic() -> int:
    """Run colourHeuristic.py; returns the exit status."""
    return _run("colourHeuristic")


def h5vfs() -> int:
    """Run h5vfs.py; returns the exit status."""
    return _run("h5vfs")


def train_model() -> int:
    """Run train_model.py; returns the exit status."""
    return _run("train_model")


def classify() -> int:
    """Run classify.py; returns the exit status."""
    return _run("classify")


def _run(script: str) -> int:
    check_python()
    from imagestore.processes import let_interrupts_end_python  # which an old Python cannot read

    let_interrupts_end_python()  # before the script's imports, which take a moment
    return importlib.import_module(script).main()
