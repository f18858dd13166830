"""The lines that a training prints."""

from __future__ import annotations

from imagestore.training.evaluation import Score
from imagestore.training.log_lines import Pace, epoch_line, epoch_title


def test_an_epoch_line_has_scores_time_and_speed() -> None:
    score, validation = Score(loss_sum=2.0, correct=3, images=4), Score(loss_sum=0.5, correct=1, images=1)
    line = epoch_line(epoch_title(0, 40), score, validation, 0, Pace(1234, 0.25, 0.75), 2.34)
    assert line == (
        "epoch 1/40  loss 0.500  accuracy 75.0 %  val loss 0.500  accuracy 100.0 %  2.3 s  "
        "(waiting 0.2 s, computing 0.8 s, 1,234 images/s)"
    )


def test_an_epoch_line_without_validation_has_a_dash() -> None:
    line = epoch_line(
        "epoch 2/3", Score(loss_sum=4.0, correct=0, images=1), Score(), 2, Pace(7, 0.0, 1.0), 0.1
    )
    times = "waiting 0.0 s, computing 1.0 s"
    assert line == f"epoch 2/3  loss 4.000  accuracy 0.0 %  val -  0.1 s  ({times}, 7 images/s, 2 skipped)"
