"""--weights FILE: what is taken from files of any trainer, what is said, and files that do not fit."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from torch import Tensor

from imagestore.console import UserError
from imagestore.networks.description import NetworkDescription
from imagestore.networks.image_network import ImageNetwork
from imagestore.networks.make_network import make_network
from imagestore.networks.picture_kind import find_picture_kind
from imagestore.networks.start_weights import take_weights
from imagestore.networks.weights_file import save_network
from tests.helpers.weights_files import save_old_weights

LABELS = ("a", "b", "c")


def network_of(model: str = "small", labels: tuple[str, ...] = LABELS, size: int = 32) -> ImageNetwork:
    """A network with weights of its own each time."""
    return make_network(NetworkDescription(model=model, labels=labels, size=size))


def state_of(network: ImageNetwork) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in network.model.state_dict().items()}


def differing(network: ImageNetwork, state: dict[str, Tensor]) -> set[str]:
    """The names of the weights that are not those of the state dict."""
    own = network.model.state_dict()
    return {name for name in own if name not in state or not torch.equal(own[name], state[name])}


def save(content: object, path: Path) -> Path:
    torch.save(content, path)
    return path


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: state,
        lambda state: {"state_dict": state, "epoch": 3},
        lambda state: {"model": state, "optimizer": {"state": {}, "param_groups": []}},
        lambda state: {"epoch": 3, "net": {"weights": state}},
        lambda state: {"teacher": state},
        lambda state: {f"module.{name}": tensor for name, tensor in state.items()},
        lambda state: {f"_orig_mod.{name}": tensor for name, tensor in state.items()},
        lambda state: {f"module._orig_mod.{name}": tensor for name, tensor in state.items()},
        lambda state: {"model": {f"_orig_mod.module.{name}": tensor for name, tensor in state.items()}},
        lambda state: {name.replace("blocks.", "blocks._orig_mod."): value for name, value in state.items()},
        lambda state: {"state_dict": {f"model.{name}": tensor for name, tensor in state.items()}},
        lambda state: {f"encoder.net.{name}": tensor for name, tensor in state.items()},
        lambda state: {name: tensor.double() for name, tensor in state.items()},
        lambda state: {name: torch.nn.Parameter(value, False) for name, value in state.items()},
    ],
)  # fmt: skip
def test_all_weights_are_taken_from_any_wrapping(tmp_path: Path, wrap) -> None:
    state = state_of(network_of())
    network = network_of()
    lines = take_weights(network, save(wrap(state), tmp_path / "start.pth"))
    assert not differing(network, state)
    assert lines[0].endswith(f"{len(state)} of the model's {len(state)} tensors taken")
    assert lines[1:] == ["the head is that of the file, too"]


def test_a_model_may_be_a_part_of_a_larger_one(tmp_path: Path) -> None:
    """As Lightning keeps it, beside a loss with weights of its own."""
    state = state_of(network_of())
    network = network_of()
    content = {"loss.bias": torch.ones(3), **{f"model.{name}": tensor for name, tensor in state.items()}}
    lines = take_weights(network, save({"state_dict": content}, tmp_path / "start.ckpt"))
    assert not differing(network, state)
    assert lines[-1] == "in the file, but not used: loss.bias"


def test_a_mean_of_weights_is_preferred(tmp_path: Path) -> None:
    """As timm does: it keeps a moving average beside the weights. The line says so."""
    last, mean = state_of(network_of()), state_of(network_of())
    network = network_of()
    path = save({"state_dict": last, "state_dict_ema": mean}, tmp_path / "start.pth")
    assert "(state_dict_ema)" in take_weights(network, path)[0]
    assert not differing(network, mean)


def test_a_head_for_other_labels_stays_as_initialised(tmp_path: Path) -> None:
    state = state_of(network_of(labels=("x",) * 5))
    network = network_of()
    before = state_of(network)
    lines = take_weights(network, save(state, tmp_path / "start.pth"))
    assert differing(network, state) == {"head.weight", "head.bias"}
    assert not differing(
        network, {**state, "head.weight": before["head.weight"], "head.bias": before["head.bias"]}
    )
    assert lines[1:] == ["the head stays as it was initialised: it has 3 labels, and that of the file 5"]


def test_a_file_of_ours_gives_its_head_only_for_its_labels(tmp_path: Path) -> None:
    first = network_of()
    save_network(first, tmp_path / "weights.pth")
    network = network_of()
    take_weights(network, tmp_path / "weights.pth")
    assert not differing(network, state_of(first))
    other = network_of(labels=("b", "a", "c"))
    lines = take_weights(other, tmp_path / "weights.pth")
    assert differing(other, state_of(first)) == {"head.weight", "head.bias"}
    assert lines[1:] == ["the head stays as it was initialised: the file is for other labels"]


def test_weights_of_an_earlier_version_are_taken(tmp_path: Path) -> None:
    """They know a checksum of their labels, which decides about the head."""
    path = save_old_weights(tmp_path / "weights.pth", LABELS, 32)
    kind = find_picture_kind("colour", 500, path)
    described = {"model": "colour", "size": kind.size, "options": kind.options}
    lines = take_weights(make_network(NetworkDescription(labels=LABELS, **described)), path)
    assert lines[1:] == ["the head is that of the file, too"]
    lines = take_weights(make_network(NetworkDescription(labels=("b", "a", "c"), **described)), path)
    assert lines[1:] == ["the head stays as it was initialised: the file is for other labels"]


def test_a_checkpoint_of_train_model_gives_its_weights(tmp_path: Path) -> None:
    state = state_of(network_of())
    content = {"settings": {"size": 32}, "labels": list(LABELS), "step": 3, "model": OrderedDict(state),
               "optimizer": {"state": {0: {"exp_avg": torch.ones(3)}}, "param_groups": []}}  # fmt: skip
    network = network_of()
    take_weights(network, save(content, tmp_path / "checkpoint.pth"))
    assert not differing(network, state)
    take_weights(network_of(), save({**content, "best_pairs": torch.ones((1, 3))}, tmp_path / "later.pth"))


def test_a_checkpoint_gives_its_average_if_it_has_one(tmp_path: Path) -> None:
    """As the weights file does."""
    last, mean = state_of(network_of()), state_of(network_of())
    average = {
        "n_averaged": torch.tensor(3),
        **{f"module.model.{name}": value for name, value in mean.items()},
    }
    content = {"labels": list(LABELS), "model": last, "average": average, "best_pairs": torch.ones((1, 3))}
    network = network_of()
    lines = take_weights(network, save(content, tmp_path / "checkpoint.pth"))
    assert not differing(network, mean)
    assert lines[1:] == ["the head is that of the file, too"]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64, torch.float8_e4m3fn])
def test_weights_of_other_precision_are_taken(tmp_path: Path, dtype: torch.dtype) -> None:
    state = {name: t.to(dtype) if t.is_floating_point() else t for name, t in state_of(network_of()).items()}
    network = network_of()
    take_weights(network, save(state, tmp_path / "start.pth"))
    assert not differing(
        network, {name: t.float() if t.is_floating_point() else t for name, t in state.items()}
    )


def test_rounded_weights_are_refused(tmp_path: Path) -> None:
    """As int8 ones, whose scale the file keeps elsewhere."""
    network = network_of()
    before = state_of(network)
    with pytest.raises(UserError, match="holds whole numbers in place of weights"):
        take_weights(network, save({n: t.char() for n, t in before.items()}, tmp_path / "start.pth"))
    assert not differing(network, before)


def test_weights_of_other_names_are_taken_in_order(tmp_path: Path) -> None:
    """Also without BatchNorm's counters, which old files do not have."""
    state = state_of(network_of(labels=("x",) * 5))
    renamed = {
        f"_layer{i}.{name.rpartition('.')[2]}": tensor for i, (name, tensor) in enumerate(state.items())
    }
    without = {name: tensor for name, tensor in renamed.items() if not name.endswith("num_batches_tracked")}
    for content in (renamed, without):
        network = network_of()
        lines = take_weights(network, save(content, tmp_path / "start.pth"))
        assert differing(network, state) == {"head.weight", "head.bias"}
        assert lines[0].endswith("tensors taken, in order: no name fits, but number, order and shapes do")
        assert lines[1].endswith("it has 3 labels, and that of the file 5")


