"""Errors of the operating system that a test expects."""

from __future__ import annotations

import errno
from collections.abc import Callable

import pytest


def assert_errno(number: int, action: Callable[[], object]) -> None:
    """An action raises an OSError with this errno."""
    with pytest.raises(OSError) as raised:
        action()
    assert raised.value.errno == number


def assert_eio(action: Callable[[], object]) -> None:
    """An action raises an OSError that says that bytes are damaged."""
    assert_errno(errno.EIO, action)
