"""--labels, --class-names, --unlabelled and --no-palette, as a user runs them."""

from __future__ import annotations

import io
import json
import tarfile

import numpy as np
import pytest
from scipy.io import savemat

from imagestore.colour.palette import HEURISTIC_VERSION
from imagestore.labelling.label_sources import LabelOptions, label_source
from imagestore.sources.open_archive import open_archive
from imagestore.store.labels import find_labels
from imagestore.store.reader import ImageStore
from tests.helpers.archives import pack, write
from tests.helpers.array_files import write_datasets
from tests.helpers.small_stores import picture
from tests.helpers.stored_images import stored_images

SPECIES = {"rose/2.jpg": "rose", "rose/10.jpg": "rose", "tulip/1.jpg": "tulip", "tulip/b/3.jpg": "tulip"}


@pytest.fixture
def flowers_tgz(tmp_path):
    """Four pictures in two folders, one of them deeper."""
    pictures = [(name, picture((200, 30, 30), i)) for i, name in enumerate(SPECIES)]
    return write(tmp_path / "flowers.tgz", pack(pictures, "gz"))


def labels_of(path) -> dict[str, str]:
    """Member -> label of all images of a store."""
    with ImageStore(path) as store:
        labels = find_labels(store)
        return {store.index.member(i).decode(): labels.name_of(i) for i in range(len(store))}


def write_source(folder, kind: str) -> str:
    """A file that says the species, or the numbers 1 and 2 in the order of the names; its name."""
    file = folder / f"labels.{kind}"
    if kind == "csv":
        file.write_text("name,label\n" + "".join(f"{name},{label}\n" for name, label in SPECIES.items()))
    elif kind == "tsv":
        file.write_text("class\tfile\n" + "".join(f"{label}\t{name}\n" for name, label in SPECIES.items()))
    elif kind == "json":
        file.write_text(json.dumps(SPECIES))
    else:  # in natural order: rose/2, rose/10, tulip/1, tulip/b/3
        savemat(file, {"labels": np.array([[1, 1, 2, 2]])})
    return file.name


@pytest.mark.parametrize("options", [[], ["--no-palette"]], ids=["with palettes", "without"])
@pytest.mark.parametrize("kind", ["csv", "tsv", "json", "mat"])
def test_a_file_says_the_labels(run, flowers_tgz, tmp_path, kind, options):
    (tmp_path / "names.txt").write_text("rose\ntulip\n")
    source = write_source(tmp_path, kind)
    done = run("colourHeuristic.py", "partition", flowers_tgz, "a.h5", "b.h5", 1,
               "--labels", source, "--class-names", "names.txt", *options)  # fmt: skip
    assert labels_of(tmp_path / "a.h5") == SPECIES
    told = "--class-names names.txt: is not used: no label is a number" in done.stderr
    assert told == (kind != "mat")
    with ImageStore(tmp_path / "a.h5") as store:
        assert [store.palette(i) is None for i in range(4)] == [bool(options)] * 4


def test_the_folder_is_the_label_and_the_bytes_stay(run, flowers_tgz, tmp_path):
    run("colourHeuristic.py", "sort", flowers_tgz, "a.h5", 4, 2, "--labels", "folder")
    assert labels_of(tmp_path / "a.h5") == SPECIES | {"tulip/b/3.jpg": "b"}
    assert stored_images(tmp_path / "a.h5") == {
        name: picture((200, 30, 30), i) for i, name in enumerate(SPECIES)
    }


def test_a_folder_of_an_escaped_label_stands_for_it(run, tmp_path):
    labels = {
        "AC%2FDC": "AC/DC",
        "%empty": "",
        "%2E%2E": "..",
        "100%": "100%",
        "50%25": "50%25",
        "a%20b": "a%20b",
    }
    members = [(f"{folder}/1.jpg", picture((200, 30, 30), i)) for i, folder in enumerate(labels)]
    archive = write(tmp_path / "escaped.tar", pack(members))
    run("colourHeuristic.py", "partition", archive, "a.h5", "b.h5", 1, "--labels", "folder", "--no-palette")
    assert labels_of(tmp_path / "a.h5") == {f"{folder}/1.jpg": label for folder, label in labels.items()}


