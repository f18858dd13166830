"""stored_names.py: the names in stores, archives and labels files are the same in every locale."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
import tarfile
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demo.draw_flowers import jpeg
from imagestore import stored_names
from imagestore.tools.pack import pack
from tests.helpers.commands import ROOT, Run, environment, without_summary
from tests.helpers.locales import C_LOCALE, latin_1_locale

LABELS = ["gänseblümchen", "rose", "向日葵", "no-utf8-\udcff"]
UTF_8 = {"LC_ALL": "C.UTF-8"}


@given(st.binary(max_size=20))
def test_bytes_become_text_and_the_same_bytes_again(name: bytes) -> None:
    assert stored_names.encode(stored_names.decode(name)) == name
    assert stored_names.from_path(stored_names.to_path(stored_names.decode(name))) == stored_names.decode(
        name
    )


@pytest.fixture(scope="module")
def latin_1(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str | None]:
    """The environment of a locale in ISO-8859-1."""
    return latin_1_locale(tmp_path_factory.mktemp("locale"))


@pytest.fixture(params=["ISO-8859-1", "C"])
def locale(request: pytest.FixtureRequest) -> dict[str, str | None]:
    """The environment of a locale whose encoding is not UTF-8."""
    return C_LOCALE if request.param == "C" else request.getfixturevalue("latin_1")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve pictures in a folder, in a store and in an archive."""
    folder = tmp_path_factory.mktemp("files")
    for i in range(12):
        file = folder / "pictures" / stored_names.to_path(f"{LABELS[i % 4]}/bild_é{i}.jpg")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(jpeg(i, seed=11, size=96))
    pack(folder / "pictures", folder / "store.h5")
    with tarfile.open(folder / "pictures.tar", "w") as archive:
        archive.add(folder / "pictures", "")
    return folder


@pytest.fixture
def here(files: Path, tmp_path: Path) -> Path:
    """A copy of the files."""
    return shutil.copytree(files, tmp_path, dirs_exist_ok=True)


def names_in(run: Run, store: str) -> list[list[str]]:
    """Path, label and member of each image, as they are read under UTF-8."""
    table = run("colourHeuristic.py", "summary", "--csv", store, env=UTF_8).stdout
    return [row[1:4] for row in csv.reader(table.splitlines())]


def test_readings_of_an_argument(latin_1: dict[str, str | None]) -> None:
    """Under ISO-8859-1, an argument is what the user typed, or UTF-8 that a script passed on."""
    program = (
        "import sys; from imagestore import stored_names; print(ascii(stored_names.readings(sys.argv[1])))"
    )
    for env, argument, readings in [
        (UTF_8, "é", ["é"]),
        (C_LOCALE, "é", ["é"]),
        (UTF_8, b"\xe9", ["\udce9"]),
        (latin_1, b"\xe9", ["é", "\udce9"]),
        (latin_1, "é", ["Ã©", "é"]),
        (latin_1, "rose", ["rose"]),
    ]:
        done = subprocess.run(
            [sys.executable, "-c", program, argument], capture_output=True, text=True, check=True,
            env=environment({"PYTHONPATH": str(ROOT), **env}),
        )  # fmt: skip
        assert done.stdout == f"{readings!a}\n"


@pytest.mark.slow
def test_labels_of_a_training_are_known_under_another_locale(here: Path, run: Run, locale: dict) -> None:
    train = ("train_model.py", "store.h5", "--epochs", 2, "-j", 1)
    run(*train, "-o", "utf-8", env=UTF_8)
    run(*train, "-o", "other", env=locale)
    labels = [json.loads((here / folder / "store_labels.json").read_bytes()) for folder in ("utf-8", "other")]
    assert labels[0] == labels[1] == {label: i for i, label in enumerate(sorted(LABELS))}
    answers = {}
    for name, env in (("utf-8", UTF_8), ("other", locale)):
        options = ("all", "--seed", 1, "--plot", f"{name}.png")
        done = run("classify.py", "store.h5", "utf-8/store_labels.json", *options, env=env)
        assert without_summary(done.stderr) == ""
        answers[name] = done.stdout.splitlines()
    assert len(answers["other"]) == len(answers["utf-8"]) == 15
    assert answers["other"][-3:-1] == answers["utf-8"][-3:-1]  # both accuracies
    assert (here / "other.png").stat().st_size == (here / "utf-8.png").stat().st_size


@pytest.mark.slow
def test_what_is_written_under_another_locale_is_the_same(here: Path, run: Run, locale: dict) -> None:
    for name, env in (("utf-8", UTF_8), ("other", locale)):
        heuristic = partial(run, "colourHeuristic.py", env=env)
        heuristic("merge", f"merged-{name}.h5", "store.h5")
        heuristic("sort", "pictures.tar", f"sorted-{name}.h5", 6, 3, "--seed", 1)
        heuristic("partition", "pictures", f"train-{name}.h5", f"test-{name}.h5", 0.5, "--seed", 1)
        run("h5vfs.py", "pack", "pictures", f"packed-{name}.h5", env=env)
    for store in ("merged", "sorted", "train", "test", "packed"):
        names = names_in(run, f"{store}-utf-8.h5")
        assert len(names) > 1
        assert names == names_in(run, f"{store}-other.h5")


def test_files_under_another_locale_are_the_same(here: Path, run: Run, locale: dict) -> None:
    run("h5vfs.py", "unpack", "store.h5", "unpacked", env=locale)
    done = subprocess.run(["diff", "-r", here / "pictures", here / "unpacked"], capture_output=True)
    assert (done.returncode, done.stdout) == (0, b"")
    run("h5vfs.py", "unpack", "--include", "gänse*", "store.h5", "some", env=locale)
    assert [os.fsencode(path.name) for path in (here / "some").iterdir()] == ["gänseblümchen".encode()]
    assert "12 checksums right" in run("h5vfs.py", "verify", "store.h5", env=locale).stdout
    listing = run("h5vfs.py", "ls", "store.h5", env=locale).stdout.splitlines()
    assert listing == ["gänseblümchen", "no-utf8-%FF", "rose", "向日葵"]
    path = "gänseblümchen/bild_é0.jpg"
    for argument in (path, os.fsdecode(path.encode("latin-1"))) if "LOCPATH" in locale else (path,):
        run("h5vfs.py", "cat", "store.h5", argument, env=locale)
        for source in ("store.h5", "pictures", "pictures.tar"):
            named = run("colourHeuristic.py", "identify", "--json", source, argument, env=locale).stdout
            assert json.loads(named)["name"] == path


def test_the_first_reading_that_is_known_counts() -> None:
    known = {"b": 2, "c": 3}
    assert stored_names.find_first(known.__getitem__, ["a", "b", "c"], KeyError) == 2
    with pytest.raises(KeyError, match="'x'"):
        stored_names.find_first(known.__getitem__, ["x", "y"], KeyError)
