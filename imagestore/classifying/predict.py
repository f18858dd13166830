"""From pictures to answers: threads decode the next pictures while the network answers a batch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch

from imagestore.classifying.answer import Answer, Guess, Picture
from imagestore.decode.errors import NotAnImage
from imagestore.loading.ahead import run_ahead
from imagestore.loading.skipped_images import SkippedImages
from imagestore.loading.views import View, decode_view
from imagestore.networks.device import choose_device, images_at_a_time
from imagestore.networks.freed_memory import keep_freed_memory
from imagestore.networks.image_network import ImageNetwork
from imagestore.networks.weights_file import load_network
from imagestore.processes import thread_count

BATCH_SIZE = 64  # images
BATCH_BYTES = 32 << 20  # of encoded images, after which a batch is full
IMAGES_OF_A_TASK = 8  # that a thread decodes in one go

Decoded = list[np.ndarray | NotAnImage]  # uint8 (side, side, 3) of each picture, or why there is none
Job = tuple[list[Picture], list[Callable[[], Decoded]]]


def predict_labels(
    pictures: Iterable[Picture],
    labels: Sequence[str],
    *,
    weights: Path,
    device: str | None,
    workers: int,
    top: int = 1,
    take_features: Callable[[np.ndarray], object] | None = None,
) -> Iterator[Answer]:
    """The answer to each picture, in order, with the `top` likeliest labels. Raises UserError.

    Pictures that cannot be decoded are left out, and the user is told. `device` is as torch names it, by
    default the best of this machine. `workers` threads decode; with 0, the thread that asks does.
    `take_features` gets what the last layer of the network gets, float32 (B, F), for the next answers.
    """
    chosen_device = choose_device(device)
    keep_freed_memory()
    network = load_network(weights, labels, chosen_device).eval()
    # The colour network is so small that sharing its work costs more than it saves: the threads decode.
    torch.set_num_threads(1 if network.description.model == "colour" else thread_count(workers))
    view = View(network.description.size, network.description.view)
    for decoded in decode_pictures(pictures, view, workers):
        squares = np.stack([pixels for _, pixels in decoded])  # uint8 (B, side, side, 3)
        images = torch.from_numpy(squares).permute(0, 3, 1, 2).to(chosen_device)  # uint8 (B, 3, side, side)
        logits = _logits(network, images, take_features)
        for (picture, _), guesses in zip(decoded, _guesses(logits, labels, top), strict=True):
            yield Answer(picture, guesses)


# ----- decoding -----


def decode_pictures(
    pictures: Iterable[Picture], view: View, workers: int
) -> Iterator[list[tuple[Picture, np.ndarray]]]:
    """The pictures in batches, each with its pixels, uint8 (side, side, 3). No batch is empty.

    Those that cannot be decoded are left out, and the user is told.
    """
    skipped = SkippedImages("classify")
    for batch, results in run_ahead(_jobs(iter(pictures), view), workers):
        if decoded := _without_skipped(batch, results, skipped):
            yield decoded
    skipped.note_count()


def _jobs(pictures: Iterator[Picture], view: View) -> Iterator[Job]:
    """Each batch of pictures, and the tasks that decode it."""
    while batch := _next_batch(pictures):
        starts = range(0, len(batch), IMAGES_OF_A_TASK)
        yield batch, [partial(_decode, batch[start : start + IMAGES_OF_A_TASK], view) for start in starts]


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


def _decode(pictures: Sequence[Picture], view: View) -> Decoded:
    decoded: Decoded = []
    for picture in pictures:
        try:
            decoded.append(decode_view(picture.data, view))
        except NotAnImage as error:
            decoded.append(error)
    return decoded


def _without_skipped(
    pictures: Sequence[Picture], results: Sequence[Decoded], skipped: SkippedImages
) -> list[tuple[Picture, np.ndarray]]:
    """The pictures that were decoded, each with its pixels, uint8 (side, side, 3)."""
    decoded = []
    for picture, pixels in zip(pictures, (pixels for part in results for pixels in part), strict=True):
        if isinstance(pixels, NotAnImage):
            skipped.add(f"{picture.name}: {pixels}")
        else:
            decoded.append((picture, pixels))
    return decoded


# ----- the network -----


@torch.inference_mode()
def _logits(
    network: ImageNetwork, images: torch.Tensor, take_features: Callable[[np.ndarray], object] | None
) -> torch.Tensor:
    """float32 (B, labels) of images, uint8 (B, 3, side, side)."""
    parts = images.split(images_at_a_time(network.description.size, images.device))
    if take_features is None:
        return torch.cat([network(part) for part in parts])
    logits, features = zip(*map(network.logits_and_features, parts), strict=True)
    take_features(torch.cat(features).cpu().numpy())  # float32 (B, F)
    return torch.cat(logits)


def _guesses(logits: torch.Tensor, labels: Sequence[str], top: int) -> list[tuple[Guess, ...]]:
    """The `top` likeliest labels of each image, of logits, float32 (B, labels)."""
    confidences, numbers = logits.softmax(1).topk(min(top, len(labels)))  # float32 and int64 (B, top)
    return [
        tuple(Guess(labels[number], confidence) for number, confidence in zip(*pair, strict=True))
        for pair in zip(numbers.tolist(), confidences.tolist(), strict=True)
    ]