def test_any_text_can_be_a_label(run, flowers_tgz, tmp_path):
    labels = dict(zip(SPECIES, ["AC/DC", "", ".", "%2F"], strict=True))
    (tmp_path / "labels.json").write_text(json.dumps(labels))
    run("colourHeuristic.py", "partition", flowers_tgz, "a.h5", "b.h5", 1, "--labels", "labels.json")
    assert labels_of(tmp_path / "a.h5") == labels
    summary = run("colourHeuristic.py", "summary", "a.h5").stdout
    assert [line.split("  ")[0] for line in summary.splitlines()] == ["", "%2F", ".", "AC/DC", "total"]


def test_images_without_a_label_are_left_out_counted_and_named(run, flowers_tgz, tmp_path):
    (tmp_path / "labels.csv").write_text("name,label\n2.jpg,rose\n10.jpg,rose\n")
    command = ["colourHeuristic.py", "partition", flowers_tgz, "a.h5", "b.h5", 1, "--labels", "labels.csv"]
    done = run(*command)
    assert "left out because they have no label: 2 images: tulip/1.jpg; tulip/b/3.jpg\n" in done.stderr
    assert labels_of(tmp_path / "a.h5").keys() == {"rose/2.jpg", "rose/10.jpg"}
    run(*command, "--unlabelled", "other")
    assert labels_of(tmp_path / "a.h5")["tulip/1.jpg"] == "other"


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("l.csv", 'name,label\n2.jpg,rose\n10.jpg,\n1.jpg,""\n3.jpg,  \n'),
        ("l.json", '{"2.jpg": "rose", "10.jpg": null, "1.jpg": NaN, "3.jpg": null}'),
        (
            "l.json",
            '[{"name": "2.jpg", "label": "rose"}, {"name": "10.jpg", "label": null}, {"name": "1.jpg"}]',
        ),
    ],
)
def test_an_empty_cell_means_no_label(run, flowers_tgz, tmp_path, file, text):
    (tmp_path / file).write_text(text)
    command = ["colourHeuristic.py", "partition", flowers_tgz, "a.h5", "b.h5", 1, "--labels", file]
    done = run(*command, "--no-palette")
    others = "rose/10.jpg; tulip/1.jpg; tulip/b/3.jpg"
    assert f"left out because they have no label: 3 images: {others}\n" in done.stderr
    assert labels_of(tmp_path / "a.h5") == {"rose/2.jpg": "rose"}
    run(*command, "--no-palette", "--unlabelled", "other")
    assert set(labels_of(tmp_path / "a.h5").values()) == {"rose", "other"}


def test_sort_takes_its_count_from_the_images_with_a_label(run, flowers_tgz, tmp_path):
    (tmp_path / "labels.csv").write_text("name,label\n2.jpg,rose\n3.jpg,tulip\n")
    done = run("colourHeuristic.py", "sort", flowers_tgz, "a.h5", 2, 1, "--labels", "labels.csv")
    assert labels_of(tmp_path / "a.h5") == {"rose/2.jpg": "rose", "tulip/b/3.jpg": "tulip"}
    assert "left out because they have no label: 2 images: rose/10.jpg; tulip/1.jpg\n" in done.stderr


def test_a_store_keeps_what_labelled_it(run, flowers_tgz, tmp_path):
    write_source(tmp_path, "csv")
    command = ["colourHeuristic.py", "partition", flowers_tgz, "a.h5", "b.h5", 1]
    run(*command, "--labels", "labels.csv", "--no-palette")
    with ImageStore(tmp_path / "a.h5") as store:
        [source] = store.heuristics()
    assert (source["labels"], source["file"], len(source["sha256"])) == ("csv", "labels.csv", 64)
    assert "version" not in source
    assert "labels come from: labels.csv\n" in run("colourHeuristic.py", "summary", "a.h5").stderr


