"""Files that are not weights, are cut, or hold code: one line for each."""

from __future__ import annotations

import argparse
import os
import pickle
import sys
from pathlib import Path

import pytest
import torch

from imagestore.console import UserError
from imagestore.networks.read_tensors import read_tensors


class Code:
    """Runs a command when it is unpickled."""

    def __reduce__(self) -> tuple:
        return os.system, ("touch was-here",)


def line_about(path: Path) -> str:
    with pytest.raises(UserError) as error:
        read_tensors(path)
    line = str(error.value)
    assert line.startswith(f"{path}: ")
    assert "\n" not in line
    return line


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK",
        b"<html>not found</html>",
        b"\x89PNG\r\n\x1a\n" + bytes(99),
        bytes(64),
        b"\x80\x02}q\x00",
        b"hello\n" * 99,
    ],
)
def test_files_of_other_kinds_are_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "start.pth").write_bytes(content)
    assert "not a file that torch can load, or a damaged one" in line_about(tmp_path / "start.pth")


@pytest.mark.parametrize("zipped", [True, False])
def test_a_file_that_is_cut_is_one_line(tmp_path: Path, zipped: bool) -> None:
    path = tmp_path / "start.pth"
    torch.save({"a.weight": torch.ones(1000)}, path, _use_new_zipfile_serialization=zipped)
    assert read_tensors(path).tensors["a.weight"].sum() == 1000
    data = path.read_bytes()
    for share in (0.1, 0.5, 0.9, 0.99):
        path.write_bytes(data[: int(share * len(data))])
        line_about(path)


def test_code_in_a_file_does_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "start.pth"
    for content in (Code(), {"state_dict": {"a": torch.ones(1)}, "x": Code()}, torch.nn.Linear(2, 2)):
        torch.save(content, path)
        assert "Python objects, which could run code" in line_about(path)
    path.write_bytes(pickle.dumps(Code()))
    line_about(path)
    assert not (tmp_path / "was-here").exists()


def test_arguments_of_a_trainer_beside_the_weights_are_read_over(tmp_path: Path) -> None:
    """torchvision's and timm's scripts keep an argparse.Namespace there."""
    arguments = argparse.Namespace(lr=0.1, output=Path("out"))
    torch.save({"model": {"a": torch.ones(1)}, "args": arguments, "epoch": 3}, tmp_path / "start.pth")
    file = read_tensors(tmp_path / "start.pth")
    assert (list(file.tensors), file.part) == (["a"], "model")


@pytest.mark.parametrize(
    "content", [3, [torch.ones(1)], {}, {"a": 1}, {"state_dict": {}}, torch.ones(3), {"a": {"b": {}}}]
)
def test_a_file_without_tensors_by_name_is_one_line(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "start.pth")
    assert "holds no tensors by name" in line_about(tmp_path / "start.pth")


def test_tensors_of_other_kinds_are_one_line(tmp_path: Path) -> None:
    quantized = torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8)
    for tensor in (quantized, torch.eye(2).to_sparse(), torch.ones(2) * 1j, torch.ones(2, device="meta")):
        torch.save({"a": tensor}, tmp_path / "start.pth")
        assert "quantized or sparse" in line_about(tmp_path / "start.pth")


@pytest.mark.parametrize(
    "content",
    [
        {"best": torch.ones(3), "step": 4, "model": {"a": torch.ones(1)}},
        {"best": torch.ones(3), "state_dict": {}, "weights": {"a": torch.ones(1)}},
    ],
)
def test_a_checkpoint_may_hold_other_tensors_beside_the_weights(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "start.pth")
    assert list(read_tensors(tmp_path / "start.pth").tensors) == ["a"]


def test_a_program_of_torchscript_is_one_line(tmp_path: Path) -> None:
    torch.jit.script(torch.nn.Linear(2, 2)).save(str(tmp_path / "start.pt"))
    assert "TorchScript" in line_about(tmp_path / "start.pt")


def test_a_missing_file_a_folder_and_a_pointer_are_one_line(tmp_path: Path) -> None:
    assert "no such file" in line_about(tmp_path / "missing.pth")
    assert "cannot be read" in line_about(tmp_path)
    (tmp_path / "pointer.pth").write_text(
        "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n"
    )
    assert "git lfs pull" in line_about(tmp_path / "pointer.pth")


def test_a_damaged_safetensors_file_is_one_line(tmp_path: Path) -> None:
    safetensors = pytest.importorskip("safetensors.torch")
    path = tmp_path / "start.safetensors"
    safetensors.save_file({"a": torch.ones(100)}, path)
    path.write_bytes(path.read_bytes()[:-40])
    assert "damaged safetensors file" in line_about(path)


def test_safetensors_need_their_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "start.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}")
    monkeypatch.setitem(sys.modules, "safetensors", None)  # as if it were not installed
    assert line_about(tmp_path / "start.safetensors").endswith("pip install safetensors")
