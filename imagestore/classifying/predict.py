"""From pictures to answers: decode them in threads, and predict their labels in batches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from torch import Tensor

from imagestore.classifying.answer import Answer, Picture
from imagestore.decode.errors import NotAnImage
from imagestore.loading.skipped_images import SkippedImages
from imagestore.loading.views import View, as_tensor, decode_view
from imagestore.networks.device import choose_device
from imagestore.networks.weights_file import load_network
from imagestore.processes import thread_count
from imagestore.training.evaluation import predict

BATCH_SIZE = 256  # images
BATCH_BYTES = 64 << 20  # of encoded images, after which a batch is full


def predict_labels(
    pictures: Iterable[Picture], labels: Sequence[str], *, weights: Path, device: str | None, workers: int
) -> Iterator[Answer]:
    """The answer to each picture, in order. Raises UserError.

    Pictures that cannot be decoded are left out, and the user is told. `device` is as torch names it, by
    default the best of this machine. `workers` threads decode.
    """
    torch.set_num_threads(thread_count(workers))
    chosen_device = choose_device(device)
    network = load_network(weights, labels, chosen_device)
    pictures = iter(pictures)
    skipped = SkippedImages("classify")
    with ThreadPoolExecutor(workers) as pool:
        while batch := _next_batch(pictures):
            decoded = _decode_batch(batch, network.description.size, pool, skipped)
            if not decoded:
                continue
            images = torch.stack([image for _, image in decoded])  # uint8 (B, 3, side, side)
            numbers, confidences = predict(network, images, chosen_device)  # int64 (B,), float32 (B,)
            for (picture, _), number, confidence in zip(
                decoded, numbers.tolist(), confidences.tolist(), strict=True
            ):
                yield Answer(picture, labels[number], confidence)
    skipped.note_count()


def _next_batch(pictures: Iterator[Picture]) -> list[Picture]:
    """The next pictures, until there are BATCH_SIZE of them or they have BATCH_BYTES; none at the end."""
    batch: list[Picture] = []
    size = 0
    for picture in pictures:
        batch.append(picture)
        size += len(picture.data)
        if len(batch) == BATCH_SIZE or size >= BATCH_BYTES:
            break
    return batch


def _decode_batch(
    pictures: Sequence[Picture], side: int, pool: ThreadPoolExecutor, skipped: SkippedImages
) -> list[tuple[Picture, Tensor]]:
    """The pictures that can be decoded, each with its pixels, uint8 (3, side, side)."""

    def decode(picture: Picture) -> Tensor | NotAnImage:
        try:
            return as_tensor(decode_view(picture.data, View(side)))
        except NotAnImage as error:
            return error

    decoded = []
    for picture, pixels in zip(pictures, pool.map(decode, pictures), strict=True):
        if isinstance(pixels, NotAnImage):
            skipped.add(f"{picture.name}: {pixels}")
        else:
            decoded.append((picture, pixels))
    return decoded
