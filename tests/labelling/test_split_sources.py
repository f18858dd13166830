"""--split, as a user runs it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.io import savemat

from tests.helpers.archives import pack, write
from tests.helpers.small_stores import picture
from tests.helpers.stored_images import stored_images

NAMES = ["1.jpg", "2.jpg", "10.jpg", "11.jpg"]


@pytest.fixture
def archive(tmp_path):
    pictures = [(f"jpg/{name}", picture((200, 30, 30), i)) for i, name in enumerate(NAMES)]
    return write(tmp_path / "a.tgz", pack(pictures, "gz"))


def partition(run, archive, folder, fraction, *options, status=0):
    """Run `partition`; the names in the two stores, or the command's messages if it fails."""
    done = run(
        "colourHeuristic.py",
        "partition",
        archive,
        "train.h5",
        "test.h5",
        fraction,
        *options,
        check=not status,
    )
    assert done.returncode == status
    if status:
        return done.stderr
    parts = [folder / "train.h5", folder / "test.h5"]
    return [
        {name.removeprefix("jpg/") for name in stored_images(part)} if part.exists() else set()
        for part in parts
    ]


@pytest.mark.parametrize("fraction", [0, 1])
def test_a_table_decides_for_the_images_that_it_names(run, archive, tmp_path, fraction):
    (tmp_path / "split.csv").write_text("name,split\n1.jpg,test\n2.jpg,train\n10.jpg,Validation\n")
    train, test = partition(run, archive, tmp_path, fraction, "--split", "split.csv")
    assert train == {"2.jpg", "10.jpg"} | ({"11.jpg"} if fraction else set())
    assert test == {"1.jpg"} | (set() if fraction else {"11.jpg"})


def test_images_that_the_table_does_not_name_are_counted(run, archive, tmp_path):
    (tmp_path / "split.csv").write_text("name,split\n1.jpg,test\nother.jpg,train\n")
    command = ["colourHeuristic.py", "partition", archive, "a.h5", "b.h5", 1, "--split", "split.csv"]
    said = "not named by --split, so FRACTION decides for them: 3 images: jpg/2.jpg; jpg/10.jpg; jpg/11.jpg\n"
    assert said in run(*command).stderr
    assert "--split" not in run(*command).stderr  # all are stored by now


def test_setid_mat_counts_the_images_in_natural_order(run, archive, tmp_path):
    savemat(tmp_path / "setid.mat", {"trnid": np.array([[1]]), "valid": [[3]], "tstid": [[2, 4]]})
    train, test = partition(run, archive, tmp_path, 1, "--split", "setid.mat")
    assert (train, test) == ({"1.jpg", "10.jpg"}, {"2.jpg", "11.jpg"})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,split\n1.jpg,holdout\n", "'holdout' is no split: use train, val or test"),
        ("name,part\n1.jpg,test\n", "has no column split"),
        ("name,split\n1.jpg,test\njpg/1.jpg,train\n1.jpg,train\n", "names 1.jpg twice"),
    ],
)
def test_a_split_that_cannot_be_right_is_refused(run, archive, tmp_path, text, message):
    (tmp_path / "split.csv").write_text(text)
    assert message in partition(run, archive, tmp_path, 1, "--split", "split.csv", status=1)


def test_numbers_beyond_the_images_are_refused(run, archive, tmp_path):
    savemat(tmp_path / "setid.mat", {"trnid": np.array([[1, 5]])})
    message = partition(run, archive, tmp_path, 1, "--split", "setid.mat", status=1)
    assert "has numbers from 1 to 5, and the archive has 4 images" in message


def test_an_image_in_two_parts_is_refused(run, archive, tmp_path):
    savemat(tmp_path / "setid.mat", {"trnid": np.array([[1, 2]]), "tstid": [[2, 4]]})
    message = partition(run, archive, tmp_path, 1, "--split", "setid.mat", status=1)
    assert "has image 2 in two parts, training and testing" in message
