"""The layout of the code, the start of the scripts, and the truth of the README and of docs/."""

from __future__ import annotations

import argparse
import ast
import importlib
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from tests.helpers.commands import ROOT, Run

PAGES = {page.name: page.read_text() for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))}
TEXT = "\n".join(PAGES.values())
SCRIPTS = ["colourHeuristic.py", "h5vfs.py", "train_model.py", "classify.py"]
HEAVY = {"torch", "torchvision", "matplotlib", "numpy", "h5py", "PIL"}


# ----- imports -----


def rooms_of_the_table() -> dict[str, set[str]]:
    """Room -> the rooms it imports, by docs/layout.md. A script is a room; so is a single file."""
    rows = re.findall(r"^\| `([\w.]+)/?` \|[^|]+\| ([^|]+) \|$", PAGES["layout.md"], re.MULTILINE)
    return {
        place.removesuffix(".py"): set() if imports == "nothing" else set(imports.split(", "))
        for place, imports in rows
    }


def modules() -> dict[str, Path]:
    """Every module with code by its dotted name, the scripts included."""
    files = [*(ROOT / "imagestore").rglob("*.py"), *(ROOT / script for script in SCRIPTS)]
    files = [file for file in files if file.name != "__init__.py"]
    return {".".join(file.relative_to(ROOT).with_suffix("").parts): file for file in files}


MODULES = modules()


def imported(file: Path) -> set[str]:
    """The modules of this project that a file imports, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    return names & MODULES.keys()


def room_of(module: str) -> str:
    """The folder of a module, or the module itself where it stands at the top."""
    return module.removeprefix("imagestore.").split(".")[0]


def rooms_of_the_code() -> dict[str, set[str]]:
    """Room -> the rooms it imports, by the code."""
    rooms: dict[str, set[str]] = {room_of(module): set() for module in MODULES}
    for module, file in MODULES.items():
        rooms[room_of(module)] |= {room_of(other) for other in imported(file)} - {room_of(module)}
    return rooms


def test_the_layout_table_and_the_imports_are_equal() -> None:
    assert rooms_of_the_table() == rooms_of_the_code()


def circles(graph: dict[str, set[str]]) -> dict[str, set[str]]:
    """The part of a graph that remains after every node without arrows is removed, again and again."""
    while leaves := {name for name, needs in graph.items() if not needs & graph.keys()}:
        graph = {name: needs for name, needs in graph.items() if name not in leaves}
    return graph


def test_no_import_goes_round_in_a_circle() -> None:
    assert circles({module: imported(file) for module, file in MODULES.items()}) == {}
    assert circles(rooms_of_the_code()) == {}


def test_a_room_says_what_it_is_for_and_exports_nothing() -> None:
    for file in (ROOT / "imagestore").rglob("__init__.py"):
        tree = ast.parse(file.read_text())
        assert ast.get_docstring(tree), f"{file} has no docstring"
        if (
            file.parent.name != "imagestore"
        ):  # whose __getattr__ loads HDF5Dataset and ImageStore when asked for
            assert len(tree.body) == 1, f"{file} holds more than its docstring"


# ----- tests -----

OF_NO_MODULE = {
    "labelling/test_interrupted_runs",
    "test_docs",
    "test_docs_format",
    "test_docs_mending",
    "test_docs_python",
    "test_download_data",
    "test_end_to_end",
    "test_house",
    "test_jobs",
    "test_jobs_pipeline",
    "test_make",
    "test_packaging",
}
LONGEST_TEST_NAME = 60  # characters


def test_a_test_file_stands_where_its_module_stands() -> None:
    """`tests/store/test_writer.py` tests `imagestore/store/writer.py`; the scripts' tests are at the top.

    A module with many tests has several files: `test_writer.py`, `test_writer_signals.py`.
    """
    of_modules = {module.removeprefix("imagestore.").replace(".", "/") for module in MODULES}
    of_modules |= {file.stem for folder in ("benchmarks", "demo") for file in (ROOT / folder).rglob("*.py")}
    for file in (ROOT / "tests").rglob("test_*.py"):
        test = file.relative_to(ROOT / "tests").with_suffix("")
        module = str(test.with_name(test.name.removeprefix("test_")))
        if test.parts[0] in ("benchmarks", "demo"):
            module = test.name.removeprefix("test_")
        has_module = any(module == name or module.startswith(f"{name}_") for name in of_modules)
        assert has_module or str(test) in OF_NO_MODULE, f"there is no module for {file}"


def test_the_names_of_tests_are_short() -> None:
    for file in (ROOT / "tests").rglob("test_*.py"):
        names = re.findall(r"^def (test_\w+)", file.read_text(), re.MULTILINE)
        assert [name for name in names if len(name) > LONGEST_TEST_NAME] == [], file


# ----- starting -----


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_answers_at_once(script: str, run: Run) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", str(ROOT / script), "--help"],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0
    assert done.stdout.startswith("usage: ")
    loaded = {line.split("|")[-1].strip().split(".")[0] for line in done.stderr.splitlines()}
    assert not loaded & HEAVY


# ----- the README and docs/ -----


def load(script: str) -> ModuleType:
    """A script as a module: nothing of it runs."""
    return importlib.import_module(Path(script).stem)


def parsers(script: str) -> list[argparse.ArgumentParser]:
    """The parsers of a script; h5vfs.py has two, one for the tools that mount nothing."""
    module = load(script)
    if script == "h5vfs.py":
        return [module.mount_parser(), module.tools_parser()]
    return [module.build_parser()]


def with_subcommands(parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """A parser, and those of its commands, each with the command's name."""
    yield "", parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            yield from action.choices.items()