def test_labels_of_colours_are_kept_as_before(run, flowers_tgz, tmp_path):
    run("colourHeuristic.py", "partition", flowers_tgz, "a.h5", "b.h5", 1)
    with ImageStore(tmp_path / "a.h5") as store:
        [source] = store.heuristics()
    assert source.keys() == {"version", "settings", "since"}
    assert source["version"] == HEURISTIC_VERSION


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,label\n2.jpg,rose\n./2.jpg,tulip\n", "names 2.jpg twice, with rose and with tulip"),
        ("name,label\nx/2.jpg,rose\ny/2.jpg,tulip\n", "rose/2.jpg could be x/2.jpg or y/2.jpg"),
        (
            "name,label\nx.jpg,rose\n",
            "holds no image that has a label: --labels labels.csv has none for 4 images: rose/2.jpg; ",
        ),
    ],
)
def test_a_table_that_cannot_be_right_stores_nothing(run, flowers_tgz, tmp_path, text, message):
    (tmp_path / "labels.csv").write_text(text)
    command = ["colourHeuristic.py", "partition", flowers_tgz, "a.h5", "b.h5", 1, "--labels", "labels.csv"]
    done = run(*command, check=False)
    assert done.returncode == 1
    assert message in done.stderr
    assert done.stderr.splitlines()[-1].startswith("colourHeuristic: error: ")
    assert not (tmp_path / "a.h5").exists()


def test_a_table_in_windows_1252_matches_names_in_it(run, tmp_path):
    names = ["fleur/caf\udce9.jpg", "fleur/\udc9cuf.jpg"]  # é and œ in a tar that a program of Windows wrote
    members = [(name, picture((200, 30, 30), i)) for i, name in enumerate(names)]
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", encoding="utf-8", errors="surrogateescape") as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    write(tmp_path / "a.tar", buffer.getvalue())
    table = "name;label;note\ncafé.jpg;crème;a\nœuf.jpg;brûlée;b\n"
    (tmp_path / "labels.csv").write_bytes(table.encode("cp1252"))
    done = run("colourHeuristic.py", "partition", "a.tar", "a.h5", "b.h5", 1, "--labels", "labels.csv")
    assert done.stderr.count("labels.csv is not UTF-8 and is read as Windows-1252") == 1
    with ImageStore(tmp_path / "a.h5") as store:
        assert sorted(find_labels(store).names) == ["brûlée", "crème"]


def test_numbers_of_pandas_have_their_class_names(run, flowers_tgz, tmp_path):
    (tmp_path / "names.txt").write_text("rose\ntulip\n")
    rows = ["rose/2.jpg,0.0", "rose/10.jpg,0.0", "tulip/1.jpg,1.0", "tulip/b/3.jpg,"]
    (tmp_path / "labels.csv").write_text("name,label\n" + "\n".join(rows) + "\n")
    run("colourHeuristic.py", "partition", flowers_tgz, "a.h5", "b.h5", 1,
        "--labels", "labels.csv", "--class-names", "names.txt")  # fmt: skip
    assert labels_of(tmp_path / "a.h5") == {name: SPECIES[name] for name in list(SPECIES)[:3]}


def test_numbers_that_do_not_belong_to_the_archive_are_refused(run, flowers_tgz, tmp_path):
    savemat(tmp_path / "l.mat", {"labels": np.array([[1, 1, 2]])})
    done = run("colourHeuristic.py", "sort", flowers_tgz, "a.h5", 1, 1, "--labels", "l.mat", check=False)
    assert "labels has 3 labels, and the archive has 4 images" in done.stderr
    savemat(tmp_path / "l.mat", {"labels": np.eye(4)})
    done = run("colourHeuristic.py", "sort", flowers_tgz, "a.h5", 1, 1, "--labels", "l.mat", check=False)
    assert "l.mat: no variable is a row or a column of whole numbers or of texts" in done.stderr


@pytest.mark.parametrize(
    "variables",
    [
        {"labels": np.array([["rose"], ["rose"], ["tulip"], ["tulip"]], object)},
        {"labels": np.array(["rose ", "rose ", "tulip", "tulip"])},
        {"labels": np.array([[1.0, 1, 2, 2]]), "class_names": np.array([["rose", "tulip"]], object)},
        {"y": np.array([[0, 0, 1, 1]]), "more": np.array([[5]]), "classes": np.array(["rose ", "tulip"])},
    ],
)
def test_texts_of_a_mat_file_are_labels_or_names(flowers_tgz, tmp_path, variables):
    savemat(tmp_path / "l.mat", variables)
    with open_archive(flowers_tgz) as archive:
        label_of = label_source(LabelOptions(labels=str(tmp_path / "l.mat")), archive.members)
        assert {member.name: label_of(member) for member in archive.members()} == SPECIES


