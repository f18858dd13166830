"""imagestore/model.py and labels.py: colours, the network, devices, metrics, and the files it is kept in."""

from __future__ import annotations

import math
import stat
from pathlib import Path

import pytest
import torch
from torch.nn.functional import cross_entropy

from imagestore import arguments
from imagestore.console import UserError
from imagestore.training.checkpoint import SIDES, load_model, save_file
from imagestore.training.device import choose_device
from imagestore.training.evaluation import Score, evaluate, predict
from imagestore.training.labels_file import load_labels, save_labels
from imagestore.training.network import ColourNet, spread_colours, srgb_to_lab, thin_out

CPU = torch.device("cpu")
LABELS = ["blue", "green", "red"]


def flat(*colours: tuple[int, int, int], side: int = 4) -> torch.Tensor:
    """uint8 (B, 3, side, side): one plain picture for each colour."""
    return torch.tensor(colours, dtype=torch.uint8)[:, :, None, None].expand(-1, -1, side, side)


@pytest.mark.parametrize(
    ("rgb", "lab"),  # from B. Lindbloom's calculator, brucelindbloom.com, sRGB and D65
    [
        ((255, 255, 255), (100, 0, 0)),
        ((0, 0, 0), (0, 0, 0)),
        ((255, 0, 0), (53.24, 80.09, 67.20)),
        ((0, 255, 0), (87.73, -86.18, 83.18)),
        ((0, 0, 255), (32.30, 79.19, -107.86)),
        ((119, 119, 119), (50.03, 0, 0)),
        ((2, 2, 2), (0.55, 0, 0)),
    ],
)
def test_lab(rgb: tuple[int, int, int], lab: tuple[float, float, float]):
    found = 100 * srgb_to_lab(flat(rgb))[0, :, 0, 0]
    assert torch.allclose(found, torch.tensor(lab, dtype=torch.float32), atol=0.06)


def test_the_network_sees_colours_and_not_places():
    """The same pixels in another order are the same picture; other colours are another one."""
    torch.manual_seed(1)
    network = ColourNet(LABELS, side=8).eval()
    images = torch.randint(0, 256, (5, 3, 8, 8), dtype=torch.uint8)
    shuffled = images.flatten(2)[:, :, torch.randperm(64)].reshape(5, 3, 8, 8)
    assert torch.allclose(network(images), network(shuffled), atol=1e-5)
    assert not torch.allclose(network(images), network(255 - images), atol=1e-2)


def test_the_network_starts_with_colours_that_are_far_apart():
    """A plain picture of a place falls into the histogram at that place: the softmax is of distances."""
    network = ColourNet(LABELS, side=4)
    places = spread_colours(64)
    distance = torch.cdist(places, places) + torch.eye(64)
    assert distance.min() > 0.1
    assert (network.nearness(places).argmax(1) == torch.arange(64)).all()


def test_thinning_takes_pixels_of_the_same_picture():
    images = torch.arange(2 * 3 * 6 * 6).reshape(2, 3, 6, 6).to(torch.uint8)
    corners = {tuple(thin_out(images)[0, 0].flatten().tolist()) for _ in range(60)}
    assert corners == {
        tuple(images[0, 0, top::2, left::2].flatten().tolist()) for top in (0, 1) for left in (0, 1)
    }


def test_score_and_evaluate():
    """Means over images, not over batches; NaN of nothing."""
    network = ColourNet(LABELS, side=4)
    images, labels = flat((0, 0, 255), (0, 255, 0), (255, 0, 0), (250, 9, 9)), torch.tensor([0, 1, 2, 1])
    score = evaluate(network, [(images[:3], labels[:3]), (images[3:], labels[3:])], CPU)
    with torch.no_grad():
        logits = network.eval()(images)
    assert score.seen == 4
    assert math.isclose(score.mean_loss, cross_entropy(logits, labels).item(), rel_tol=1e-5)
    assert score.accuracy == (logits.argmax(1) == labels).float().mean().item()
    assert math.isnan(Score().accuracy)
    assert math.isnan(Score().mean_loss)

    label, confidence = predict(network, images, CPU)
    assert torch.equal(label, logits.argmax(1))
    assert torch.allclose(confidence, logits.softmax(1).max(1).values)


