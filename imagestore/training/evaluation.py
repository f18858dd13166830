"""How well a network does: loss, accuracy and predictions."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy


@dataclass
class Score:
    """Loss (cross-entropy) and accuracy over the images counted so far."""

    loss_sum: float = 0.0
    correct: int = 0
    images: int = 0

    @property
    def mean_loss(self) -> float:
        """The mean loss of an image; NaN without images."""
        return self.loss_sum / self.images if self.images else math.nan

    @property
    def accuracy(self) -> float:
        """The share of images whose label was predicted, 0 to 1; NaN without images."""
        return self.correct / self.images if self.images else math.nan


def no_sums(device: torch.device) -> Tensor:
    """float (3,): the sums of no images. Apple's devices have no float64."""
    return torch.zeros(3, dtype=torch.float32 if device.type == "mps" else torch.float64, device=device)


def sums_of(logits: Tensor, labels: Tensor, dtype: torch.dtype) -> Tensor:
    """float (3,): the fields of a Score, for logits, float32 (B, labels), and true labels, int64 (B,).

    They stay on the device: to ask for a number would wait for the device.
    """
    loss_sum = cross_entropy(logits, labels, reduction="sum").to(dtype)
    correct = (logits.argmax(1) == labels).sum().to(dtype)
    return torch.stack([loss_sum, correct, torch.full_like(correct, len(labels))])


@torch.inference_mode()
def predict(model: nn.Module, images: Tensor, device: torch.device) -> tuple[Tensor, Tensor]:
    """The likeliest label, int64 (B,), and its probability, float32 (B,), for images, uint8 (B, 3, H, W)."""
    model.eval()
    confidence, label = model(images.to(device)).softmax(1).max(1)
    return label.cpu(), confidence.cpu()
