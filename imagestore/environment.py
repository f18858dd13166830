"""The Python and the packages that the scripts need, and what to do where they are missing.

Python 3.6 can read this file and the four scripts. So an old Python can say that it is too old.
"""

import os
import sys

OLDEST_PYTHON = (3, 10)
CHECKOUT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def check_python() -> None:
    """End this process with one line and exit status 1 if this Python cannot read the other files."""
    if sys.version_info >= OLDEST_PYTHON:
        return
    program = os.path.splitext(os.path.basename(sys.argv[0]))[0]
    this, oldest = (".".join(map(str, version[:2])) for version in (sys.version_info, OLDEST_PYTHON))
    problem = f"{sys.executable} is Python {this}, and {oldest} or newer is needed"
    sys.exit(f"{program}: error: {problem}: {how_to_activate()}")


def missing_package(name: str) -> str:
    """The message that a package cannot be imported, with what to do."""
    what_to_do = how_to_activate() if is_checkout() else f"{_quoted(sys.executable)} -m pip install {name}"
    return f"{name} is not installed for {sys.executable}: {what_to_do}"


def is_checkout() -> bool:
    """Whether this runs from a checkout; False if pip installed it among other packages."""
    return os.path.exists(os.path.join(CHECKOUT, "requirements.txt"))


def how_to_activate() -> str:
    """The commands that make the packages of requirements.txt available, for a message."""
    folder = checkout_as_typed()
    environment, activate = os.path.join(CHECKOUT, ".venv"), _word(folder, ".venv/bin/activate")
    if os.path.realpath(sys.prefix) == os.path.realpath(environment):
        return f"{_quoted(sys.executable)} -m pip install -r {_word(folder, 'requirements.txt')}"
    if os.path.exists(os.path.join(environment, "bin/activate")):
        return f"activate the environment: source {activate}"
    make = "make demo" if folder in ("", ".") else f"make -C {_word(folder, '')} demo"
    return f"make the environment with `{make}`, then activate it: source {activate}"


def checkout_as_typed() -> str:
    """The folder of the scripts as the user typed it in the command, if possible; empty for this folder."""
    typed = os.path.dirname(sys.argv[0])
    try:
        return typed if os.path.samefile(typed or ".", CHECKOUT) else CHECKOUT
    except OSError:
        return CHECKOUT


def _word(folder: str, name: str) -> str:
    """A path in a folder as a word of a shell's command line."""
    path = os.path.normpath(os.path.join(folder, name))
    return _quoted(f"./{path}" if path.startswith("-") else path)


def _quoted(word: str) -> str:
    import shlex  # here: all scripts start with this file, and few need it

    return shlex.quote(word)
