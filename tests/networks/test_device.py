"""The device that a network runs on."""

from __future__ import annotations

import pytest
import torch

from imagestore.console import UserError
from imagestore.networks.device import choose_device, images_at_a_time


def test_the_default_device_is_the_fastest_kind() -> None:
    assert choose_device(None).type == (
        "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    )


def test_a_requested_device_is_taken() -> None:
    assert choose_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize("requested", ["cuda:99", "meta", "", "gpu", "cpu:x"])
def test_a_device_that_is_missing_is_an_error(requested: str) -> None:
    """The message lists the devices of this machine."""
    with pytest.raises(UserError, match=r"use one of .*cpu"):
        choose_device(requested)


def test_large_pictures_come_in_smaller_batches() -> None:
    for kind, expected in (("cpu", [512, 512, 196, 16, 4]), ("cuda", [512, 512, 512, 41, 16])):
        found = [images_at_a_time(side, torch.device(kind)) for side in (2, 32, 64, 224, 4096)]
        assert found == expected
