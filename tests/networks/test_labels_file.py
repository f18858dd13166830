"""The labels file: names, order, checksum, and files that hold something else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from imagestore.console import UserError
from imagestore.networks.labels_file import labels_crc32, load_labels, save_labels


def test_labels_keep_their_order_and_names(tmp_path: Path) -> None:
    labels = ["d._red", "grün", "l._blue", "\udcff", 'quo"te']
    save_labels(labels, tmp_path / "labels.json")
    assert load_labels(tmp_path / "labels.json") == labels


def test_a_labels_file_is_json_with_the_indices(tmp_path: Path) -> None:
    """Other programs read it, so its format is fixed."""
    save_labels(["red", "blue"], tmp_path / "labels.json")
    assert (tmp_path / "labels.json").read_bytes() == b'{\n "red": 0,\n "blue": 1\n}\n'


def test_labels_are_in_the_order_of_their_indices(tmp_path: Path) -> None:
    """The order of the lines does not matter."""
    (tmp_path / "labels.json").write_text(json.dumps({"blue": 2, "red": 0, "green": 1}))
    assert load_labels(tmp_path / "labels.json") == ["red", "green", "blue"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        "3",
        '{"a": 1}',
        '{"a": 0, "b": 0}',
        '{"a": "0"}',
        '{"a": true}',
        '{"a": 0, "b": 1.0}',
        '{"a": -1, "b": 0}',
        r'{"\ud800": 0}',
        "[" * 100_000,
    ],
)
def test_other_json_is_no_labels_file(tmp_path: Path, text: str) -> None:
    (tmp_path / "labels.json").write_text(text)
    with pytest.raises(UserError, match=r"labels\.json: (not a labels file|not JSON)"):
        load_labels(tmp_path / "labels.json")


def test_a_labels_file_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no such file; train_model\.py writes it"):
        load_labels(tmp_path / "missing.json")
    with pytest.raises(UserError, match="cannot be read"):
        load_labels(tmp_path)
    (tmp_path / "latin1.json").write_bytes('{"grün": 0}'.encode("latin-1"))
    with pytest.raises(UserError, match="not JSON"):
        load_labels(tmp_path / "latin1.json")


def test_saving_labels_replaces_the_whole_file(tmp_path: Path) -> None:
    """If the folder is missing, nothing is written and no temporary file is left."""
    path = tmp_path / "labels.json"
    save_labels(["red", "green", "blue"], path)
    save_labels(["red"], path)
    assert load_labels(path) == ["red"]
    with pytest.raises(UserError, match="there is no folder"):
        save_labels(["red"], tmp_path / "missing/labels.json")
    assert list(tmp_path.iterdir()) == [path]


def test_the_checksum_tells_names_and_order() -> None:
    """Weights files of earlier versions hold it, so its value is fixed: it is the CRC-32 of the lines."""
    assert labels_crc32(["123456789"]) == 0xCBF43926  # the check value of CRC-32 in ISO 3309
    lists = [
        ["blue", "red"],
        ["red", "blue"],
        ["blue"],
        ["blue", "red", "green"],
        ["blu", "ered"],
        ["\udcff"],
    ]
    assert len({labels_crc32(labels) for labels in lists}) == len(lists)
