"""Random crops: draws by a counter, and boxes as torchvision's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torchvision.transforms.v2 import RandomResizedCrop

from imagestore.loading.crops import NUMBERS, draw, random_box

KEYS = np.arange(20_000).astype(np.uint64)  # counters are the hardest to mix


def test_a_draw_depends_on_seed_epoch_and_image_alone() -> None:
    images = KEYS[:50]
    numbers = draw(3, 2, images)
    assert numbers.shape == (50, NUMBERS)
    assert np.array_equal(draw(3, 2, images[::-1])[::-1], numbers)
    assert np.array_equal(draw(3, 2, images[7:8])[0], numbers[7])
    for other in (draw(4, 2, images), draw(3, 3, images), draw(2, 3, images)):
        assert not (other == numbers).any()


def test_draws_are_uniform_and_independent() -> None:
    numbers = draw(0, 0, KEYS)
    assert numbers.min() >= 0 and numbers.max() < 1
    assert np.abs(numbers.mean(0) - 1 / 2).max() < 0.01
    assert np.abs(numbers.var(0) - 1 / 12).max() < 0.005
    correlations = np.corrcoef(numbers[:, :9].T) - np.eye(9)
    assert np.abs(correlations).max() < 0.04
    assert abs(np.corrcoef(numbers[1:, 0], numbers[:-1, 0])[0, 1]) < 0.04


@pytest.mark.parametrize(("width", "height"), [(500, 333), (64, 64), (1000, 20), (3, 400), (1, 1)])
def test_boxes_are_distributed_as_those_of_torchvision(width: int, height: int) -> None:
    torch.manual_seed(0)
    crop = RandomResizedCrop(8)
    flat = torch.empty((3, height, width))
    drawn = [crop.make_params([flat]) for _ in range(1500)]
    theirs = np.array([[box[key] for key in ("top", "left", "height", "width")] for box in drawn])
    ours = np.array([random_box(numbers, width, height) for numbers in draw(1, 1, KEYS[:1500])])
    assert (ours >= [0, 0, 1, 1]).all()
    assert (ours[:, :2] + ours[:, 2:] <= [height, width]).all()
    assert np.abs(ours.mean(0) - theirs.mean(0)).max() <= 0.03 * max(width, height) + 0.5
