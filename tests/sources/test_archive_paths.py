"""Which archives a glob or a brace range means."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from imagestore.console import UserError
from imagestore.sources.archive_paths import expand_archives, expand_braces

PATTERNS = [
    "a.tar",
    "shard-{0000..0012}.tar",
    "{1..10}.tar",
    "{01..3}.tar",
    "{3..1}.tar",
    "{0..9..4}.tar",
    "{10..1..3}.tar",
    "{-1..1}",
    "{a..e}.tgz",
    "{g..a..2}.tgz",
    "{a..i..-3}.tgz",
    "{e..c}",
    "{train,val}-{0..1}.tar",
    "{train-{0..2},test}.tar",
    "{a,}.tar",
    "{}.tar",
    "{a}.tar",
    "a{1..}.tar",
    "a{1..2.tar",
    "a}{1..2}",
    "{x}{1..2}",
    "{x{1,2}}",
    "{a,b{c,d}e{1..2}}-{f,g}",
    "{008..11}",
]


@pytest.mark.skipif(not shutil.which("bash"), reason="bash is not installed")
@pytest.mark.parametrize("pattern", PATTERNS)
def test_braces_mean_what_they_mean_to_bash(pattern: str) -> None:
    shown = subprocess.run(["bash", "-c", f"printf '%s\\n' {pattern}"], capture_output=True, text=True)
    assert list(dict.fromkeys(expand_braces(pattern))) == shown.stdout.split("\n")[:-1]


def test_an_existing_file_is_no_pattern(tmp_path: Path) -> None:
    for name in ("a{1,2}.tar", "b[1].tar", "b1.tar"):
        (tmp_path / name).touch()
        assert expand_archives([tmp_path / name]) == [tmp_path / name]


def test_globs_are_sorted_and_each_path_comes_once(tmp_path: Path) -> None:
    for name in ("b.tar", "a.tar", "c.zip"):
        (tmp_path / name).touch()
    found = expand_archives([tmp_path / "b.tar", tmp_path / "*.tar", tmp_path / "{a,b}*.tar"])
    assert [path.name for path in found] == ["b.tar", "a.tar"]


@pytest.mark.parametrize(
    ("patterns", "message"),
    [
        (["*.tgz"], "*.tgz: no file matches this pattern"),
        (["{a,b}*.tgz"], "a*.tgz: no file matches this pattern"),
        (["{0..4}.tar"], "{0..4}.tar: 5 of 5 archives are not there: 0.tar, 1.tar, 2.tar, and 2 more"),
        (["s-0.tar", "s-1.tar"], "1 of 2 archives are not there: s-1.tar"),
        (["{0..9}{0..999999}"], "{0..9}{0..999999} means more than 1,000,000 archives"),
    ],
)  # fmt: skip
def test_what_is_missing_is_said(tmp_path, monkeypatch, patterns: list[str], message: str) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s-0.tar").touch()
    with pytest.raises(UserError) as raised:
        expand_archives(patterns)
    assert str(raised.value) == message