def test_a_bias_never_takes_the_place_of_a_weight(tmp_path: Path) -> None:
    """They have the same shape in BatchNorm. A program that keeps them the other way round is another."""
    items = list(state_of(network_of()).items())
    for i in range(len(items) - 1):
        if items[i][0].endswith("weight") and items[i][1].shape == items[i + 1][1].shape:
            items[i], items[i + 1] = items[i + 1], items[i]
    content = {f"_{i}.{name.rpartition('.')[2]}": tensor for i, (name, tensor) in enumerate(items)}
    with pytest.raises(UserError, match="only 0 of the"):
        take_weights(network_of(), save(content, tmp_path / "start.pth"))


def test_what_is_missing_and_what_is_not_used_is_said(tmp_path: Path) -> None:
    state = state_of(network_of())
    del state["stem.0.weight"]
    state["extra.weight"] = torch.ones(3)
    state["blocks.0.first.0.weight"] = torch.ones(7)
    lines = take_weights(network_of(), save(state, tmp_path / "start.pth"))
    assert lines[2:] == [
        "not in the file, so as initialised: stem.0.weight",
        "of another shape in the file, so as initialised: blocks.0.first.0.weight",
        "in the file, but not used: extra.weight",
    ]


def test_weights_of_another_model_are_one_line(tmp_path: Path) -> None:
    """The network stays as it was."""
    network = network_of()
    before = state_of(network)
    path = save(state_of(network_of("resnet18")), tmp_path / "start.pth")
    with pytest.raises(
        UserError, match=r"start\.pth: only 0 of the 60 tensors of small are in it: is it of"
    ) as error:
        take_weights(network, path)
    assert "\n" not in str(error.value)
    assert not differing(network, before)


