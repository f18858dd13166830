"""WebDataset shards: the label beside the image is known when the image is, in every kind of run."""

from __future__ import annotations

import json
import tarfile

import pytest

from imagestore.archive.members import SourceLabels
from imagestore.console import UserError
from imagestore.sources.open_archive import open_archive
from tests.helpers.archives import pack, tar_entry, write
from tests.helpers.small_stores import picture
from tests.helpers.stored_images import stored_labels

PICTURE = picture((200, 30, 30), 0)
OTHER = picture((30, 30, 200), 1)


def labels_of(tmp_path, entries, key=None, compression="tar") -> dict[str, str | None]:
    """Name -> label of the images, which are equal in a stream, by the index and in a second stream."""
    path = write(tmp_path / "shard.tar", pack(entries, compression))
    index = tmp_path / "shard.index"
    with open_archive(path, index, labels=SourceLabels(key)) as archive:
        streamed = {member.name: member.label for member, data in archive.stream()}
        assert {member.name: member.label for member in archive.members()} == streamed
    with open_archive(path, index, labels=SourceLabels(key)) as archive:
        assert archive.indexed
        assert {member.name: member.label for member, data in archive.stream()} == streamed
        for member in archive.members():
            assert member.label == streamed[member.name]
            assert archive.read(member) in (PICTURE, OTHER)
    return streamed


@pytest.mark.parametrize("compression", ["tar", "gz", "xz"])
@pytest.mark.parametrize("is_behind", [True, False])
def test_a_label_may_stand_before_or_behind_its_image(tmp_path, is_behind, compression):
    samples = [(("a/1.jpg", PICTURE), ("a/1.cls", b"3\n")), (("a/2.jpg", OTHER), ("a/2.cls", b"rose"))]
    entries = [entry for sample in samples for entry in (sample if is_behind else reversed(sample))]
    assert labels_of(tmp_path, entries, compression=compression) == {"a/1.jpg": "3", "a/2.jpg": "rose"}


@pytest.mark.parametrize(
    ("file", "content", "label"),
    [
        ("1.cls", b"7", "7"),
        ("1.class", b" sea lion \n", "sea lion"),
        ("1.label.txt", b"rose", "rose"),
        ("1.CLS", "m\u00f6we".encode(), "m\u00f6we"),
        ("1.json", json.dumps({"label": 0, "class": "other"}).encode(), "0"),
        ("1.json", json.dumps({"caption": "a rose", "cls": 3.0}).encode(), "3"),
        ("1.json", json.dumps({"label": ["rose"]}).encode(), "rose"),
        ("1.json", b'{"label": ', None),
        ("1.json", b"[1]", None),
        ("1.txt", b"rose", "rose"),
        ("1.txt", b"two lines\nof a caption", None),
        ("1.cls", b"", None),
        ("1.cls", b"\xff", "\udcff"),
        ("1.bbox", b"3", None),
    ],
)  # fmt: skip
def test_what_a_file_beside_an_image_says(tmp_path, file, content, label):
    assert labels_of(tmp_path, [("1.jpg", PICTURE), (file, content), ("2.jpg", OTHER)]) == {
        "1.jpg": label,
        "2.jpg": None,
    }


FILES = {
    "1.txt": b"a caption",
    "1.json": json.dumps({"class": "by class", "label": "by label", "species": "by key"}).encode(),
    "1.cls": b"by cls",
    "1.source": b"by file",
}


@pytest.mark.parametrize(
    ("left_out", "key", "label"),
    [
        ([], None, "by cls"),
        (["1.cls"], None, "by label"),
        (["1.cls", "1.json"], None, "a caption"),
        ([], "species", "by key"),
        ([], "class", "by class"),
        ([], "source", "by file"),
        ([], "txt", "a caption"),
        ([], "nothing", None),
    ],
)
@pytest.mark.parametrize("order", [1, -1])
def test_which_of_several_labels_counts(tmp_path, left_out, key, label, order):
    files = [("1.jpg", PICTURE), *((name, data) for name, data in FILES.items() if name not in left_out)]
    assert labels_of(tmp_path, files[::order], key) == {"1.jpg": label}


@pytest.mark.parametrize(
    ("number", "value", "label"),
    [("3", "rose", "rose"), ("3", "7", "7"), ("3", 7, "3"), ("three", "rose", "three"), ("3", "", "")],
)
@pytest.mark.parametrize("order", [1, -1])
def test_a_number_gives_way_to_a_name_in_json(tmp_path, number, value, label, order):
    entries = [
        ("1.jpg", PICTURE),
        ("1.cls", number.encode()),
        ("1.json", json.dumps({"label": value}).encode()),
    ]
    assert labels_of(tmp_path, entries[::order]) == {"1.jpg": label}
    assert labels_of(tmp_path, entries[::order], "cls") == {"1.jpg": number}


