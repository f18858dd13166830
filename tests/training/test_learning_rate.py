"""The learning rate of each step."""

from __future__ import annotations

from imagestore.training.learning_rate import WARM_UP, learning_rate


def test_it_rises_then_falls() -> None:
    """It starts near 0, is highest at the end of the warm-up, and ends near 0."""
    rates = [learning_rate(0.5, step, 30) for step in range(30)]
    peak = rates.index(max(rates))
    assert abs(peak - WARM_UP * 30) <= 1
    assert rates[: peak + 1] == sorted(rates[: peak + 1])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    assert 0 < rates[0] < 0.02 * 0.5
    assert 0.9 * 0.5 < max(rates) <= 0.5
    assert 0 <= rates[-1] < 0.02 * 0.5
