"""The Makefile on machines that lack something: one line names it, and says what to do."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.commands import ROOT, environment


def make(*arguments: object, path: Path | None = None) -> subprocess.CompletedProcess:
    line = [shutil.which("make"), "-C", str(ROOT), "--no-print-directory", *map(str, arguments)]
    changes = {"MAKEFLAGS": None, "MAKELEVEL": None, "MFLAGS": None, "PATH": path and str(path)}
    env = environment({key: value for key, value in changes.items() if key != "PATH" or value})
    return subprocess.run(line, capture_output=True, text=True, timeout=120, env=env)


def program(path: Path, script: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def assert_one_line(done: subprocess.CompletedProcess, *words: str) -> None:
    lines = [line for line in done.stderr.splitlines() if not line.startswith("make: ***")]
    assert len(lines) == 1, done.stderr
    assert all(word in lines[0] for word in words), lines


def test_a_python_without_venv(tmp_path: Path) -> None:
    bare = program(tmp_path / "python3", 'case "$2" in *ensurepip*) exit 1;; esac')
    done = make(f"PYTHON={bare}", f"VENV={tmp_path}/venv", f"{tmp_path}/venv/.python")
    assert done.returncode == 2
    assert_one_line(done, str(bare), "apt install python3-venv")
    assert not (tmp_path / "venv").exists()


def test_no_python_that_is_new_enough(tmp_path: Path) -> None:
    tools = tmp_path / "bin"
    program(tools / "python3", "exit 1")
    (tools / "sh").symlink_to("/bin/sh")
    done = make(f"VENV={tmp_path}/venv", f"{tmp_path}/venv/.python", path=tools)
    assert done.returncode == 2
    assert_one_line(done, "Python 3.10 or newer")


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """An up-to-date .venv on a machine where no FUSE library can be found or installed."""
    program(tmp_path / "venv/bin/python", "exit 1")
    for stamp in (".python", ".light", ".installed"):
        (tmp_path / "venv" / stamp).touch()
    tools = tmp_path / "bin"
    program(tools / "id", "echo 1000")
    (tools / "sh").symlink_to("/bin/sh")
    return tmp_path


def test_no_fuse_library_is_told_and_stops_nothing(installed: Path) -> None:
    done = make(f"VENV={installed}/venv", "fuse", path=installed / "bin")
    assert done.returncode == 0
    assert_one_line(
        done, "apt install fuse3 libfuse2", "dnf install fuse fuse3 fuse-libs", "conda-forge libfuse"
    )


def test_root_gets_the_fuse_library_from_apt(installed: Path) -> None:
    program(installed / "bin/id", "echo 0")
    program(installed / "bin/apt-get", f'echo "$@" >> {installed}/asked')
    done = make(f"VENV={installed}/venv", "fuse", path=installed / "bin")
    assert done.returncode == 0
    assert (installed / "asked").read_text() == "-qq update\n-qq install -y fuse3 libfuse2\n"


def test_nothing_is_installed_twice(installed: Path) -> None:
    done = make("--dry-run", f"VENV={installed}/venv", "demo")
    assert done.returncode == 0
    assert "pip" not in done.stdout


LOG_AND_PRETEND = """
echo "$@" >> {log}
case "$*" in
  *index_answers*) exit {refused};;
esac
"""


@pytest.mark.parametrize("answers", [True, False])
def test_without_a_gpu_pytorch_comes_from_its_own_index(installed: Path, answers: bool) -> None:
    """Only PyTorch's own packages: another index may have other packages of the same names."""
    log = installed / "log"
    program(installed / "venv/bin/python", LOG_AND_PRETEND.format(log=log, refused=int(not answers)))
    (installed / "venv/.light").touch()
    (installed / "venv/.installed").unlink()
    make(f"VENV={installed}/venv", "TORCH_INDEX=https://x/cpu", f"{installed}/venv/.installed")
    calls = log.read_text().splitlines()
    from_index = [call for call in calls if "--extra-index-url" in call]
    has_gpu = Path("/dev/nvidia0").exists() or Path("/dev/kfd").exists()
    assert len(from_index) == (answers and not has_gpu)
    assert all(call.endswith("https://x/cpu torch>=2.3 torchvision>=0.18") for call in from_index)
    assert calls[-1].endswith(f"-r {installed}/venv/train.txt")


def test_the_half_without_training_installs_no_torch(installed: Path) -> None:
    log = installed / "log"
    program(installed / "venv/bin/python", LOG_AND_PRETEND.format(log=log, refused=1))
    (installed / "venv/.light").unlink()
    make(f"VENV={installed}/venv", f"{installed}/venv/.light")
    assert log.read_text().endswith(f"-r {installed}/venv/light.txt\n")
    light = (installed / "venv/light.txt").read_text()
    assert "h5py" in light and "torch" not in light


@pytest.mark.parametrize("has_torch", [True, False])
def test_an_environment_stands_on_a_python_that_has_torch(tmp_path: Path, has_torch: bool) -> None:
    script = f'case "$2" in *torch*) exit {int(not has_torch)};; esac\nexec {sys.executable} "$@"'
    python = program(tmp_path / "python3", script)
    make(f"PYTHON={python}", f"VENV={tmp_path}/venv", f"{tmp_path}/venv/.python")
    config = (tmp_path / "venv/pyvenv.cfg").read_text()
    assert f"include-system-site-packages = {str(has_torch).lower()}" in config
