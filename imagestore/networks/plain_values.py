"""Values that trainers keep beside the weights, and that run no code: torch reads them if it is told so."""

from __future__ import annotations

import _codecs
import argparse
import contextlib
import datetime
import pathlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

_MULTIARRAY = np._core.multiarray if hasattr(np, "_core") else np.core.multiarray  # NumPy 2, NumPy 1
FUNCTIONS = (_MULTIARRAY.scalar, _MULTIARRAY._reconstruct)  # that make numbers and arrays
KINDS: tuple[Callable[..., Any], ...] = (
    argparse.Namespace, pathlib.PosixPath, list, dict, int, float, frozenset,
    datetime.datetime, datetime.date, datetime.timedelta, datetime.timezone,
    *FUNCTIONS, _codecs.encode, np.dtype, np.ndarray, *(type(np.dtype(code)) for code in "?bBhHiIlLqQefdgSU"),
)  # fmt: skip


def _empty_dict(*_: object) -> dict[object, object]:
    return {}


def _empty_list(*_: object) -> list[object]:
    return []


# Other names of them, in files of another NumPy; and Lightning's dict.
RENAMED: tuple[tuple[Callable[..., Any], str], ...] = (
    *(
        (function, f"numpy.{core}.multiarray.{function.__name__}")
        for function in FUNCTIONS
        for core in ("core", "_core")
    ),
    (_empty_dict, "collections.defaultdict"),  # torch fills no other dict or list than plain ones
    (_empty_list, "collections.deque"),
    (dict, "lightning.fabric.utilities.data.AttributeDict"),
    (dict, "lightning_fabric.utilities.data.AttributeDict"),
)


@contextlib.contextmanager
def plain_values() -> Iterator[None]:
    """Let torch read them in the block. Versions of torch before 2.7 know fewer of them, before 2.5 none."""
    if not hasattr(torch.serialization, "safe_globals"):
        yield
        return
    takes_names = tuple(map(int, torch.__version__.split(".")[:2])) >= (2, 7)
    with torch.serialization.safe_globals([*KINDS, *(RENAMED if takes_names else ())]):
        yield
