"""`identify` and `show` on an archive that is cut short, and on one that follows another."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers.archives import PACKERS, pack, write
from tests.helpers.commands import Run
from tests.helpers.images import encode, stripes

PICTURE = encode(stripes())
IMAGES = [(f"in/{i}.png", PICTURE) for i in range(6)]
CUT = "cut.tgz ends in the middle of 'in/3.png' (images before that: 3): download or copy it again\n"
SHOWN = {"DISPLAY": None, "WAYLAND_DISPLAY": None}


@pytest.fixture
def cut(tmp_path: Path) -> Path:
    """An archive that is cut in its fourth image."""
    plain = pack(IMAGES)
    middle = plain.index(b"in/3.png") + 520
    packer = PACKERS["gz"]
    return write(tmp_path / "cut.tgz", packer(plain[:middle]) + packer(plain[middle:])[:20])


def names(output: str) -> list[str]:
    """The images that `identify` has answered for."""
    return [line.split(":")[0] for line in output.splitlines() if not line.startswith(" ")]


def test_an_image_before_the_cut_is_identified(run: Run, cut: Path) -> None:
    done = run("colourHeuristic.py", "identify", "cut.tgz", "in/2.png", "in/0.png")
    assert names(done.stdout) == ["in/2.png", "in/0.png"]
    assert done.stderr == CUT


@pytest.mark.parametrize("arguments", [["--all"], ["in/*"], ["in/1.png", "in/[02]*", "in/1*"]])
def test_an_answer_that_may_lack_images_fails_at_its_end(run: Run, cut: Path, arguments: list[str]) -> None:
    done = run("colourHeuristic.py", "identify", "cut.tgz", *arguments, check=False)
    assert sorted(names(done.stdout)) == ["in/0.png", "in/1.png", "in/2.png"]
    assert (done.returncode, done.stderr) == (1, f"colourHeuristic: error: {CUT}")


@pytest.mark.parametrize("name", ["in/4.png", "in/5*.png", "nowhere.png"])
@pytest.mark.parametrize("command", ["identify", "show"])
def test_an_image_that_is_not_before_the_cut(run: Run, cut: Path, command: str, name: str) -> None:
    done = run("colourHeuristic.py", command, "cut.tgz", name, check=False, env=SHOWN)
    assert (done.returncode, done.stdout) == (1, "")
    assert "before the damage" in done.stderr and repr(name) in done.stderr
    assert done.stderr.endswith(CUT) and done.stderr.count("\n") == 1


def test_an_image_before_the_cut_is_shown(run: Run, cut: Path, tmp_path: Path) -> None:
    done = run("colourHeuristic.py", "show", "cut.tgz", "in/2.png", env=SHOWN)
    assert (tmp_path / done.stdout.strip()).stat().st_size and done.stderr == CUT


def test_ignore_zeros_finds_images_of_a_second_archive(run: Run, tmp_path: Path) -> None:
    write(tmp_path / "a.tar", pack(IMAGES[:2]) + pack(IMAGES[2:]))
    done = run("colourHeuristic.py", "identify", "a.tar", "in/5.png", check=False)
    assert done.returncode == 1
    assert "a.tar has 4 more images behind its end mark, which are not read: --ignore-zeros" in done.stderr
    for arguments in (["in/5.png"], ["in/5*"]):
        done = run("colourHeuristic.py", "identify", "--ignore-zeros", "a.tar", *arguments)
        assert names(done.stdout) == ["in/5.png"] and done.stderr == ""
    done = run("colourHeuristic.py", "identify", "--ignore-zeros", "a.tar", "--all")
    assert len(names(done.stdout)) == 6
    run("colourHeuristic.py", "show", "--ignore-zeros", "a.tar", "in/5.png", env=SHOWN)
