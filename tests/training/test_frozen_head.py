"""The last layer of a frozen network: what it learns from features."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from imagestore.training.frozen_head import train_head


def clouds(count: int = 300, seed: int = 1) -> tuple[Tensor, Tensor]:
    """Features, float32 (N, 5), of three overlapping clouds, in different units; and their labels."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, 3, (count,), generator=generator)
    centres = torch.tensor([[0.0, 0, 0, 0, 0], [2, 0, 0, 0, 0], [0, 2, 0, 0, 0]])
    features = centres[labels] + torch.randn((count, 5), generator=generator)
    return features * torch.tensor([1.0, 100, 0.01, 1, 1]) + 7, labels


def accuracy(layer: torch.nn.Linear, features: Tensor, labels: Tensor) -> float:
    return (layer(features).argmax(1) == labels).float().mean().item()


def test_a_head_tells_unseen_images_apart() -> None:
    """Nearly as well as one that knows the three centres, and calls each image after the nearest."""
    layer = train_head(*clouds(), label_count=3)
    features, labels = clouds(2000, seed=2)
    places = (features - 7)[:, :2] / torch.tensor([1.0, 100])
    nearest = torch.cdist(places, torch.tensor([[0.0, 0], [2, 0], [0, 2]])).argmin(1)
    assert accuracy(layer, features, labels) > (nearest == labels).float().mean().item() - 0.03


def test_the_same_features_give_the_same_head() -> None:
    """Whatever torch's generator has drawn before, and in any units of the features."""
    features, labels = clouds()
    torch.manual_seed(1)
    first = train_head(features, labels, label_count=3)
    torch.manual_seed(2)
    second = train_head(features, labels, label_count=3)
    assert torch.equal(first.weight, second.weight)
    assert torch.equal(first.bias, second.bias)
    scaled = train_head(features * 50, labels, label_count=3)
    assert torch.allclose(first(features), scaled(features * 50), atol=0.02)


def test_the_loss_is_at_its_minimum() -> None:
    """By scikit-learn's logistic regression, as an independent solver, if it is installed."""
    linear_model = pytest.importorskip("sklearn.linear_model")
    from imagestore.training.frozen_head import DECAY

    features, labels = clouds()
    scaled = (features - features.mean(0)) / features.std(0, correction=0)
    theirs = linear_model.LogisticRegression(C=1 / (2 * DECAY * len(labels)), tol=1e-8, max_iter=1000)
    theirs.fit(scaled.numpy(), labels.numpy())
    probabilities = train_head(features, labels, label_count=3)(features).softmax(1)
    assert torch.allclose(probabilities, torch.from_numpy(theirs.predict_proba(scaled)).float(), atol=0.01)


def test_a_label_without_images_is_never_predicted() -> None:
    features, labels = clouds()
    layer = train_head(features, labels, label_count=5)
    assert layer.weight.shape == (5, 5)
    assert layer(features).argmax(1).max() == 2


def test_weights_of_labels_change_what_is_predicted() -> None:
    features, labels = clouds()
    counts = [
        int(
            (train_head(features, labels, 3, torch.tensor([weight, 1.0, 1.0]))(features).argmax(1) == 0).sum()
        )
        for weight in (0.1, 1.0, 10.0)
    ]
    assert counts == sorted(set(counts))


def test_a_shift_makes_a_label_rarer_or_commoner() -> None:
    """The head makes up for what is added to the logits of its loss."""
    features, labels = clouds()
    counts = []
    for shift in (-3.0, 0.0, 3.0):
        head = train_head(features, labels, 3, shift=torch.tensor([shift, 0.0, 0.0]))
        counts.append(int((head(features).argmax(1) == 0).sum()))
    assert counts == sorted(set(counts), reverse=True)


@pytest.mark.parametrize("count", [1, 2])
def test_one_image_is_enough(count: int) -> None:
    """Features that never change count for nothing; none is divided by 0."""
    layer = train_head(torch.full((count, 4), 3.0), torch.zeros(count, dtype=torch.int64), label_count=2)
    assert layer.weight.isfinite().all()
    assert layer(torch.full((1, 4), 3.0)).argmax(1).item() == 0


def test_a_head_may_have_no_bias() -> None:
    features, labels = clouds()
    layer = train_head(features - features.mean(0), labels, label_count=3, bias=False)
    assert layer.bias is None
    assert accuracy(layer, features - features.mean(0), labels) > 0.6