def test_a_sample_is_a_run_of_members_with_one_key(tmp_path):
    entries = [
        ("x/1.left.jpg", PICTURE),
        ("x/1.cls", b"one"),
        ("x/._1.cls", b"\0\5\x16\7"),
        ("x/1.right.jpg", OTHER),
        tar_entry("x/folder", tarfile.DIRTYPE),
        ("y/1.jpg", OTHER),
        ("z/1.cls", b"other"),
        ("y/1.cls", b"too late"),
    ]
    assert labels_of(tmp_path, entries) == {"x/1.left.jpg": "one", "x/1.right.jpg": "one", "y/1.jpg": None}


def test_all_images_wait_for_the_label_behind_them(tmp_path):
    entries = [("1.left.jpg", PICTURE), ("1.right.jpg", OTHER), ("1.cls", b"one"), ("2.jpg", OTHER)]
    assert labels_of(tmp_path, entries) == {"1.left.jpg": "one", "1.right.jpg": "one", "2.jpg": None}


def test_a_sample_that_never_ends_fills_no_memory(tmp_path, monkeypatch):
    monkeypatch.setattr("imagestore.archive.sample_labels.MOST_IMAGES_HELD", 3)
    path = write(tmp_path / "a.tar", pack([(f"1.{i}.jpg", PICTURE) for i in range(10)]))
    with open_archive(path, labels=SourceLabels()) as archive:
        samples = archive.stream()
        names = [next(samples)[0].name for _ in range(3)]
        assert names == ["1.0.jpg", "1.1.jpg", "1.2.jpg"]
        assert len([*names, *samples]) == 10


def test_images_before_a_cut_have_their_labels(tmp_path):
    data = pack([("1.jpg", PICTURE), ("1.cls", b"one"), ("2.jpg", OTHER), ("2.cls", b"two")])
    path = write(tmp_path / "cut.tar", data[: data.rindex(b"2.cls") + 100])
    with open_archive(path, labels=SourceLabels()) as archive:
        images = []
        with pytest.raises(UserError, match="ends"):
            for member, _ in archive.stream():
                images.append((member.name, member.label))
    assert images == [("1.jpg", "one"), ("2.jpg", None)]


# ----- as a user runs it -----


@pytest.fixture
def shard(tmp_path):
    """Twenty samples of two classes."""
    entries = []
    for i in range(20):
        entries += [(f"{i:06d}.jpg", picture((200, 30, 30), i)), (f"{i:06d}.cls", b"%d" % (i % 2))]
    return write(tmp_path / "shard.tar", pack(entries))


EXPECTED = {f"{i:06d}.jpg": ("rose", "tulip")[i % 2] for i in range(20)}


@pytest.mark.parametrize(
    "command",
    [
        ["partition", "shard.tar", "a.h5", "b.h5", "1"],
        ["sort", "shard.tar", "a.h5", "20", "3"],
    ],
)
def test_a_shard_becomes_a_store_with_its_labels(run, shard, tmp_path, command):
    (tmp_path / "names.txt").write_text("rose\ntulip\n")
    options = ["--labels", "source", "--class-names", "names.txt"]
    run("colourHeuristic.py", command[0], "shard.tar", *command[2:], "--labels", "colour")  # leaves an index
    (tmp_path / "a.h5").unlink()
    done = run("colourHeuristic.py", *command, *options)
    assert "passed over" not in done.stderr
    assert stored_labels(tmp_path / "a.h5") == EXPECTED


def test_shares_of_a_shard_have_their_labels(run, shard, tmp_path):
    found = {}
    for k in (1, 2, 3):
        command = ["partition", "shard.tar", f"a{k}.h5", f"b{k}.h5", "1", "--labels", "source"]
        run("colourHeuristic.py", *command, "--shard", f"{k}/3")
        found |= stored_labels(tmp_path / f"a{k}.h5")
    assert found == {name: str(("rose", "tulip").index(label)) for name, label in EXPECTED.items()}


def test_a_key_without_labels_from_the_source_is_refused(run, shard):
    command = ["partition", "shard.tar", "a.h5", "b.h5", "1", "--label-key", "species"]
    done = run("colourHeuristic.py", *command, check=False)
    assert done.returncode == 2
    assert done.stderr.endswith(" partition: error: --label-key goes with --labels source\n")
