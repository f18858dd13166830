"""Count how often each true label was predicted as which label, and what follows from the counts.

Only the pairs that occur are kept, so many thousands of labels need no table of all pairs. What is not
defined, such as the recall of a label without images, is None. Imports nothing slow.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor


@dataclass(frozen=True)
class LabelResult:
    """What the predictions say of one label; precision and recall are 0 to 1."""

    label: str
    precision: float | None  # the share of its predictions that are right; None if it was never predicted
    recall: float | None  # the share of its images that are right; None if it has no images
    count: int  # its images
    predicted: int  # how often it was predicted


@dataclass(frozen=True)
class Confusion:
    """How often images of one label got another."""

    true_label: str
    predicted_label: str
    count: int
    images: int  # with the true label


class Predictions:
    """The predictions counted so far, and figures of them."""

    def __init__(self, labels: Iterable[str]) -> None:
        """`labels` are the names of the numbers that `add` gets."""
        self.labels = list(labels)
        self.pairs: Counter[tuple[int, int]] = Counter()  # (true label, predicted label): images

    def add(self, predicted: Tensor | np.ndarray, true: Tensor | np.ndarray) -> None:
        """Count a batch: predicted and true labels, each int64 (B,)."""
        self.pairs.update(zip(true.tolist(), predicted.tolist(), strict=True))

    def add_one(self, predicted: int, true: int) -> None:
        """Count one prediction."""
        self.pairs[true, predicted] += 1

    @property
    def count(self) -> int:
        """The number of predictions."""
        return sum(self.pairs.values())

    @property
    def right(self) -> int:
        """The number of right predictions."""
        return sum(images for (true, predicted), images in self.pairs.items() if true == predicted)

    @property
    def accuracy(self) -> float | None:
        """The share of right predictions, 0 to 1; None without predictions."""
        return _share(self.right, self.count)

    @property
    def balanced_accuracy(self) -> float | None:
        """The mean of the recalls of all labels that have images; None without predictions.

        The definition is that of scikit-learn's `balanced_accuracy_score`.
        """
        true = self.true_counts()
        return _share(sum(self.pairs[label, label] / images for label, images in true.items()), len(true))

    @property
    def commonest(self) -> tuple[str, float] | None:
        """The label with the most images, and its share of all images, 0 to 1; None without predictions.

        Whoever always predicts this label is right that often.
        """
        true = self.true_counts()
        if not true:
            return None
        label = max(true, key=lambda number: (true[number], -number))
        return self.labels[label], true[label] / self.count

    @property
    def commonest_share(self) -> float | None:
        """The share of `commonest`, 0 to 1; None without predictions."""
        return self.commonest[1] if self.commonest else None

    def true_counts(self) -> Counter[int]:
        """The number of images of each label that has any."""
        return self._counts(0)

    def _counts(self, side: int) -> Counter[int]:
        """Images by their true label (side 0) or their predicted label (side 1)."""
        counts: Counter[int] = Counter()
        for pair, images in self.pairs.items():
            counts[pair[side]] += images
        return counts

    def per_label(self) -> Iterator[LabelResult]:
        """A row for each label, in the order of `labels`."""
        true, predicted = self.true_counts(), self._counts(1)
        for number, label in enumerate(self.labels):
            right = self.pairs[number, number]
            precision, recall = _share(right, predicted[number]), _share(right, true[number])
            yield LabelResult(label, precision, recall, true[number], predicted[number])

    def most_confused(self, n: int) -> list[Confusion]:
        """The `n` pairs of labels that were confused most often; among equals, the first in `labels`."""
        true = self.true_counts()
        wrong = ((pair, images) for pair, images in self.pairs.items() if pair[0] != pair[1])
        most = heapq.nsmallest(n, wrong, key=lambda item: (-item[1], item[0]))
        return [
            Confusion(self.labels[label], self.labels[predicted], images, true[label])
            for (label, predicted), images in most
        ]

    def most_frequent(self, n: int) -> list[int]:
        """The numbers of the `n` labels with the most images or, among equals, predictions; ascending.

        Labels that neither have an image nor were predicted are left out.
        """
        true, predicted = self.true_counts(), self._counts(1)
        numbers = sorted(true | predicted, key=lambda number: (-true[number], -predicted[number], number))
        return sorted(numbers[:n])

    def matrix(self, numbers: Sequence[int]) -> np.ndarray:
        """int64 (n + 1, n + 1): images of each true label (row) by their predicted label (column).

        The rows and columns are those of the labels `numbers`; the last of each is for all other labels.
        """
        import numpy as np  # here: the other figures need no arrays

        place = {number: i for i, number in enumerate(numbers)}
        counts = np.zeros((len(numbers) + 1,) * 2, np.int64)
        for (true, predicted), images in self.pairs.items():
            counts[place.get(true, len(numbers)), place.get(predicted, len(numbers))] += images
        return counts


def _share(part: float, whole: int) -> float | None:
    return part / whole if whole else None
