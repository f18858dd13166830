"""Labels in files of their own beside an image, as WebDataset codes them by their suffixes."""

from __future__ import annotations

import io
import json
import pickle

import numpy as np
import pytest

from imagestore.archive.label_files import LARGEST_ALONE
from imagestore.archive.members import SourceLabels
from imagestore.sources.open_archive import open_archive
from tests.helpers.archives import pack, write
from tests.helpers.mended_stores import heuristic
from tests.helpers.small_stores import picture
from tests.helpers.stored_images import stored_labels


def npy(value: object) -> bytes:
    file = io.BytesIO()
    np.save(file, value)
    return file.getvalue()


def label_of(tmp_path, key: str | None = None, **files: bytes) -> str | None:
    """The label of an image beside files with these suffixes; `cls__npy` is .cls.npy."""
    named = [(f"1.{suffix.replace('__', '.')}", data) for suffix, data in files.items()]
    path = write(tmp_path / "a.tar", pack([("1.jpg", picture((200, 30, 30), 0)), *named], "tar"))
    with open_archive(
        path, tmp_path / f"{len(list(tmp_path.iterdir()))}", labels=SourceLabels(key)
    ) as archive:
        ((member, _),) = archive.stream()
        assert len(files) > 1 or sum(archive.skipped.values()) == (member.label is None)
    return member.label


LABELS = [
    ("cls__npy", npy(7), "7"),
    ("cls__npy", npy(np.array([[7]], np.uint8)), "7"),
    ("cls__npy", npy(np.float32(3)), "3"),
    ("cls__npy", npy("m\u00f6we"), "m\u00f6we"),
    ("cls__npy", npy(np.bytes_(b"rose")), "rose"),
    ("cls__npy", npy(np.eye(9)[4]), "4"),
    ("cls__npy", npy(np.eye(9, dtype=bool)[:1]), "0"),
    ("label__npy", npy(np.linspace(0, 1, 9)), None),  # features: CLS tokens of transformers have such names
    ("cls__npy", npy(np.eye(3)), None),
    ("cls__npy", npy(np.array([{"a": 1}], object)), None),
    ("cls__npy", npy(7)[:-1], None),
    ("cls__npy", b"7", None),
    ("cls", b"tensor(7)", "7"),
    ("cls", b"tensor([7], device='cuda:0')", "7"),
    ("cls", b"array(7, dtype=int64)", "7"),
    ("cls", b"[-1]", "-1"),
    ("cls", b"[7, 8]", "[7, 8]"),
    ("class__txt", b"sea lion\n", "sea lion"),
    ("cls__text", b"7", "7"),
    ("label__json", b"7", "7"),
    ("label__json", b'"sea lion"', "sea lion"),
    ("cls__jsn", b'{"cls": 7}', "7"),
    ("cls__json", b"[1, 2]", None),
    ("cls__json", b"7.", None),
    ("cls__pyd", pickle.dumps(7), "7"),
    ("cls__pickle", pickle.dumps("rose"), "rose"),
    ("cls__pkl", pickle.dumps(np.int64(7)), "7"),
    ("cls__pkl", b"cbuiltins\nstr\n(V7\ntR.", None),  # it calls str("7")
    ("cls__pkl", b"\x80\4K\3", None),
    ("CLS__NPY", npy(7), "7"),
    # The only file beside an image.
    ("npy", npy(7), "7"),
    ("npy", npy(0.7), None),  # a score
    ("npy", npy(np.array([7])), None),
    ("npy", npy("x" * LARGEST_ALONE), None),
    ("json", b"7", "7"),
    ("jsn", b'{"label": "rose"}', "rose"),
    ("pyd", pickle.dumps(7), None),
    ("seg__npy", npy(7), None),
]  # fmt: skip


@pytest.mark.parametrize(("suffix", "data", "label"), LABELS)
def test_what_a_coded_file_says(tmp_path, suffix, data, label):
    assert label_of(tmp_path, **{suffix: data}) == label


def test_a_coded_number_gives_way_to_a_name_and_is_before_others(tmp_path):
    name = json.dumps({"label": "rose"}).encode()
    assert label_of(tmp_path, cls__npy=npy(7), json=name) == "rose"
    assert label_of(tmp_path, json=name, cls__json=b"7", npy=npy(9)) == "rose"
    assert label_of(tmp_path, npy=npy(9), cls__npy=npy(7), txt=b"a caption") == "7"


def test_a_key_may_name_a_coded_file(tmp_path):
    files = {"target__npy": npy(7), "npy": npy(8), "output__pyd": pickle.dumps(9), "json": b'{"target": 5}'}
    expected = {"target": "7", "target.npy": "7", "npy": "8", "output": "9", "cls": None}
    for key, label in expected.items():
        with open_archive(
            write(tmp_path / "a.tar", pack([("1.jpg", picture((200, 30, 30), 0)), *(
                (f"1.{suffix.replace('__', '.')}", data) for suffix, data in files.items()
            )], "tar")),
            tmp_path / key, labels=SourceLabels(key),
        ) as archive:  # fmt: skip
            assert [member.label for member in archive.members()] == [label]


def test_arrays_that_are_no_labels_are_counted(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    images = [picture((200, 60 * i, 30), i) for i in range(3)]
    entries = [
        entry
        for i, image in enumerate(images)
        for entry in ((f"{i}.jpg", image), (f"{i}.cls.npy", npy(i % 2 if i else np.zeros(5))))
    ]
    write(tmp_path / "a.tar", pack(entries, "tar"))
    done = heuristic("partition", "a.tar", "b.h5", "c.h5", 1, "--labels", "source", "--no-palette")
    assert done.status == 0 and "left out because they have no label: 1 image: 0.jpg" in done.err
    assert "passed over: arrays (1)" in done.err
    assert stored_labels("b.h5") == {"1.jpg": "1", "2.jpg": "0"}