def test_a_small_part_of_a_model_is_not_enough(tmp_path: Path) -> None:
    state = dict(list(state_of(network_of()).items())[:12])
    with pytest.raises(UserError, match="only 10 of the 60 tensors of small are in it"):
        take_weights(network_of(), save(state, tmp_path / "start.pth"))


def test_weights_that_are_not_finite_are_one_line(tmp_path: Path) -> None:
    network = network_of()
    before = state_of(network)
    state = state_of(network_of())
    state["blocks.0.first.0.weight"][0, 0, 0, 0] = float("nan")
    with pytest.raises(UserError, match="some weights are not finite numbers"):
        take_weights(network, save(state, tmp_path / "start.pth"))
    assert not differing(network, before)


@pytest.mark.parametrize(
    ("model", "old", "new"),
    [
        ("densenet121", r".norm.1.", ".norm1."),
        ("vit_b_32", ".mlp.linear_1.", ".mlp.0."),
    ],
)
def test_files_of_torchvision_have_older_names(tmp_path: Path, model: str, old: str, new: str) -> None:
    side = 32 if model == "densenet121" else 64
    state = state_of(network_of(model, size=side))
    if model == "densenet121":
        for layer in ("norm", "conv", "relu"):
            for i in "12":
                state = {
                    name.replace(f".{layer}{i}.", f".{layer}.{i}.") if "denselayer" in name else name: tensor
                    for name, tensor in state.items()
                }
    else:
        state = {
            name.replace(".mlp.0.", ".mlp.linear_1.").replace(".mlp.3.", ".mlp.linear_2."): tensor
            for name, tensor in state.items()
        }
    assert any(old in name for name in state)
    network = network_of(model, size=side)
    lines = take_weights(network, save(state, tmp_path / "start.pth"))
    assert lines[1:] == ["the head is that of the file, too"]


@pytest.mark.slow
def test_positions_are_stretched_to_another_size(tmp_path: Path) -> None:
    state = state_of(network_of("vit_b_32", size=64))
    network = network_of("vit_b_32", size=96)
    lines = take_weights(network, save(state, tmp_path / "start.pth"))
    assert lines[1:] == ["the head is that of the file, too"]


def test_safetensors_are_taken(tmp_path: Path) -> None:
    """By what is in the file, whatever its name."""
    safetensors = pytest.importorskip("safetensors.torch")
    state = state_of(network_of())
    safetensors.save_file(state, tmp_path / "start.pth")
    network = network_of()
    take_weights(network, tmp_path / "start.pth")
    assert not differing(network, state)
