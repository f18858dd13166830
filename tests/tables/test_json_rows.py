"""JSON Lines as archives: images as base64 text in the records."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from imagestore.archive.label_text import NoLabels
from imagestore.archive.members import SourceLabels
from imagestore.console import UserError
from imagestore.sources.open_archive import open_archive
from tests.helpers.small_stores import picture
from tests.helpers.stored_images import stored_images, stored_labels

IMAGES = [picture((200, 40 * i, 30), i) for i in range(5)]
TEXTS = [base64.b64encode(image).decode() for image in IMAGES]
LABELS = ["rose", "lily", "rose", "oak", "lily"]
NUMBERED = [f"{i:06d}.jpg" for i in range(5)]


def write_lines(path: Path, records, end: str = "\n", mark: str = "") -> Path:
    path.write_text(mark + "".join(json.dumps(record) + end for record in records), "utf-8", newline="")
    return path


def read_all(path: Path, key: str | None = None) -> dict[str, tuple[bytes, str | None]]:
    """Bytes and label of each image by its name, equal in a stream and one by one."""
    with open_archive(path, labels=SourceLabels(key)) as archive:
        streamed = list(archive.stream())
        again = [archive.read(member) for member in reversed(archive.members())]
    assert again[::-1] == [data for _, data in streamed]
    return {member.name: (data, member.label) for member, data in streamed}


FORMS = {
    "image": lambda text, label: {"image": text, "label": label},
    "URL": lambda text, label: {"caption": "a", "img": f"data:image/jpeg;base64,{text}", "class": label},
    "object": lambda text, label: {"image": {"bytes": text, "path": None}, "meta": {"species": label}},
    "chat": lambda text, label: {
        "label": label,
        "messages": [{"role": "user", "content": [{"text": "?"}, {"image_url": {"url": text}}]}],
    },
    "a list of one": lambda text, label: [{"image": text, "label": label}][0] | {"images": None},
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("end", "mark"), [("\n", ""), ("\r\n\n", "\ufeff")])
def test_images_and_labels_in_records_of_any_form(tmp_path, form, end, mark):
    records = map(FORMS[form], TEXTS, LABELS)
    found = read_all(write_lines(tmp_path / "a.jsonl", records, end, mark))
    assert found == dict(zip(NUMBERED, zip(IMAGES, LABELS, strict=True), strict=True))


def test_names_beside_images_and_several_in_a_record(tmp_path):
    records = [
        {"image": {"bytes": TEXTS[0], "path": "a/0.jpg"}, "label": 0},
        {"image": [{"bytes": TEXTS[1], "file_name": "b.jpg"}, {"bytes": TEXTS[2]}], "label": 1.0},
    ]
    assert read_all(write_lines(tmp_path / "a.jsonl", records)) == {
        "a/0.jpg": (IMAGES[0], "0"), "b.jpg": (IMAGES[1], "1"), "000001_1.jpg": (IMAGES[2], "1"),
    }  # fmt: skip


def test_several_keys_are_listed_and_named(tmp_path):
    records = [{"image": a, "more": {"thumb": b}, "y": 1} for a, b in zip(TEXTS, TEXTS[::-1], strict=True)]
    path = write_lines(tmp_path / "a.jsonl", records)
    with pytest.raises(UserError, match=r"images at 2 keys: .*a.jsonl:/image or .*a.jsonl:/more.thumb"):
        read_all(path)
    for key in ("more.thumb", "more/thumb"):
        assert [data for data, _ in read_all(Path(f"{path}:/{key}")).values()] == IMAGES[::-1]
    with pytest.raises(UserError, match="nor JSON Lines with images at 'y'"):
        read_all(Path(f"{path}:/y"))


def test_the_key_of_the_labels_may_be_named(tmp_path):
    path = write_lines(tmp_path / "a.jsonl", [{"image": TEXTS[0], "kind": "rose", "n": 3}])
    with pytest.raises(NoLabels, match=r"name the key of the labels with --label-key \(kind, n\)"):
        read_all(path)
    assert read_all(path, "kind") == {"000000.jpg": (IMAGES[0], "rose")}
    with pytest.raises(UserError, match="has no labels at 'kinds'"):
        read_all(path, "kinds")


def test_bad_records_are_counted_and_a_cut_one_ends_the_run(run, tmp_path):
    good = [{"image": text, "label": label} for text, label in zip(TEXTS, LABELS, strict=True)]
    lines = [*map(json.dumps, good[:3]), "{no record", '{"label": 3}', '{"image": null}', json.dumps(good[3])]
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join([*lines, json.dumps(good[4])[:-20]]))
    command = [
        "colourHeuristic.py",
        "partition",
        path,
        "a.h5",
        "b.h5",
        "1",
        "--labels",
        "source",
        "--no-palette",
    ]
    cut = run(*command, check=False)
    assert cut.returncode == 1 and "ends in the middle of record 7: download or copy it again" in cut.stderr
    path.write_text("\n".join([*lines, json.dumps(good[4])]))
    done = run(*command)
    assert done.returncode == 0, done.stderr
    assert "has 3 rows without the bytes of an image: 000003, 000004, 000005" in done.stderr
    names = [*NUMBERED[:3], "000006.jpg", "000007.jpg"]
    assert stored_labels(tmp_path / "a.h5") == dict(zip(names, LABELS, strict=True))
    assert stored_images(tmp_path / "a.h5") == dict(zip(names, IMAGES, strict=True))


@pytest.mark.parametrize(
    "text",
    [
        json.dumps([{"image": TEXTS[0]}]),
        json.dumps({"image": TEXTS[0]}, indent=1),
        json.dumps({"image": "a.jpg"}) + "\n",
        json.dumps({"error": "not found"}),
    ],
)
def test_other_json_is_told_what_is_read(tmp_path, text):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(UserError, match=r"is a text file .*base64 text in JSON Lines .*jq -c '\.\[\]'"):
        open_archive(tmp_path / "a.json")


def test_it_is_no_store(run, tmp_path):
    write_lines(tmp_path / "a.jsonl", [{"image": TEXTS[0], "label": "rose"}])
    done = run("colourHeuristic.py", "summary", "a.jsonl", check=False)
    assert done.returncode == 1 and "partition a.jsonl train.h5 test.h5 0.8 --labels source" in done.stderr
    done = run("colourHeuristic.py", "identify", "a.jsonl", "000000.jpg")
    assert done.returncode == 0 and done.stdout.startswith("000000.jpg: ")
