"""How well a network does: loss, accuracy, predictions."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass
class Score:
    """Loss (cross-entropy) and accuracy over the images counted so far."""

    loss: float = 0.0  # the sum over images
    right: int = 0
    seen: int = 0

    def add(self, logits: Tensor, labels: Tensor) -> None:
        """Count one batch: logits (B, labels), true labels int64 (B,)."""
        self.loss += functional.cross_entropy(logits, labels, reduction="sum").item()
        self.right += int((logits.argmax(1) == labels).sum())
        self.seen += len(labels)

    @property
    def mean_loss(self) -> float:
        """The mean loss of an image; NaN where none was seen."""
        return self.loss / self.seen if self.seen else math.nan

    @property
    def accuracy(self) -> float:
        """The share that was right, 0 to 1; NaN where none was seen."""
        return self.right / self.seen if self.seen else math.nan


@torch.inference_mode()
def evaluate(model: nn.Module, batches: Iterable[tuple[Tensor, Tensor]], device: torch.device) -> Score:
    """Score a model on batches of uint8 (B, 3, H, W) and int64 (B,)."""
    model.eval()
    score = Score()
    for images, labels in batches:
        score.add(model(images.to(device)), labels.to(device))
    return score


@torch.inference_mode()
def predict(model: nn.Module, images: Tensor, device: torch.device) -> tuple[Tensor, Tensor]:
    """The likeliest label, int64 (B,), and its probability, float32 (B,), of uint8 (B, 3, H, W)."""
    model.eval()
    confidence, label = model(images.to(device)).softmax(1).max(1)
    return label.cpu(), confidence.cpu()
