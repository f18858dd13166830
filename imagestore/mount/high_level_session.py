"""A mount by libfuse's high-level interface, from mounting to unmounting, served by this process alone."""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path

from imagestore.mount.fuse_library import Library
from imagestore.processes import ENDING

Callback = Callable[..., int]  # returns a negative errno if it fails


def serve(library: Library, callbacks: dict[str, Callback], mountpoint: Path, options: Sequence[str]) -> int:
    """Mount, and answer requests until unmounted or ended by a signal; returns libfuse's status."""
    operations = library.module.fuse_operations()
    prototypes = {field[0]: field[1] for field in operations._fields_}
    for name, callback in callbacks.items():
        if name in prototypes:
            setattr(operations, name, prototypes[name](callback))
    arguments = ["h5vfs", "-f", "-s", "-o", ",".join(options), str(mountpoint)]
    argv = (ctypes.c_char_p * len(arguments))(*map(os.fsencode, arguments))
    # libfuse handles signals that have their default action. Signals that are ignored (nohup) stay so.
    handled = [number for number in ENDING if signal.getsignal(number) != signal.SIG_IGN]
    handlers = [signal.signal(number, signal.SIG_DFL) for number in handled]
    try:
        return library.module._libfuse.fuse_main_real(
            len(arguments), argv, ctypes.byref(operations), ctypes.c_size_t(ctypes.sizeof(operations)), None
        )
    finally:
        for number, handler in zip(handled, handlers, strict=True):
            signal.signal(number, handler)
