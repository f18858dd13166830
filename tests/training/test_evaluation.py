"""Loss, accuracy and predictions."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn.functional import cross_entropy

from imagestore.networks.colour_network import ColourNet
from imagestore.training.evaluation import Score, no_sums, predict, sums_of

CPU = torch.device("cpu")


@pytest.fixture
def network() -> ColourNet:
    torch.manual_seed(1)
    return ColourNet(label_count=3)


@pytest.fixture
def images() -> torch.Tensor:
    """uint8 (4, 3, 4, 4): four pictures of one colour each."""
    colours = torch.tensor([(0, 0, 255), (0, 255, 0), (255, 0, 0), (250, 9, 9)], dtype=torch.uint8)
    return colours[:, :, None, None].expand(-1, -1, 4, 4)


def test_a_score_is_a_mean_over_images(network: ColourNet, images: torch.Tensor) -> None:
    """Not a mean over batches: these have three images and one."""
    labels, sums = torch.tensor([0, 1, 2, 1]), no_sums(CPU)
    with torch.no_grad():
        logits = network.eval()(images)
    for part in (slice(3), slice(3, 4)):
        sums += sums_of(logits[part], labels[part], sums.dtype)
    score = Score(*sums.tolist())
    assert score.images == 4
    assert math.isclose(score.mean_loss, cross_entropy(logits, labels).item(), rel_tol=1e-5)
    assert math.isclose(score.accuracy, (logits.argmax(1) == labels).float().mean().item())


def test_a_score_without_images_is_nan() -> None:
    assert math.isnan(Score().accuracy)
    assert math.isnan(Score().mean_loss)


def test_a_prediction_is_the_likeliest_label(network: ColourNet, images: torch.Tensor) -> None:
    label, confidence = predict(network, images, CPU)
    with torch.no_grad():
        logits = network.eval()(images)
    assert torch.equal(label, logits.argmax(1))
    assert torch.allclose(confidence, logits.softmax(1).max(1).values)
