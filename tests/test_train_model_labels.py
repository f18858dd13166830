"""train_model.py and classify.py on stores of other programs: which labels and which images are trained."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import h5py
import numpy as np
import pytest

import classify
from imagestore.console import main
from tests.helpers.archives import pack, write
from tests.helpers.commands import Run
from tests.helpers.small_stores import COLOURS, add, make_store, picture
from tests.helpers.training_runs import have_equal_weights, train_here, train_until_check


def image(i: int) -> np.ndarray:
    """A picture as a dataset; of two classes in turn."""
    return np.frombuffer(picture(COLOURS[("red", "green")[i % 2]], i), np.uint8)


def trained(capsys: pytest.CaptureFixture, store: Path, *options: object) -> tuple[list[str], list[str]]:
    """The labels in the labels file of a short training, and the lines of standard error."""
    output = store.parent / "out"
    status, _, messages = train_here(capsys, store, "-o", output, "--epochs", 2, *options)
    assert status == 0, messages
    return list(json.loads((output / f"{store.stem}_labels.json").read_text())), messages


def classified(capsys: pytest.CaptureFixture, store: Path, *options: object) -> tuple[list[str], str]:
    """The answers of `classify.py` for all images of a store, and standard error."""
    labels = next((store.parent / "out").glob("*_labels.json"))
    arguments = [str(store), str(labels), "all", *map(str, options)]
    assert main("classify", classify.build_parser(), classify.classify, arguments) == 0
    captured = capsys.readouterr()
    return [line for line in captured.out.splitlines() if "  " in line], captured.err


def test_soft_links_from_labels_to_a_store_of_images(tmp_path, capsys):
    with h5py.File(tmp_path / "soft.h5", "w") as file:
        for i in range(20):
            file[f"images/{i:04d}.jpg"] = image(i)
            file[f"{('red', 'green')[i % 2]}/{i:04d}.jpg"] = h5py.SoftLink(f"/images/{i:04d}.jpg")
    labels, messages = trained(capsys, tmp_path / "soft.h5")
    assert labels == ["green", "red"]
    assert "left out: images (20 images, under other labels too)" in messages[0]
    assert "18 images to train on, 2 to validate with, 2 labels" in messages[-1]
    lines, _ = classified(capsys, tmp_path / "soft.h5")
    assert len(lines) == 20 and {line.split("/")[0] for line in lines} == {"green", "red"}


def test_links_to_a_file_for_each_class(tmp_path, capsys):
    with h5py.File(tmp_path / "master.h5", "w") as master:
        for number, name in enumerate(("rose", "tulip")):
            with h5py.File(tmp_path / f"part_{name}.h5", "w") as file:
                for i in range(10):
                    file[f"images/{i}.jpg"] = image(2 * i + number)
            master[name] = h5py.ExternalLink(f"part_{name}.h5", "/images")
        master["lily"] = h5py.ExternalLink("part_lily.h5", "/images")
    labels, messages = trained(capsys, tmp_path / "master.h5", "--cache", 0, "-j", 2)  # workers read too
    assert labels == ["rose", "tulip"]
    assert "left out: links that lead nowhere: 1 (lily)" in messages[0]
    lines, _ = classified(capsys, tmp_path / "master.h5")
    assert len(lines) == 20 and {line.split("/")[0] for line in lines} == {"rose", "tulip"}


def test_links_out_of_the_folder_need_a_flag(tmp_path, capsys):
    (tmp_path / "store").mkdir()
    make_store(tmp_path / "far.h5", 12)
    path = make_store(tmp_path / "store" / "near.h5", 12)
    with h5py.File(path, "a") as file:
        file["far"] = h5py.ExternalLink("../far.h5", "/red")
    labels, messages = trained(capsys, path)
    assert labels == ["blue", "green", "red"]
    assert "links that lead into files outside the folder of the store" in messages[0]
    assert "--follow-external" in messages[0]
    labels, messages = trained(capsys, path, "--follow-external")
    assert labels == ["blue", "far", "green", "red"] and not any("left out" in line for line in messages)
    lines, _ = classified(capsys, path, "--follow-external")
    assert len(lines) == 12 + 4


def test_a_packed_folder_of_symbolic_links(run: Run, tmp_path, capsys):
    for i in range(12):
        source = tmp_path / "photos" / "images" / f"{i}.jpg"
        source.parent.mkdir(parents=True, exist_ok=True)
        source.write_bytes(image(i).tobytes())
        link = tmp_path / "photos" / ("rose", "tulip")[i % 2] / f"{i}.jpg"
        link.parent.mkdir(exist_ok=True)
        link.symlink_to(f"../images/{i}.jpg")
    run("h5vfs.py", "pack", "photos", "photos.h5")
    labels, messages = trained(capsys, tmp_path / "photos.h5")
    assert labels == ["rose", "tulip"] and "left out: images (12 images" in messages[0]


def test_a_group_in_which_no_image_decodes_is_no_label(tmp_path, capsys):
    path = make_store(tmp_path / "mixed.h5", 30)
    with h5py.File(path, "a") as file:
        file["meta/is_train"] = np.ones(40, np.uint8)
        file["broken/1.jpg"] = image(1)[:300]
    labels, messages = trained(capsys, path)
    assert labels == ["blue", "green", "red"]
    for name in ("broken", "meta"):
        assert f"{name} (no image that can be decoded among 1 dataset)" in messages[0]


def test_images_at_the_root_have_no_label_to_train(run: Run, tmp_path, capsys):
    folder = tmp_path / "flat"
    folder.mkdir()
    for i in range(12):
        (folder / f"{i}.jpg").write_bytes(image(i).tobytes())
    run("h5vfs.py", "pack", "flat", "flat.h5")
    status, _, messages = train_here(capsys, tmp_path / "flat.h5", "-o", tmp_path / "out")
    assert (status, len(messages)) == (1, 1)
    assert "flat.h5: 12 images at the root, under no label: " in messages[0] and "pack" in messages[0]

    trained(capsys, make_store(tmp_path / "train.h5", 12))
    lines, errors = classified(capsys, tmp_path / "flat.h5")
    assert len(lines) == 12 and "left out" not in errors
    assert not any("right" in line or "wrong" in line or "accuracy" in line for line in lines)


def make_split(path: Path, parts: dict[str, int]) -> Path:
    """A store with a split above its classes; `parts` has the images of each class in each part."""
    with h5py.File(path, "w") as file:
        for part, count in parts.items():
            for i in range(2 * count):
                file[f"{part}/{('rose', 'tulip')[i % 2]}/{part}_{i}.jpg"] = image(i)
    return path


def used(messages: list[str]) -> list[str]:
    """What a training says of the images that it uses."""
    return [line.removeprefix("train_model: ").split(", on ")[0] for line in messages if " train" in line]


def test_a_split_is_used_as_it_is(tmp_path, capsys):
    path = make_split(tmp_path / "splits.h5", {"train": 8, "val": 4, "test": 3})
    labels, messages = trained(capsys, path)
    assert labels == ["rose", "tulip"]
    assert used(messages) == [
        "trains on train/ (16 images), validates with val/ (8); does not use test/ (6)",
        "16 images to train on, 8 to validate with, 2 labels",
    ]
    lines, errors = classified(capsys, path)
    assert "takes the images below test/ (6)" in errors and len(lines) == 6
    assert all(
        re.match(r"test/(rose|tulip)/\S+  .*(right|wrong: (rose|tulip))$", line) for line in lines[:-1]
    )


def test_a_split_without_val_holds_images_back(tmp_path, capsys):
    path = make_split(tmp_path / "splits.h5", {"train": 10, "test": 3})
    _, messages = trained(capsys, path)
    assert used(messages) == [
        "trains on train/ (20 images), validates with 10 % of it; does not use test/ (6)",
        "18 images to train on, 2 to validate with, 2 labels",
    ]


def test_an_explicit_fraction_wins_over_val(tmp_path, capsys):
    path = make_split(tmp_path / "splits.h5", {"train": 10, "val": 4})
    _, messages = trained(capsys, path, "--val-fraction", 0.2)
    assert used(messages) == [
        "trains on train/ (20 images), validates with 20 % of it; does not use val/ (8)",
        "16 images to train on, 4 to validate with, 2 labels",
    ]
    lines, errors = classified(capsys, path)
    assert "takes the images below val/ (8)" in errors and len(lines) == 8


def test_no_training_part_is_one_line(tmp_path, capsys):
    path = make_split(tmp_path / "splits.h5", {"val": 4, "test": 4})
    status, _, messages = train_here(capsys, path, "-o", tmp_path / "out")
    assert (status, len(messages)) == (1, 1) and "no train/ to train on" in messages[0]


@pytest.mark.parametrize("options", [(), ("--val-fraction", 0.25)])
def test_a_stopped_training_goes_on_with_the_same_split(tmp_path, capsys, options):
    path = make_split(tmp_path / "splits.h5", {"train": 10, "val": 4})
    common = ("--epochs", 3, "-b", 4, "--cache", "1G", "-j", 1)
    assert train_here(capsys, path, "-o", tmp_path / "whole", *common, *options)[0] == 0
    train_until_check(path, tmp_path / "parts", 9, *common, *options)
    checkpoint = tmp_path / "parts" / "checkpoint.pth"
    capsys.readouterr()
    status, _, messages = train_here(capsys, path, "-o", tmp_path / "parts", *common, "--resume", checkpoint)
    assert status == 0 and have_equal_weights(tmp_path / "whole", tmp_path / "parts")
    assert ("validates with val/" in messages[0]) == (not options)


def test_a_split_store_joins_one_without(tmp_path, capsys):
    make_split(tmp_path / "a.h5", {"train": 6, "val": 3})
    add(tmp_path / "b.h5", "lily/1.jpg", picture(COLOURS["blue"], 1))
    status, _, messages = train_here(
        capsys, tmp_path / "a.h5", tmp_path / "b.h5", "-o", tmp_path / "out", "--epochs", 1
    )
    assert status == 0 and "13 images to train on, 6 to validate with, 3 labels" in messages[-1]


@pytest.mark.parametrize("kind", ["tar", "folder", "arrays"])
def test_an_archive_gets_the_command_that_makes_stores(run, tmp_path, kind):
    pictures = {f"{label}/{i}.jpg": picture(colour, i) for i, (label, colour) in enumerate(COLOURS.items())}
    source = {"tar": "a b.tar", "folder": "folder", "arrays": "a.h5"}[kind]
    labels = " --labels source" if kind == "arrays" else ""
    if kind == "tar":
        write(tmp_path / source, pack(pictures.items()))
    elif kind == "folder":
        for name, data in pictures.items():
            (tmp_path / source / name).parent.mkdir(parents=True)
            write(tmp_path / source / name, data)
    else:
        with h5py.File(tmp_path / source, "w") as file:
            file["images"], file["labels"] = np.zeros((9, 8, 8, 3), np.uint8), np.arange(9) % 3
    done = run("train_model.py", source, check=False)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    command = done.stderr.strip().partition(" this makes stores of the images in it: ")[2]
    assert command.endswith(f"train.h5 test.h5 0.8{labels}")
    subprocess.run(["bash", "-c", command], cwd=tmp_path, check=True, timeout=120)
    assert (tmp_path / "train.h5").exists()
