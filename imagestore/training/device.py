"""The device that a network runs on."""

from __future__ import annotations

import torch

from imagestore.console import UserError


def choose_device(wanted: str | None) -> torch.device:
    """The device asked for, else CUDA, else Apple's MPS, else the CPU. Raises UserError."""
    there = [kind for kind, found in _devices().items() if found]
    if wanted is None:
        return torch.device(there[0])
    try:
        device = torch.device(wanted)
    except RuntimeError:
        raise UserError(f"--device {wanted}: not a device; use one of {', '.join(there)}") from None
    beyond = device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count()
    if device.type not in there or beyond:
        raise UserError(f"--device {wanted}: not on this machine; use one of {', '.join(there)}")
    return device


def _devices() -> dict[str, bool]:
    return {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