def test_devices():
    best = choose_device(None)
    assert best.type == (
        "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    )
    assert choose_device("cpu") == CPU
    for wanted in ("cuda:99", "meta", "", "gpu", "cpu:x"):
        with pytest.raises(UserError, match="use one of"):
            choose_device(wanted)


def test_a_weights_file_says_what_network_it_is(tmp_path: Path):
    """Any width; the same answers after loading."""
    for colours, hidden in ((64, 128), (5, 7)):
        network = ColourNet(LABELS, side=12, colours=colours, hidden=hidden)
        save_file(network.state_dict(), tmp_path / "weights.pth")
        loaded = load_model(tmp_path / "weights.pth", LABELS, CPU)
        images = torch.randint(0, 256, (4, 3, 12, 12), dtype=torch.uint8)
        assert torch.equal(loaded.eval()(images), network.eval()(images))
        assert int(loaded.side) == 12


def test_other_labels_or_layers_do_not_load(tmp_path: Path):
    network = ColourNet(LABELS, side=12)
    path = tmp_path / "weights.pth"
    save_file(network.state_dict(), path)
    for labels, said in (
        (LABELS[:2], "know 3 labels, the labels file has 2"),
        (["green", "blue", "red"], "trained on other labels"),
    ):
        with pytest.raises(UserError, match=said):
            load_model(path, labels, CPU)
    state = network.state_dict()
    del state["head.0.weight"]
    save_file(state, path)
    with pytest.raises(UserError, match="another network"):
        load_model(path, LABELS, CPU)


@pytest.mark.parametrize("side", [0, 1, -5, 4097, 2**62, math.inf, math.nan])
def test_weights_for_absurd_pictures_do_not_load(tmp_path: Path, side: float):
    state = ColourNet(LABELS, side=12).state_dict()
    save_file({**state, "side": torch.tensor(side)}, tmp_path / "weights.pth")
    with pytest.raises(UserError, match=r"weights\.pth: (trained on pictures of|weights of another network)"):
        load_model(tmp_path / "weights.pth", LABELS, CPU)


def test_every_side_that_can_be_trained_can_be_loaded():
    assert (SIDES[0], SIDES[-1]) == (arguments.SMALLEST_SIDE, arguments.LARGEST_SIDE)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_weights_that_are_no_numbers_do_not_load(tmp_path: Path, value: float):
    state = ColourNet(LABELS, side=12).state_dict()
    state["head.5.bias"][1] = value
    save_file(state, tmp_path / "weights.pth")
    with pytest.raises(UserError, match="weights that are no numbers"):
        load_model(tmp_path / "weights.pth", LABELS, CPU)


def test_saving_is_whole_or_not_at_all(tmp_path: Path):
    """What cannot be saved leaves the old file, its mode, and no temporary one."""
    path = tmp_path / "weights.pth"
    save_file({"a": torch.ones(3)}, path)
    path.chmod(0o640)
    before = path.read_bytes()
    with pytest.raises(Exception, match=r"pickle|local object"):
        save_file({"a": lambda: None}, path)
    assert path.read_bytes() == before
    save_file({"a": torch.zeros(3)}, path)
    assert path.read_bytes() != before
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert list(tmp_path.iterdir()) == [path]


def test_labels_keep_their_order_and_names(tmp_path: Path):
    labels = ["d._red", "grün", "l._blue", "\udcff", 'quo"te']
    save_labels(labels, tmp_path / "labels.json")
    assert load_labels(tmp_path / "labels.json") == labels


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
        r'{"\ud800": 0}',
        "[" * 100_000,
    ],
)
def test_other_json_is_no_labels_file(tmp_path: Path, text: str):
    (tmp_path / "labels.json").write_text(text)
    with pytest.raises(UserError, match=r"labels\.json: (no labels|not JSON)"):
        load_labels(tmp_path / "labels.json")
