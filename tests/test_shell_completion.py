"""The shell's Tab key: what a command answers when the shell asks what could follow."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.commands import ROOT, environment

SEPARATOR = "\013"  # between the answers, as the shell function of argcomplete reads them


def ask(line: str, cwd: Path, **changes: str) -> tuple[int, list[str]]:
    """The exit status and the answers for a command line whose cursor is at its end."""
    answers = cwd / "answers"
    answers.touch()
    asked = {
        "_ARGCOMPLETE": "1", "COMP_LINE": line, "COMP_POINT": str(len(line)), "COMP_TYPE": "9",
        "_ARGCOMPLETE_STDOUT_FILENAME": str(answers), "_ARGCOMPLETE_COMP_WORDBREAKS": " \t\n\"'><=;|&(:",
        **changes,
    }  # fmt: skip
    script = line.split()[0]
    done = subprocess.run(
        [sys.executable, ROOT / script], cwd=cwd, env=environment(asked), capture_output=True, timeout=120
    )
    return done.returncode, [word.strip() for word in answers.read_text().split(SEPARATOR) if word]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("colourHeuristic.py par", {"partition"}),
        ("colourHeuristic.py partition a.tgz --no-pal", {"--no-palette"}),
        ("train_model.py train.h5 --augment st", {"standard", "strong"}),
        ("classify.py --err", {"--errors-only"}),
        ("h5vfs.py ver", {"verify"}),
        ("h5vfs.py --idle", {"--idle-timeout"}),
        ("h5vfs.py unpack --excl", {"--exclude"}),
        ("h5vfs.py tr", {"train.h5", "trees/"}),
    ],
)
def test_a_begun_word_is_completed(line: str, expected: set[str], tmp_path: Path) -> None:
    (tmp_path / "train.h5").touch()
    (tmp_path / "trees").mkdir()
    status, answers = ask(line, tmp_path)
    assert status == 0
    assert set(answers) == expected


def test_without_argcomplete_there_is_no_answer(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['argcomplete'] = None\n")
    assert ask("h5vfs.py --lis", tmp_path, PYTHONPATH=str(tmp_path)) == (1, [])
