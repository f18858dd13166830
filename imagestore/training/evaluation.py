"""How well a network does: loss, accuracy and predictions."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from imagestore.loading.batches import Batch


@dataclass
class Score:
    """Loss (cross-entropy) and accuracy over the images counted so far."""

    loss_sum: float = 0.0
    correct: int = 0
    images: int = 0

    def add(self, logits: Tensor, labels: Tensor) -> None:
        """Count one batch: logits, float32 (B, labels), and true labels, int64 (B,)."""
        self.loss_sum += cross_entropy(logits, labels, reduction="sum").item()
        self.correct += int((logits.argmax(1) == labels).sum())
        self.images += len(labels)

    @property
    def mean_loss(self) -> float:
        """The mean loss of an image; NaN without images."""
        return self.loss_sum / self.images if self.images else math.nan

    @property
    def accuracy(self) -> float:
        """The share of images whose label was predicted, 0 to 1; NaN without images."""
        return self.correct / self.images if self.images else math.nan


@torch.inference_mode()
def evaluate(model: nn.Module, batches: Iterable[Batch], device: torch.device) -> Score:
    """Score a model on batches of images."""
    model.eval()
    score = Score()
    for images, labels, _ in batches:
        score.add(model(images.to(device)), labels.to(device))
    return score


@torch.inference_mode()
def predict(model: nn.Module, images: Tensor, device: torch.device) -> tuple[Tensor, Tensor]:
    """The likeliest label, int64 (B,), and its probability, float32 (B,), for images, uint8 (B, 3, H, W)."""
    model.eval()
    confidence, label = model(images.to(device)).softmax(1).max(1)
    return label.cpu(), confidence.cpu()


def commonest_label_share(labels: Tensor) -> float:
    """The accuracy, 0 to 1, of always predicting the commonest of `labels`, int64 (N,)."""
    counts = torch.bincount(labels)  # int64 (labels,)
    return int(counts.max()) / int(counts.sum())
