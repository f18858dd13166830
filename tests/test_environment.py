"""environment.py: a Python that is too old, or that lacks packages, is told in one line what to activate."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from tests.helpers.commands import ROOT, environment

COMMANDS = {
    "colourHeuristic.py": ("summary", "train.h5"),
    "h5vfs.py": ("train.h5", "mnt"),
    "train_model.py": ("train.h5",),
    "classify.py": ("train.h5", "labels.json", "3"),
}
each_script = pytest.mark.parametrize("script", COMMANDS)


@pytest.fixture(scope="module")
def bare_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter without any package."""
    folder = tmp_path_factory.mktemp("bare")
    venv.create(folder, symlinks=True)
    return folder / "bin/python3"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The scripts and their code in a folder with an odd name, without an environment."""
    folder = tmp_path / "my 'check out'"
    shutil.copytree(ROOT / "imagestore", folder / "imagestore", ignore=shutil.ignore_patterns("__pycache__"))
    for file in (*COMMANDS, "requirements.txt"):
        shutil.copy(ROOT / file, folder / file)
    return folder


def failed(command: list[object], cwd: Path) -> str:
    """Run a command, which must fail with one line; returns the line."""
    (cwd / "labels.json").write_text('{"red": 0}')
    (cwd / "model_weights.pth").touch()
    done = subprocess.run(
        list(map(str, command)), cwd=cwd, capture_output=True, text=True, timeout=120, env=environment()
    )
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1), done.stderr
    return done.stderr


@each_script
@pytest.mark.parametrize("options", [(), ("-I",), ("-S", "-I")])
def test_without_packages_a_line_says_what_to_activate(
    bare_python: Path, checkout: Path, tmp_path: Path, script: str, options: tuple[str, ...]
) -> None:
    activate = checkout / ".venv/bin/activate"
    activate.parent.mkdir(parents=True)
    activate.write_text(f"echo activated\nPATH={Path(sys.executable).parent}:$PATH\n")
    line = failed([bare_python, *options, f"{checkout.name}/{script}", *COMMANDS[script]], tmp_path)
    assert line.startswith(f"{script.removesuffix('.py')}: error: ")
    assert f" is not installed for {bare_python}: activate the environment: source " in line
    command = line.partition("environment: ")[2]
    pasted = subprocess.run(
        ["bash", "-c", f"{command}\npython3 -c 'import h5py'"], cwd=tmp_path, capture_output=True, text=True
    )
    assert (pasted.returncode, pasted.stdout) == (0, "activated\n"), pasted.stderr


@each_script
def test_without_an_environment_a_line_says_how_to_make_it(
    bare_python: Path, checkout: Path, tmp_path: Path, script: str
) -> None:
    line = failed([bare_python, script, *COMMANDS[script]], checkout)
    assert line.endswith(
        "make the environment with `make demo`, then activate it: source .venv/bin/activate\n"
    )
    line = failed([bare_python, checkout / script, *COMMANDS[script]], tmp_path)
    make = line.split("`")[1]
    (checkout / "Makefile").write_text("demo:\n\t@echo made\n")
    done = subprocess.run(["bash", "-c", make], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "made" in done.stdout


def test_in_the_environment_itself_a_line_says_what_to_install(checkout: Path) -> None:
    venv.create(checkout / ".venv", symlinks=True)
    python = checkout / ".venv/bin/python3"
    line = failed([python, "h5vfs.py", "train.h5", "mnt"], checkout)
    words = line.partition("python3: ")[2]
    assert words.endswith("/bin/python3' -m pip install -r requirements.txt\n")


@each_script
def test_help_needs_no_packages(bare_python: Path, checkout: Path, tmp_path: Path, script: str) -> None:
    command = [bare_python, "-S", "-I", checkout / script, "--help"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=True)
    assert script.removesuffix(".py") in done.stdout


@each_script
def test_an_old_python_reads_the_start_of_a_script(script: str) -> None:
    """Python 3.6 reads the whole script before it runs the first line, and environment.py after that."""
    for file in (ROOT / script, ROOT / "imagestore/__init__.py", ROOT / "imagestore/environment.py"):
        tree = ast.parse(file.read_text(encoding="utf-8"), feature_version=(3, 6))
        imported = [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
        assert "__future__" not in imported


def test_an_old_python_is_told_in_one_line(tmp_path: Path) -> None:
    code = "import sys; from imagestore import environment; sys.argv[0] = 'x/h5vfs.py'; "
    code += "sys.version_info = (3, 9, 1); environment.check_python(); print('not reached')"
    line = failed(["env", f"PYTHONPATH={ROOT}", sys.executable, "-c", code], tmp_path)
    assert line.startswith(f"h5vfs: error: {sys.executable} is Python 3.9, and 3.10 or newer is needed: ")


def test_a_missing_module_of_this_project_is_a_bug(checkout: Path, tmp_path: Path) -> None:
    os.unlink(checkout / "imagestore/tools/ls.py")
    line = failed([sys.executable, checkout / "h5vfs.py", "ls", "train.h5"], tmp_path)
    assert "unexpected ModuleNotFoundError: No module named 'imagestore.tools.ls'" in line
