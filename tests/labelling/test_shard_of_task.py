"""Which share of an archive a run labels: imagestore/labelling/shard_of_task.py."""

from __future__ import annotations

import argparse

import pytest

from imagestore.labelling.shard_of_task import shard

ARRAY_VARIABLES = (
    "SLURM_ARRAY_TASK_ID",
    "SLURM_ARRAY_TASK_COUNT",
    "SLURM_ARRAY_TASK_MIN",
    "SLURM_ARRAY_TASK_STEP",
)


@pytest.mark.parametrize(("text", "value"), [("1/1", (1, 1)), ("2/3", (2, 3)), ("3/3", (3, 3))])
def test_shards_that_are_taken(text, value):
    assert shard(text) == value


@pytest.mark.parametrize("text", ["", "1", "/", "0/3", "4/3", "-1/3", "1/0", "1/3/5", "a/b", "1.0/2", "²/3"])
def test_shards_that_are_refused(text):
    with pytest.raises(argparse.ArgumentTypeError, match="not K/N"):
        shard(text)


@pytest.mark.parametrize(
    ("task", "count", "first", "step", "value"),
    [(1, 4, None, None, (1, 4)), (4, 4, None, None, (4, 4)), (0, 3, 0, 1, (1, 3)), (7, 3, 3, 2, (3, 3))],
    ids=["first", "last", "from zero", "step two"],
)
def test_auto_is_the_place_in_the_array_job(monkeypatch, task, count, first, step, value):
    for name, number in zip(ARRAY_VARIABLES, (task, count, first, step), strict=True):
        monkeypatch.delenv(name, raising=False)
        if number is not None:
            monkeypatch.setenv(name, str(number))
    assert shard("auto") == value


def test_auto_refuses_a_task_outside_the_array(monkeypatch):
    for name, number in zip(ARRAY_VARIABLES, (9, 3, 1, 1), strict=True):
        monkeypatch.setenv(name, str(number))
    with pytest.raises(argparse.ArgumentTypeError, match="array task 9"):
        shard("auto")
