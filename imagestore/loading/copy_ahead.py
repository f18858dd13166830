"""Batches on a GPU: the next one is copied while one is used."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch

from imagestore.loading.batches import Batch


def copy_ahead(batches: Iterable[Batch], device: torch.device) -> Iterator[Batch]:
    """The batches, whose images and labels are on the device if it is a GPU of NVIDIA's; else as they are.

    The pixels of one of the `batches` need to hold until the next one is asked for, no longer.
    """
    if device.type != "cuda":
        yield from batches
        return
    stream, before = torch.cuda.Stream(device), None
    try:
        for batch in batches:
            with torch.cuda.stream(stream):
                copied = batch._replace(
                    images=batch.images.to(device, non_blocking=True),
                    labels=batch.labels.to(device, non_blocking=True),
                )
            if before is not None:
                yield before
            stream.synchronize()  # the pixels may be overwritten; the copy was made while `before` was used
            for tensor in (copied.images, copied.labels):  # so the memory is not given away while it is used
                tensor.record_stream(torch.cuda.current_stream(device))
            before = copied
    finally:
        stream.synchronize()
    if before is not None:
        yield before
