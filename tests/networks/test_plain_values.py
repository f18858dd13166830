"""What torch reads beside the weights, and what it still refuses."""

from __future__ import annotations

import argparse
import datetime
import io
import os
import pickle
import random
from collections import OrderedDict, defaultdict, deque
from pathlib import Path

import numpy as np
import pytest
import torch

from imagestore.networks.plain_values import plain_values

VALUES = [
    np.float64(3.5), np.float32(3), np.int64(3), np.bool_(True), np.str_("a"), np.arange(3),
    np.zeros((2, 2), "f4"),
    np.random.get_state(), random.getstate(), argparse.Namespace(a=1), Path("x"),
    datetime.datetime(2026, 1, 2), datetime.timedelta(3), datetime.datetime.now(datetime.timezone.utc),
    defaultdict(list, {"a": [1]}), defaultdict(float), deque([1, 2], 3),
    {1, 2}, frozenset([1]), OrderedDict(a=1),
]  # fmt: skip


def load(content: object, protocol: int = 2) -> object:
    file = io.BytesIO()
    torch.save({"x": content}, file, pickle_protocol=protocol)
    file.seek(0)
    with plain_values():
        return torch.load(file, weights_only=True)["x"]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_plain_values_are_read(value: object) -> None:
    loaded = load(value)
    if isinstance(value, (int, float, np.generic, set, frozenset, Path, datetime.date)):
        assert loaded == value
    if isinstance(value, np.ndarray):
        assert np.array_equal(loaded, value)
    if isinstance(value, (defaultdict, deque)):
        assert (dict if isinstance(value, dict) else list)(loaded) == type(loaded)(value)


class Call:
    """Calls a function when it is unpickled."""

    def __init__(self, function: object, *arguments: object) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple:
        return self.call


@pytest.mark.parametrize(
    "function", [os.system, eval, exec, getattr, open, Path.touch, np.load, pickle.loads]
)
def test_functions_are_not_called(function: object, tmp_path: Path) -> None:
    path = tmp_path / "was-here"
    path.write_text("1")
    with pytest.raises(pickle.UnpicklingError):
        load(Call(function, str(path)))


def test_nothing_stays_allowed_behind_the_block() -> None:
    before = set(torch.serialization.get_safe_globals())
    load(1)
    assert set(torch.serialization.get_safe_globals()) == before
