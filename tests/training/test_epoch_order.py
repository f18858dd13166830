"""The order of an epoch, and what each of several processes takes of it."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from imagestore.training.epoch_order import order_of_epoch, parts_of_steps

KEYS = np.random.default_rng(1).integers(0, 2**64, 1000, np.uint64)
LABELS = torch.tensor([0] * 900 + [2] * 90 + [3] * 10)  # no image has label 1


def test_the_order_follows_the_images_not_their_positions() -> None:
    """Images that stand in another order are trained in the same order."""
    shuffled = np.random.default_rng(2).permutation(1000)
    for by_label in (False, True):
        order = order_of_epoch(KEYS, LABELS, 7, 3, by_label).numpy()
        other = order_of_epoch(KEYS[shuffled], LABELS[shuffled], 7, 3, by_label).numpy()
        assert (KEYS[order] == KEYS[shuffled][other]).all()


def test_seed_and_epoch_change_the_order() -> None:
    orders = [order_of_epoch(KEYS, LABELS, seed, epoch).tolist() for seed, epoch in ((0, 0), (0, 1), (1, 0))]
    assert all(sorted(order) == list(range(1000)) for order in orders)
    assert orders[0] != orders[1] != orders[2] != orders[0]


def test_balanced_sampling_takes_labels_equally_often() -> None:
    """As many images as there are; each label that has images about a third of them, each image in turn."""
    order = order_of_epoch(KEYS, LABELS, 0, 0, by_label=True)
    assert len(order) == 1000
    counts = torch.bincount(LABELS[order], minlength=4).tolist()
    assert counts[1] == 0
    assert all(280 < count < 390 for count in (counts[0], counts[2], counts[3])), counts
    of_rare = torch.bincount(order, minlength=1000)[990:]
    assert of_rare.min() >= 28
    assert of_rare.max() <= 40


@given(
    images=st.integers(0, 70),
    batch_size=st.integers(1, 9),
    batches=st.integers(1, 3),
    ranks=st.integers(1, 4),
)
def test_processes_share_each_step(images: int, batch_size: int, batches: int, ranks: int) -> None:
    """Together they take what one process with the same global batch takes, in as many steps."""
    order = torch.randperm(images)
    alone = list(parts_of_steps(order, batch_size * batches * ranks, 1))
    shared = [list(parts_of_steps(order, batch_size, batches, rank, ranks)) for rank in range(ranks)]
    assert {len(parts) for parts in shared} == {len(alone)}
    for step, (together,) in enumerate(alone):
        mine = [torch.cat(parts[step]) for parts in shared]
        assert torch.equal(torch.cat(mine), together)
        assert all(len(chunk) <= batch_size for parts in shared for chunk in parts[step])
