"""Every example of docs/python.md, and of the docstrings, runs as it stands."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.commands import ROOT, environment
from tests.helpers.images import blobs, encode
from tests.helpers.small_stores import COLOURS, add

PAGE = (ROOT / "docs/python.md").read_text()
PROGRAMS = dict(re.findall(r"^```python\n# (\w+\.py)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL))
COMMANDS = re.findall(r"^\$ (.*)$", PAGE, re.MULTILINE)
PRINTS = {
    "plain.py": r"epoch 2: loss \d+\.\d+",
    "batches.py": r"10 images to train on, 1 of them cannot be decoded",
    "on_a_gpu.py": r"9 images were on (cpu|cuda)",
    "with_lightning.py": r"accuracy \d+\.\d %",
    "train_ddp.py": r"10 images, loss \d+\.\d+",
    "filesystem.py": r"\['blue', 'green', 'red'\]\n10 images, 7 to test with",
}
SIZES = [(96, 72), (300, 250), (200, 640)]  # photographs differ
SECONDS = 120


def store(path: Path, count: int) -> Path:
    for i in range(count):
        add(path, f"{[*COLOURS][i % 3]}/image_{i}.jpg", encode(blobs(SIZES[i % 3], i), "JPEG"))
    add(path, "red/broken.jpg", b"\xff\xd8\xff no picture")
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the programs and the stores."""
    store(tmp_path / "train.h5", 9)
    store(tmp_path / "test.h5", 6)
    for name, program in PROGRAMS.items():
        (tmp_path / name).write_text(program)
    return tmp_path


def run_words(words: list[str], folder: Path) -> str:
    """Standard output of a program."""
    variables = environment({"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "MPLBACKEND": "agg"})
    done = subprocess.run(
        [sys.executable, *words], cwd=folder, env=variables, capture_output=True, text=True, timeout=SECONDS
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def words_for(program: str) -> list[str]:
    """What follows `python`: the command of the page, if it has one for the program."""
    for command in COMMANDS:
        tool, *words = command.split()
        if words[-1] == program:
            assert tool == "torchrun"
            return ["-m", "torch.distributed.run", *words]
    return [program]


@pytest.mark.slow
@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_of_the_page_runs(program: str, folder: Path) -> None:
    if program == "with_lightning.py":
        pytest.importorskip("lightning")
    assert re.search(PRINTS[program], run_words(words_for(program), folder))


def test_the_page_has_every_program() -> None:
    assert PROGRAMS.keys() == PRINTS.keys()


def examples() -> list[str]:
    """The modules with an example in their docstring."""
    files = sorted((ROOT / "imagestore").rglob("*.py"))
    return [os.path.relpath(file, ROOT) for file in files if example_of(file)]


def example_of(file: Path) -> str:
    """The indented lines of a module's docstring, if they are a program."""
    parts = file.read_text().split('"""')
    lines = [line for line in parts[1].splitlines() if line.startswith("    ") or not line]
    program = "\n".join(line.removeprefix("    ") for line in lines)
    return program if "import " in program else ""


@pytest.mark.parametrize("module", examples())
def test_the_example_of_a_docstring_runs(module: str, folder: Path) -> None:
    program = example_of(ROOT / module) + "\nassert images.ndim == 4 and images.shape[1:] == (3, 224, 224)\n"
    (folder / "example.py").write_text(program)
    run_words(["example.py"], folder)


def test_the_dataset_and_the_batches_have_an_example() -> None:
    assert {"imagestore/loading/batches.py", "imagestore/loading/dataset.py"} <= {*examples()}
