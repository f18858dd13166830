"""--weights default: found where torchvision and timm keep weights; else one line says what to put where."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from imagestore.console import UserError
from imagestore.networks.default_weights import find_default_weights


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection fails the test: nothing may be downloaded."""

    def refuse(*_: object) -> None:
        pytest.fail("a connection was asked for")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture
def checkpoints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    folder = tmp_path / "torch/hub/checkpoints"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    constants = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


@pytest.mark.parametrize(
    ("model", "file"),  # the names are part of torchvision's addresses
    [
        ("resnet18", "resnet18-f37072fd.pth"),
        ("resnet50", "resnet50-11ad3fa6.pth"),
        ("resnet50", "resnet50-0676ba61.pth"),  # of an earlier training
        ("inception_v3", "inception_v3_google-0cc3c7bd.pth"),
    ],
)
def test_weights_of_torchvision_are_found(checkpoints: Path, model: str, file: str) -> None:
    (checkpoints / file).write_bytes(b"weights")
    assert find_default_weights(model) == checkpoints / file


def test_the_newest_weights_of_torchvision_are_taken(checkpoints: Path) -> None:
    for file in ("resnet50-0676ba61.pth", "resnet50-11ad3fa6.pth"):
        (checkpoints / file).write_bytes(b"weights")
    assert find_default_weights("resnet50").name == "resnet50-11ad3fa6.pth"


def test_missing_weights_of_torchvision_are_one_line(checkpoints: Path) -> None:
    with pytest.raises(UserError) as error:
        find_default_weights("resnet18")
    assert str(error.value) == (
        "--weights default: the weights of resnet18 are not here. On a machine with internet, fetch "
        "https://download.pytorch.org/models/resnet18-f37072fd.pth and put it at "
        f"{checkpoints}/resnet18-f37072fd.pth"
    )


@pytest.mark.parametrize("model", ["colour", "mlp", "small"])
def test_our_own_models_have_no_default_weights(model: str) -> None:
    with pytest.raises(UserError, match=f"{model} has no weights of its own"):
        find_default_weights(model)


@pytest.mark.parametrize("file", ["model.safetensors", "pytorch_model.bin"])
def test_weights_of_timm_are_found_in_the_hub(hub: Path, checkpoints: Path, file: str) -> None:
    pytest.importorskip("timm")
    repository = hub / "models--timm--resnet18.a1_in1k"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs/main").write_text("abc")
    (repository / "snapshots/abc").mkdir(parents=True)
    (repository / "snapshots/abc" / file).write_bytes(b"weights")
    assert find_default_weights("timm/resnet18") == repository / "snapshots/abc" / file
    assert find_default_weights("timm/resnet18.a1_in1k") == repository / "snapshots/abc" / file


def test_weights_of_older_timm_are_found(hub: Path, checkpoints: Path) -> None:
    pytest.importorskip("timm")
    path = checkpoints / "tf_efficientnet_lite0-0aa007d2.pth"
    path.write_bytes(b"weights")
    assert find_default_weights("timm/tf_efficientnet_lite0") == path


def test_missing_weights_of_timm_are_one_line(hub: Path, checkpoints: Path) -> None:
    pytest.importorskip("timm")
    with pytest.raises(UserError) as error:
        find_default_weights("timm/resnet18")
    assert "hf download timm/resnet18.a1_in1k" in str(error.value)
    assert str(error.value).endswith(f"copy the folder models--timm--resnet18.a1_in1k to {hub}")
    with pytest.raises(UserError, match="timm has no weights of timm/coatnet_0_224"):
        find_default_weights("timm/coatnet_0_224")
