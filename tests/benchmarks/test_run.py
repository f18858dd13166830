"""run.py, the table of all benchmarks, and that each benchmark can start."""

from __future__ import annotations

import ast
import importlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from tests.helpers.commands import ROOT

FOLDER = ROOT / "benchmarks"
BENCHMARKS = sorted(path for path in FOLDER.glob("*.py") if path.name != "run.py")


def run_in(folder: Path, *names: str) -> subprocess.CompletedProcess:
    """Run the run.py of a folder of benchmarks, or with options."""
    return subprocess.run(
        [sys.executable, folder / "run.py", *names], capture_output=True, text=True, timeout=120
    )


@pytest.fixture
def small_folder(tmp_path: Path) -> Path:
    """A folder with run.py, a benchmark that works, and one that fails."""
    folder = tmp_path / "benchmarks"
    shutil.copytree(FOLDER / "common", folder / "common")
    shutil.copy(FOLDER / "run.py", folder)
    working = (
        "from common.reporting import *; print_table('Title', [Figure('a', 1, yardstick='b', reference=2)])"
    )
    (folder / "working.py").write_text(working)
    (folder / "failing.py").write_text("raise SystemExit(3)")
    (tmp_path / "docs").mkdir()
    return folder


def test_all_benchmarks_are_run_and_failures_named(small_folder: Path):
    done = run_in(small_folder)
    assert done.returncode == 1
    assert done.stderr.splitlines() == ["--- failing", "--- working", "benchmarks: error: failing failed"]
    cells = [cell.strip() for cell in done.stdout.splitlines()[-1].split("|")]
    assert cells == ["", "Title", "a", "1 s", "b", "2 s", "0.50 x", "", "1", ""]


def test_some_benchmarks_are_run_by_name(small_folder: Path):
    done = run_in(small_folder, "working")
    assert (done.returncode, done.stderr) == (0, "--- working\n")


def test_a_run_replaces_its_sections_of_the_page(small_folder: Path):
    page = small_folder.parent / "docs" / "figures.md"
    page.write_text("# Old\n\n## other\n\n| kept | 1 s | c | 2 s | 0.50 x | | 3 |\n\n## working\n\nold\n")
    run_in(small_folder)
    text = page.read_text()
    assert text.startswith("# Figures\n") and "Old" not in text and "old" not in text
    assert text.index("## other") < text.index("| kept |") < text.index("## working") < text.index("| a ")
    assert "failing" not in text
    assert f"Python {sys.version.split()[0]}" in text
    with Image.open(page.parent / "images" / "figures.png") as plot:
        assert plot.width > 500


def test_an_unknown_name_is_an_error():
    done = run_in(FOLDER, "start", "no_such", "--page", "no such page")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].endswith("error: no such benchmark: no_such")


@pytest.mark.parametrize("path", BENCHMARKS, ids=lambda path: path.stem)
def test_all_imports_of_a_benchmark_exist(path: Path):
    imports = list(imports_of(ast.parse(path.read_text())))
    assert imports
    for module, name in imports:
        assert hasattr(importlib.import_module(module), name), f"{module}.{name}"


def imports_of(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """(module, name) of imports from this project, also those in the text of embedded programs."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module.startswith(("imagestore.", "common.", "demo.")):
            yield from ((node.module, alias.name) for alias in node.names)
        elif isinstance(node, ast.Constant) and "\nfrom imagestore" in str(node.value):
            yield from imports_of(ast.parse(node.value))


def test_the_programs_of_archive_read_all_images(sample: Path, tmp_path: Path):
    archive = importlib.import_module("archive")
    for program in archive.PROGRAMS:
        done = subprocess.run(archive._command(program, sample, tmp_path / "index"), timeout=120)
        assert done.returncode == 0
    assert (tmp_path / "index").stat().st_size > 0
