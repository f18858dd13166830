"""How the learning rate changes during a training."""

from __future__ import annotations

import math

WARM_UP = 0.15  # share of all steps in which the learning rate rises


def learning_rate(highest: float, step: int, total_steps: int) -> float:
    """The learning rate of a step (from 0): it rises linearly, then falls along half a cosine."""
    taken = step / total_steps  # share of the steps
    return highest * (min(1.0, taken / WARM_UP + 0.01) * (1 + math.cos(math.pi * taken)) / 2)
