"""The names that --model takes, and the lines about others."""

from __future__ import annotations

import sys

import pytest

from imagestore.console import UserError
from imagestore.networks.model_names import check_model


@pytest.mark.parametrize("name", ["colour", "mlp", "small", "resnet18", "vit_b_16", "googlenet"])
def test_these_names_are_models(name: str) -> None:
    check_model(name)


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("resnet", "no such model; the nearest names are resnet"),
        ("ResNet18", "no such model; the nearest names are resnet18, "),
        ("color", "no such model; the nearest names are colour"),
        ("efficentnet_b0", "no such model; the nearest names are efficientnet_b0, "),
        ("?", "no such model; choose one of colour, mlp, small, or "),
        ("", "no such model; choose one of colour, mlp, small, or "),
        ("fcn_resnet50", "gives no label to a picture"),
        ("fasterrcnn_resnet50_fpn", "gives no label to a picture"),
        ("quantized_resnet18", "gives no label to a picture"),
        ("r3d_18", "gives no label to a picture"),
        ("raft_small", "gives no label to a picture"),
    ],
)
def test_another_name_is_one_line_with_the_nearest(name: str, line: str) -> None:
    with pytest.raises(UserError) as error:
        check_model(name)
    assert str(error.value).startswith(f"--model {name}: {line}")


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("timm/resnt18", "timm has no such model; the nearest names are timm/resnet18, "),
        ("timm/resnet18.nobody", "timm has no such model; the nearest names are timm/resnet18"),
        ("timm/hf-hub:someone/resnet18", "timm has no such model"),
        ("timm/local-dir:/tmp", "timm has no such model"),
        ("timm/", "timm has no such model"),
    ],
)
def test_another_name_of_timm_is_one_line(name: str, line: str) -> None:
    """Nor does timm fetch the description of a model from a hub."""
    pytest.importorskip("timm")
    check_model("timm/resnet18")
    check_model("timm/resnet18.a1_in1k")
    with pytest.raises(UserError) as error:
        check_model(name)
    assert str(error.value).startswith(f"--model {name}: {line}")


def test_a_model_of_timm_needs_timm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)  # as if it were not installed
    with pytest.raises(UserError, match="the package timm is not installed: pip install timm"):
        check_model("timm/resnet18")
