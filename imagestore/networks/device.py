"""The device that a network runs on, and its threads there."""

from __future__ import annotations

import torch

from imagestore.console import UserError
from imagestore.processes import thread_count

ON_CPU = 16 * 224**2, 4, 512  # pixels of a batch; the fewest and the most images
ON_GPU = 512 * 64**2, 16, 512


def choose_device(requested: str | None) -> torch.device:
    """The requested device; by default CUDA, else Apple's MPS, else the CPU. Raises UserError."""
    available = _available_kinds()
    if requested is None:
        return torch.device(available[0])
    try:
        device = torch.device(requested)
    except RuntimeError:
        raise UserError(f"--device {requested}: not a device; use one of {', '.join(available)}") from None
    has_no_such_gpu = device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count()
    if device.type not in available or has_no_such_gpu:
        raise UserError(f"--device {requested}: not on this machine; use one of {', '.join(available)}")
    return device


def images_at_a_time(side: int, device: torch.device) -> int:
    """How many images of `side` pixels a side a network is asked about at a time.

    On processors, few: so their tensors stay in the processors' caches (see also freed_memory.py).
    """
    pixels, fewest, most = ON_CPU if device.type == "cpu" else ON_GPU
    return min(max(pixels // side**2, fewest), most)


def use_threads(model: str, workers: int) -> None:
    """Have torch use as many threads as there are `workers`; for the colour network one.

    That is so small that sharing its work costs more than it saves: the other CPUs decode.
    """
    torch.set_num_threads(1 if model == "colour" else thread_count(workers))


def _available_kinds() -> list[str]:
    """The kinds of devices that this machine has, the fastest first."""
    found = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    return [kind for kind, is_available in found.items() if is_available]
