"""Where decoded pictures are kept between epochs: in memory, on the node's scratch, or nowhere."""

from __future__ import annotations

import os
import shutil

from imagestore.console import UserError
from imagestore.loading.disk_cache import SCRATCH, scratch_folder
from imagestore.loading.free_memory import available_memory


def choose_cache(cache: int | str | None, needed: int) -> tuple[str, str]:
    """ "ram", "disk" or "none" for `needed` bytes, and why.

    `cache` is one of these, "auto" (also as None), or a number of bytes. "auto" is the first that has room:
    half of the memory that is left, then the node's scratch, if a variable names it. With a number of bytes,
    it is "ram" if the pictures fit, and else "none". Raises UserError if what was asked for has no room.
    """
    if isinstance(cache, int):
        return ("ram" if needed <= cache else "none"), f"--cache {cache}"
    memory = available_memory() // _processes_of_this_node()
    if cache == "ram" and needed > memory:
        raise UserError(
            f"--cache ram: takes {megabytes(needed)}, and {megabytes(memory)} of memory are left: "
            "use --cache disk or --cache none"
        )
    if cache == "disk" and needed > _room_on_scratch():
        raise UserError(
            f"--cache disk: takes {megabytes(needed)}, and {scratch_folder()[0]} has room for "
            f"{megabytes(_room_on_scratch())}: set TMPDIR, or use --cache none"
        )
    if cache in ("ram", "disk", "none"):
        return cache, f"--cache {cache}"
    if needed <= memory // 2:
        return "ram", "they fit into half of the memory that is left"
    is_named = any(os.environ.get(name) for name in SCRATCH)
    if is_named and needed <= _room_on_scratch() // 2:
        return "disk", f"more than half of the memory that is left; {scratch_folder()[1]} has room"
    return "none", "more than half of the memory that is left, and no $TMPDIR with twice the room"


def megabytes(count: int) -> str:
    """A number of bytes for a message."""
    return f"{-(-count // 2**20):,} MB"


def _processes_of_this_node() -> int:
    """How many processes train together here, as torchrun has it: each has its own memory."""
    text = os.environ.get("LOCAL_WORLD_SIZE", "")
    return int(text) if text.isdecimal() and int(text) else 1


def _room_on_scratch() -> int:
    try:
        return shutil.disk_usage(scratch_folder()[0]).free
    except OSError:
        return 0
