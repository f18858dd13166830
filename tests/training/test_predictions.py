"""Figures of predictions, compared with a plain count over all of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from imagestore.training.predictions import Confusion, LabelResult, Predictions


def counted(labels: list[str], pairs: list[tuple[int, int]], batch: int = 3) -> Predictions:
    """Predictions of (true, predicted) pairs, added in batches."""
    predictions = Predictions(labels)
    for start in range(0, len(pairs), batch):
        true, predicted = np.array(pairs[start : start + batch], np.int64).T
        predictions.add(predicted, true)
    return predictions


def test_the_figures_of_a_small_example() -> None:
    """Of four images of `cat` three are right; of two of `dog` one; `cow` has none, but was predicted."""
    pairs = [(0, 0), (0, 0), (0, 0), (0, 1), (1, 1), (1, 2)]
    predictions = counted(["cat", "dog", "cow", "hen"], pairs)
    assert (predictions.count, predictions.right) == (6, 4)
    assert predictions.accuracy == pytest.approx(4 / 6)
    assert predictions.balanced_accuracy == pytest.approx((3 / 4 + 1 / 2) / 2)
    assert predictions.commonest == ("cat", pytest.approx(4 / 6))
    assert predictions.commonest_share == pytest.approx(4 / 6)
    assert list(predictions.per_label()) == [
        LabelResult("cat", 1.0, 0.75, 4, 3),
        LabelResult("dog", 0.5, 0.5, 2, 2),
        LabelResult("cow", 0.0, None, 0, 1),
        LabelResult("hen", None, None, 0, 0),
    ]
    assert predictions.most_confused(3) == [Confusion("cat", "dog", 1, 4), Confusion("dog", "cow", 1, 2)]


def test_nothing_is_defined_without_predictions() -> None:
    predictions = Predictions(["a", "b"])
    assert predictions.accuracy is None
    assert predictions.balanced_accuracy is None
    assert predictions.commonest is None
    assert predictions.commonest_share is None
    assert predictions.most_confused(3) == []
    assert predictions.most_frequent(3) == []
    assert [row.count for row in predictions.per_label()] == [0, 0]


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=60), st.integers(1, 7))
def test_figures_are_those_of_the_whole_table(pairs: list[tuple[int, int]], batch: int) -> None:
    labels = list("abcde")
    predictions = counted(labels, pairs, batch)
    table = np.zeros((5, 5), int)
    for pair in pairs:
        table[pair] += 1
    right, true, predicted = table.diagonal(), table.sum(1), table.sum(0)
    occur = true > 0
    assert predictions.accuracy == pytest.approx(right.sum() / len(pairs))
    assert predictions.balanced_accuracy == pytest.approx((right[occur] / true[occur]).mean())
    assert predictions.commonest_share == pytest.approx(true.max() / len(pairs))
    for i, row in enumerate(predictions.per_label()):
        assert (row.count, row.predicted) == (true[i], predicted[i])
        assert row.recall == (pytest.approx(right[i] / true[i]) if true[i] else None)
        assert row.precision == (pytest.approx(right[i] / predicted[i]) if predicted[i] else None)
    wrong = sorted((table[i, j] for i in range(5) for j in range(5) if i != j and table[i, j]), reverse=True)
    assert [pair.count for pair in predictions.most_confused(4)] == wrong[:4]
    for pair in predictions.most_confused(4):
        i, j = labels.index(pair.true_label), labels.index(pair.predicted_label)
        assert (pair.count, pair.images) == (table[i, j], true[i])
    matrix = predictions.matrix(range(5))
    assert (matrix[:5, :5] == table).all() and not matrix[5].any() and not matrix[:, 5].any()
    some = predictions.most_frequent(2)
    folded = predictions.matrix(some)
    assert folded.sum() == len(pairs)
    assert true[some].sum() == sorted(true)[-1] + sorted(true)[-2]
    assert (folded[: len(some), : len(some)] == table[np.ix_(some, some)]).all()
    assert (folded[: len(some)].sum(1) == true[some]).all()


def test_batches_may_be_tensors() -> None:
    predictions = Predictions(["a", "b"])
    predictions.add(torch.tensor([0, 1, 1]), torch.tensor([0, 0, 1]))
    predictions.add(torch.tensor([], dtype=torch.int64), torch.tensor([], dtype=torch.int64))
    assert predictions.pairs == {(0, 0): 1, (0, 1): 1, (1, 1): 1}


def test_twenty_thousand_labels_need_no_table() -> None:
    """A table of all pairs would take 3 GB."""
    labels = [f"label-{i}" for i in range(20_000)]
    random = np.random.default_rng(1)
    true = random.integers(0, len(labels), 50_000)
    predicted = np.where(random.random(len(true)) < 0.5, true, random.integers(0, len(labels), len(true)))
    predictions = Predictions(labels)
    predictions.add(predicted, true)
    assert predictions.accuracy == pytest.approx((predicted == true).mean())
    assert sum(row.count for row in predictions.per_label()) == len(true)
    assert predictions.matrix(predictions.most_frequent(40)).shape == (41, 41)
    assert len(predictions.pairs) <= len(true)
