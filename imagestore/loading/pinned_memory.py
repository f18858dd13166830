"""Memory that a GPU of NVIDIA's copies from by itself, while the processor goes on."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import numpy as np
import torch


def pin(memory: np.ndarray) -> Callable[[], object]:
    """Pin memory until the function that is returned is called.

    Nothing is done in a program that has used no GPU yet: it may leave the GPU to others.

    torch pins only what it allocates itself; this memory is shared with other processes. If the driver
    refuses, copies to the GPU are right, but slower.
    """
    if not torch.cuda.is_initialized():
        return lambda: None
    runtime, address = torch.cuda.cudart(), memory.ctypes.data
    if int(runtime.cudaHostRegister(address, memory.nbytes, 0)):
        with contextlib.suppress(RuntimeError):  # what torch asks of the GPU next raises the driver's refusal
            torch.ones(1, device="cuda")
        return lambda: None
    return lambda: runtime.cudaHostUnregister(address)
