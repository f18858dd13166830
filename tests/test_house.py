"""The house itself: what may import what, what starts at once, and that the README tells the truth."""

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
from conftest import ROOT, Run

README = (ROOT / "README.md").read_text()
SCRIPTS = ["colourHeuristic.py", "h5vfs.py", "train_model.py", "classify.py"]
AT_ONCE = ["colourHeuristic.py", "h5vfs.py"]  # what a login node must answer without waiting
HEAVY = {"torch", "torchvision", "matplotlib"}


# ----- imports -----


def layout() -> dict[str, tuple[str, set[str]]]:
    """File -> (its room, the rooms it may import), as the README's layout table says.

    A row with several files is one room, named after the first.
    """
    files = {}
    section = README.split("## Layout\n")[1]
    for row in re.findall(r"^\|(.+)\|$", section, re.MULTILINE):
        cells = [cell.strip() for cell in row.split("|")]
        names = re.findall(r"`([\w/.]+\.py)`", cells[0])
        if len(cells) == 3 and names:
            allowed = set() if cells[2] == "nothing" else set(cells[2].split(", "))
            paths = [name if name in SCRIPTS else f"imagestore/{name}" for name in names]
            files.update({path: (Path(names[0]).stem, allowed) for path in paths})
    return files


def imported(path: Path) -> Iterator[str]:
    """The modules of the package that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module == "imagestore":
            names = [f"imagestore.{alias.name}" for alias in node.names]
        else:
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        yield from (name.split(".")[1] for name in names if name.startswith("imagestore."))


SOURCES = [*(ROOT / "imagestore").glob("*.py"), *(ROOT / script for script in SCRIPTS)]
FILES = sorted(str(path.relative_to(ROOT)) for path in SOURCES if path.name != "__init__.py")


@pytest.mark.parametrize("file", FILES)
def test_each_file_imports_only_what_the_layout_allows(file: str) -> None:
    rooms = layout()
    assert file in rooms, f"the README's layout table does not list {file}"
    room, allowed = rooms[file]
    used = {rooms[f"imagestore/{module}.py"][0] for module in imported(ROOT / file)}
    assert used <= allowed | {room}


def test_the_layout_lists_no_file_that_is_gone() -> None:
    assert set(layout()) == set(FILES)


def test_no_import_goes_round_in_a_circle() -> None:
    graph = {path.stem: set(imported(path)) for path in SOURCES}
    while leaves := {name for name, needs in graph.items() if not needs & graph.keys()}:
        graph = {name: needs for name, needs in graph.items() if name not in leaves}
    assert graph == {}


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_answers_at_once(script: str, run: Run) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", str(ROOT / script), "--help"],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0
    assert done.stdout.startswith("usage: ")
    loaded = {line.split("|")[-1].strip().split(".")[0] for line in done.stderr.splitlines()}
    assert not loaded & HEAVY
    if script in AT_ONCE:
        assert not loaded & {"numpy", "h5py", "PIL"}


# ----- the README -----


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
    assert {flag for flag in long if not re.search(rf"{flag}(?![\w-])", README)} == set()


def test_every_flag_of_the_download_is_documented() -> None:
    usage = subprocess.run([ROOT / "download_data.sh", "--help"], capture_output=True, text=True, timeout=30)
    for flag in set(re.findall(r"--[a-z0-9-]+", usage.stdout)) - {"--help"}:
        assert flag in README


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_command_is_documented(script: str) -> None:
    commands = [name for parser in parsers(script) for name, _ in with_subcommands(parser)]
    for command in commands:
        assert f"./{script} {command}".strip() in README


def commands_of_the_readme() -> list[str]:
    """Every line of the README's code blocks that calls a script, without prompt, comment and pipe."""
    blocks = "\n".join(re.findall(r"^```\w*\n(.*?)^```", README, re.MULTILINE | re.DOTALL))
    lines = blocks.replace("\\\n", " ").splitlines()
    found = (re.match(r"\s*(?:\$ )?(\./[\w.]+\.(?:py|sh) .*?)\s*(?:[|>#&;].*)?$", line) for line in lines)
    return sorted({match[1] for match in found if match})


@pytest.mark.parametrize("line", commands_of_the_readme())
def test_every_command_of_the_readme_is_right(line: str) -> None:
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


def test_what_the_readme_links_to_is_there() -> None:
    targets = re.findall(r"\]\((?!https?:|#)([^)#]+)", README)
    assert [target for target in targets if not (ROOT / target).exists()] == []


def test_make_help_lists_every_target_of_the_readme() -> None:
    listed = subprocess.run(["make", "-C", ROOT, "help"], capture_output=True, text=True, timeout=30).stdout
    for target in set(re.findall(r"`make (\w+)", README)) - {"help"}:
        assert f"make {target}" in listed
