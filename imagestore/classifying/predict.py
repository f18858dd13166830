"""From pictures to answers: workers decode the next pictures while the network answers a batch."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np
import torch

from imagestore.classifying.answer import Answer, Guess, Picture
from imagestore.decode.errors import NotAnImage
from imagestore.loading.ahead import run_ahead
from imagestore.loading.pixel_processes import FEWEST_IMAGES, PixelProcesses, are_worth_it
from imagestore.loading.skipped_images import SkippedImages
from imagestore.loading.views import View, begin_view, finish_view
from imagestore.networks.colour_network import ColourNet
from imagestore.networks.device import choose_device, images_at_a_time, use_threads
from imagestore.networks.freed_memory import keep_freed_memory
from imagestore.networks.image_network import ImageNetwork
from imagestore.networks.weights_file import read_network

BATCH_SIZE = 64  # images
LARGE_BATCH_SIZE = 512  # of small pictures: the network waits for the threads that decode, step by step
SMALL_SIDE = 64  # pixels
BATCH_BYTES = 32 << 20  # of encoded images, after which a batch is full
BATCHES_AHEAD = 1  # that threads decode beyond the next one
IMAGES_OF_A_TASK = 8  # at most, that a worker decodes in one go

Decoded = list[np.ndarray | NotAnImage]  # uint8 (side, side, 3) of each picture, or why there is none
_Results = tuple[list[Picture], Decoded]  # a batch of pictures


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
    default the best of this machine. `workers` threads or processes decode; with 0, this thread does.
    `take_features` gets what the last layer of the network gets, float32 (B, F), for the next answers.
    """
    chosen_device = choose_device(device)
    keep_freed_memory()
    stored = read_network(weights, labels)
    view = View(stored.description.size, stored.description.view)
    with closing(decode_pictures(pictures, view, workers)) as batches:
        first = next(batches, None)  # so the workers decode while the network is built
        network = stored.build(chosen_device).eval()
        use_threads(stored.description.model, workers)
        for decoded in chain([first] if first else [], batches):
            squares = np.stack([pixels for _, pixels in decoded])  # uint8 (B, side, side, 3)
            images = torch.from_numpy(squares).permute(0, 3, 1, 2).to(chosen_device)  # (B, 3, side, side)
            logits = _logits(network, images, take_features)
            for (picture, _), guesses in zip(decoded, _guesses(logits, labels, top), strict=True):
                yield Answer(picture, guesses)


# ----- decoding -----


def decode_pictures(
    pictures: Iterable[Picture], view: View, workers: int
) -> Iterator[list[tuple[Picture, np.ndarray]]]:
    """The pictures in batches, each with its pixels, uint8 (side, side, 3). No batch is empty.

    The pixels of a batch hold until the next one is asked for. Pictures that cannot be decoded are left out,
    and the user is told.
    """
    skipped, pictures = SkippedImages("classify"), iter(pictures)
    batch_size = _batch_size(view)
    first = _next_batch(pictures, batch_size)
    batches = chain([first], iter(partial(_next_batch, pictures, batch_size), [])) if first else iter(())
    is_long = are_worth_it(workers, FEWEST_IMAGES if _is_full(first, batch_size) else len(first))
    with closing((_by_processes if is_long else _by_threads)(batches, view, workers)) as decoded:
        for batch, results in decoded:
            if kept := _without_skipped(batch, results, skipped):
                yield kept
    skipped.note_count()


def _by_threads(batches: Iterator[list[Picture]], view: View, workers: int) -> Iterator[_Results]:
    def tasks(batch: list[Picture]) -> list[Callable[[], Decoded]]:
        return [partial(_decode, part, view) for part in _parts(batch, workers)]

    for batch, results in run_ahead(((batch, tasks(batch)) for batch in batches), workers, BATCHES_AHEAD):
        yield batch, list(chain.from_iterable(results))


def _by_processes(batches: Iterator[list[Picture]], view: View, workers: int) -> Iterator[_Results]:
    size, begun = 3 * view.side**2, deque[list[Picture]]()

    def jobs() -> Iterator[list[tuple[int, object]]]:
        for batch in batches:
            begun.append(batch)
            parts = _parts(batch, workers)
            yield [(i * len(parts[0]) * size, part) for i, part in enumerate(parts)]

    def fill(part: list[bytes], memory: np.ndarray) -> list[NotAnImage | None]:
        decoded = _decode(part, view)
        for i, pixels in enumerate(decoded):
            if isinstance(pixels, np.ndarray):
                memory[i * size : (i + 1) * size] = pixels.reshape(-1)
        return [None if isinstance(pixels, np.ndarray) else pixels for pixels in decoded]

    with (
        closing(PixelProcesses(workers, _batch_size(view) * size, fill)) as processes,
        closing(processes.run(jobs())) as results,
    ):
        for errors, memory in results:
            squares = memory.reshape(-1, view.side, view.side, 3)
            batch = begun.popleft()
            yield batch, [error or squares[i] for i, error in enumerate(chain.from_iterable(errors))]


def _parts(batch: Sequence[Picture], workers: int) -> list[list[bytes]]:
    """The encoded pictures of a batch, in equal parts: each worker gets some, even of a few pictures."""
    encoded = [picture.data for picture in batch]
    step = max(1, min(IMAGES_OF_A_TASK, len(batch) // max(workers, 1)))
    return [encoded[first : first + step] for first in range(0, len(encoded), step)]


def _batch_size(view: View) -> int:
    return LARGE_BATCH_SIZE if view.side <= SMALL_SIDE else BATCH_SIZE


def _next_batch(pictures: Iterator[Picture], batch_size: int) -> list[Picture]:
    """The next pictures, until there are `batch_size` of them or they have BATCH_BYTES; none at the end."""
    batch: list[Picture] = []
    size = 0
    for picture in pictures:
        batch.append(picture)
        size += len(picture.data)
        if len(batch) == batch_size or size >= BATCH_BYTES:
            break
    return batch


def _is_full(batch: Sequence[Picture], batch_size: int) -> bool:
    """Whether `_next_batch` stopped before the last picture."""
    return len(batch) == batch_size or sum(len(picture.data) for picture in batch) >= BATCH_BYTES


def _decode(images: Sequence[bytes], view: View) -> Decoded:
    decoded: Decoded = []
    for begun in [begin_view(data, view) for data in images]:
        try:
            decoded.append(finish_view(begun))
        except NotAnImage as error:
            decoded.append(error)
    return decoded


def _without_skipped(
    pictures: Sequence[Picture], decoded: Decoded, skipped: SkippedImages
) -> list[tuple[Picture, np.ndarray]]:
    """The pictures that were decoded, each with its pixels, uint8 (side, side, 3)."""
    kept = []
    for picture, pixels in zip(pictures, decoded, strict=True):
        if isinstance(pixels, NotAnImage):
            skipped.add(f"{picture.name}: {pixels}")
        else:
            kept.append((picture, pixels))
    return kept


# ----- the network -----


@torch.inference_mode()
def _logits(
    network: ImageNetwork, images: torch.Tensor, take_features: Callable[[np.ndarray], object] | None
) -> torch.Tensor:
    """float32 (B, labels) of images, uint8 (B, 3, side, side)."""
    takes_all = isinstance(network.model, ColourNet)  # it counts a few pixels at a time by itself
    at_a_time = len(images) if takes_all else images_at_a_time(network.description.size, images.device)
    parts = images.split(at_a_time)
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