def test_nan_in_a_mat_file_is_no_label(flowers_tgz, tmp_path):
    savemat(tmp_path / "l.mat", {"labels": np.array([[np.nan, 1, 2, 2]])})
    with open_archive(flowers_tgz) as archive:
        label_of = label_source(LabelOptions(labels=str(tmp_path / "l.mat")), archive.members)
        assert [label_of(member) for member in archive.members()] == [None, "1", "2", "2"]


def test_an_hdf5_file_of_labels_has_one_for_each_image(run, flowers_tgz, tmp_path):
    species = ["lily", "rose", "lily", "tulip"]
    write_datasets(tmp_path / "l.h5", a__label=species, a__target=[0, 1, 2, 3], short__label=[1, 2])
    command = ["colourHeuristic.py", "partition", flowers_tgz, "a.h5", "b.h5", 1, "--no-palette", "--labels"]
    run(*command, "l.h5", "--label-column", "a/target")
    with open_archive(flowers_tgz) as archive:
        names = [member.name for member in archive.members()]
    assert labels_of(tmp_path / "a.h5") == dict(zip(names, "0123", strict=True))
    write_datasets(tmp_path / "only.h5", y=species, ids=[5, 6, 7, 8])
    (tmp_path / "a.h5").unlink()
    run(*command, "only.h5")
    assert labels_of(tmp_path / "a.h5") == dict(zip(names, species, strict=True))


@pytest.mark.parametrize(
    ("datasets", "options", "words"),
    [
        ({"y": [1, 2, 3]}, (), "no array has 4 labels, as many as the archive has images"),
        ({"a": [1, 2, 3, 4], "b": [1, 2, 3, 4]}, (), "name one with --label-column: a, b"),
        ({"label": [1, 2, 3, 4], "y": [1, 2, 3, 4]}, ("--label-column", "z"), "no array 'z'"),
        ({"label": [0.5, 1.5, 2.5, 3.5]}, ("--label-column", "label"), "no whole numbers"),
    ],
)
def test_an_hdf5_file_that_does_not_belong_is_refused(run, flowers_tgz, tmp_path, datasets, options, words):
    write_datasets(tmp_path / "l.h5", **datasets)
    command = ["colourHeuristic.py", "sort", flowers_tgz, "a.h5", 1, 1, "--labels", "l.h5", *options]
    done = run(*command, check=False)
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert words in done.stderr
    (tmp_path / "l.h5").write_text("no HDF5")
    assert "not an HDF5 file" in run(*command, check=False).stderr


@pytest.mark.parametrize("name", ["nowhere.csv", "coluor", "labels.xls"])
def test_a_source_that_is_none_is_one_line(run, flowers_tgz, tmp_path, name):
    (tmp_path / "labels.xls").touch()
    done = run("colourHeuristic.py", "sort", flowers_tgz, "a.h5", 1, 1, "--labels", name, check=False)
    assert done.returncode == 1
    assert f"--labels {name}: " in done.stderr
    assert ("did you mean" in done.stderr) == (name == "coluor")


def test_colours_need_palettes(run, flowers_tgz):
    done = run("colourHeuristic.py", "sort", flowers_tgz, "a.h5", 1, 1, "--no-palette", check=False)
    assert done.returncode == 2
    assert "say with --labels where the labels come from" in done.stderr


def test_without_palettes_no_image_is_decoded(run, tmp_path):
    archive = write(tmp_path / "broken.tar", pack([("rose/1.jpg", b"\xff\xd8\xff no picture")]))
    command = ["colourHeuristic.py", "sort", archive, "a.h5", 1, 1, "--labels", "folder"]
    done = run(*command, check=False)
    assert done.returncode == 1
    assert "holds no image that can be decoded" in done.stderr
    run(*command, "--no-palette")
    assert labels_of(tmp_path / "a.h5") == {"rose/1.jpg": "rose"}
