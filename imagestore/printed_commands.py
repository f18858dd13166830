"""Commands that messages tell the user to run. They run when they are pasted into the user's shell.

A command names this Python if the first line of the script would start another one. Words are quoted for
bash, zsh and ksh.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys

from imagestore.environment import CHECKOUT, checkout_as_typed, is_checkout
from imagestore.staged_stores import original_path


def command_line(*words: str | os.PathLike[str]) -> str:
    """The words as one line for a shell."""
    return " ".join(map(_quoted, words))


def script(name: str) -> list[str]:
    """The words that start a script, such as ["./h5vfs.py"]; the command of that name if pip installed it."""
    if not is_checkout():
        return [_command_of_pip(name[: -len(".py")])]
    path = path_argument(_path_of_script(name))
    if os.access(path, os.X_OK) and _is_this_python(shutil.which("python3")):
        return [path if "/" in path else f"./{path}"]
    return [sys.executable, path]


def pip_install(*arguments: str) -> str:
    """The command that installs packages for this Python."""
    python = "python3" if _is_this_python(shutil.which("python3")) else sys.executable
    return command_line(python, "-m", "pip", "install", *arguments)


def path_argument(path: str | os.PathLike[str]) -> str:
    """A path as an argument that no command takes for an option or for the setting of a variable.

    A copy on a scratch disk, which goes when the job ends, is named by its store.
    """
    text = original_path(path)
    return f"./{text}" if text.startswith("-") or "=" in text.partition("/")[0] else text


def _path_of_script(name: str) -> str:
    """The path as the user typed it, if this is the script that runs or a script beside it."""
    script = os.path.join(CHECKOUT, name)
    typed = (sys.argv[0], os.path.join(checkout_as_typed(), name))
    return next((path for path in typed if _is_same_file(path, script)), script)


def _command_of_pip(name: str) -> str:
    """A command that pip installed: its name if the shell finds it by that, else its path."""
    path = os.path.join(os.path.dirname(sys.executable), name)
    return name if _is_same_file(shutil.which(name) or "", path) else path


def _is_this_python(found: str | None) -> bool:
    """Whether an interpreter is this one, in the same environment: environments link to one interpreter."""
    return (
        found is not None
        and _is_same_file(found, sys.executable)
        and _is_same_file(os.path.dirname(found), os.path.dirname(sys.executable))
    )


def _is_same_file(path: str, other: str) -> bool:
    """Whether two paths lead to one file; False if there is none, or if this user may not look."""
    try:
        return os.path.samefile(path, other)
    except OSError:
        return False


def _quoted(word: str | os.PathLike[str]) -> str:
    """A word for a shell: plain, in quotes, or as $'…' if some of its characters cannot be printed."""
    text = os.fspath(word)
    if all(map(_can_be_printed, text)):
        return shlex.quote(text)
    return f"$'{''.join(map(_in_dollar_quotes, text))}'"


def _can_be_printed(character: str) -> bool:
    try:
        character.encode(sys.stderr.encoding or "utf-8")
    except UnicodeEncodeError:
        return False
    return character.isprintable()


def _in_dollar_quotes(character: str) -> str:
    if character in "\\'":
        return f"\\{character}"
    if character.isascii() and character.isprintable():
        return character
    return "".join(f"\\{byte:03o}" for byte in os.fsencode(character))