def flags(script: str) -> set[str]:
    every = {sub for parser in parsers(script) for _, sub in with_subcommands(parser)}
    return {flag for parser in every for action in parser._actions for flag in action.option_strings}


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_flag_is_documented(script: str) -> None:
    long = {flag for flag in flags(script) if flag.startswith("--")} - {"--help"}
    assert {flag for flag in long if not re.search(rf"{flag}(?![\w-])", TEXT)} == set()


def test_every_flag_of_the_download_is_documented() -> None:
    usage = subprocess.run([ROOT / "download_data.sh", "--help"], capture_output=True, text=True, timeout=120)
    for flag in set(re.findall(r"--[a-z0-9-]+", usage.stdout)) - {"--help"}:
        assert flag in TEXT


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_command_is_documented(script: str) -> None:
    commands = [name for parser in parsers(script) for name, _ in with_subcommands(parser)]
    for command in commands:
        assert f"./{script} {command}".strip() in TEXT


def commands_of_the_pages() -> list[str]:
    """Every line of a code block that calls a script, without prompt, comment and pipe."""
    blocks = "\n".join(re.findall(r"^```\w*\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL))
    lines = blocks.replace("\\\n", " ").splitlines()
    found = (re.match(r"\s*(?:\$ )?(\./[\w.]+\.(?:py|sh) .*?)\s*(?:[|>#&;].*)?$", line) for line in lines)
    return sorted({match[1] for match in found if match})


@pytest.mark.parametrize("line", commands_of_the_pages())
def test_every_command_of_the_pages_is_right(line: str) -> None:
    program, *given = shlex.split(line)
    script = program.removeprefix("./")
    if script == "download_data.sh":
        assert (ROOT / script).exists()
        return
    parser = parsers(script)[0]
    if script == "h5vfs.py" and given[0] in load(script).TOOLS:
        parser = parsers(script)[1]
    if script == "h5vfs.py" and "--" in given:
        given = given[: given.index("--")]
    parser.parse_args(given)


@pytest.mark.parametrize("page", PAGES)
def test_the_links_of_a_page_lead_somewhere(page: str) -> None:
    folder = ROOT if page == "README.md" else ROOT / "docs"
    targets = re.findall(r"\]\((?!https?:|#)([^)#]+)", PAGES[page])
    assert [target for target in targets if not (folder / target).exists()] == []


def test_make_help_lists_every_target_of_the_pages() -> None:
    listed = subprocess.run(["make", "-C", ROOT, "help"], capture_output=True, text=True, timeout=120).stdout
    for target in set(re.findall(r"`make (\w[\w-]*)", TEXT)) - {"help"}:
        assert f"make {target}" in listed


# ----- figures -----


def figures_of_the_page() -> set[tuple[str, ...]]:
    """(benchmark, what, here, yardstick, its figure, ratio) of each row of docs/figures.md."""
    found = set()
    for name, body in re.findall(
        r"^## (\w+)\n(.*?)(?=^## |\Z)", PAGES["figures.md"], re.MULTILINE | re.DOTALL
    ):
        for line in re.findall(r"^\|(.+)\|$", body, re.MULTILINE):
            cells = [cell.strip() for cell in line.split("|")]
            found.add((name, *cells[:5]))
    return found


def test_the_readme_quotes_the_figures_of_docs() -> None:
    section = PAGES["README.md"].split("## How fast\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (\w+) \| (.+) \|$", section, re.MULTILINE)
    quoted = {
        (name, *(cell.strip() for cell in rest.split("|"))) for name, rest in rows if name != "benchmark"
    }
    assert len(quoted) >= 6
    assert quoted <= figures_of_the_page()


def test_every_section_of_the_figures_names_its_benchmark() -> None:
    for name in re.findall(r"^## (\w+)$", PAGES["figures.md"], re.MULTILINE):
        assert (ROOT / f"benchmarks/{name}.py").exists()
        assert f"`benchmarks/{name}.py`" in PAGES["figures.md"]
