"""The features of images that a network whose body is frozen gives: computed once, kept beside the results.

The file is a table of float32 that grows by rows. So it goes on where it was stopped, and the next training
with the same body and images finds it.
"""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from imagestore.console import note
from imagestore.loading.batches import Batches
from imagestore.loading.copy_ahead import copy_ahead
from imagestore.networks.device import images_at_a_time
from imagestore.networks.image_network import ImageNetwork
from imagestore.processes import Stop
from imagestore.progress import progress

FEATURES_FOLDER = "features"  # in the output folder


@torch.inference_mode()
def features_of(
    network: ImageNetwork, batches: Batches, rows: np.ndarray, folder: Path, stop: Stop
) -> np.ndarray | None:
    """float32 (n, F): the features of the images `rows`, int64 (n,), among those of `batches`.

    The row of an image that cannot be decoded is NaN. None if `stop` is requested. Raises OSError.
    """
    device = next(network.parameters()).device
    network.eval()
    side = network.description.size
    width = network.features(torch.zeros((1, 3, side, side), dtype=torch.uint8, device=device)).shape[1]
    folder.mkdir(exist_ok=True)
    path = folder / f"{_key(network, batches, rows)}.f32"
    done = path.stat().st_size // (4 * width) if path.exists() else 0
    chunks = torch.from_numpy(rows[done:]).split(images_at_a_time(side, device))
    with path.open("ab") as file, progress(len(rows) - done, "features") as bar:
        file.truncate(done * 4 * width)  # a row that was not written to its end
        for chunk, batch in zip(chunks, copy_ahead(batches.iterate(chunks), device), strict=True):
            if stop.requested:
                return None
            found = np.full((len(chunk), width), np.nan, np.float32)
            if len(batch.labels):
                values = network.features(batch.images.to(device)).float().cpu().numpy()
                found[np.isin(chunk.numpy(), batch.positions.numpy())] = values
            file.write(found.tobytes())
            bar.update(len(chunk))
    if done:
        note(f"train_model: features: found {done:,} of {len(rows):,} in {path}")
    return np.fromfile(path, np.float32).reshape(-1, width)


def _key(network: ImageNetwork, batches: Batches, rows: np.ndarray) -> str:
    """A checksum of all that the features depend on: the body's weights, the images, and their view."""
    view = batches.view
    checksum = zlib.crc32(repr((network.description.model, view.side, view.plain, len(rows))).encode())
    checksum = zlib.crc32(batches.keys[rows].tobytes(), checksum)
    for name, values in _body(network).items():
        checksum = zlib.crc32(
            values.cpu().contiguous().numpy().tobytes(), zlib.crc32(name.encode(), checksum)
        )
    normalised = repr((network.description.mean, network.description.std))
    return f"{checksum:08x}{zlib.crc32(normalised.encode()):08x}"


def _body(network: ImageNetwork) -> dict[str, Tensor]:
    """The weights and statistics of a network without its head."""
    of_head = set(map(id, network.head_parameters()))
    state = network.model.state_dict(keep_vars=True)
    return {name: values.detach() for name, values in state.items() if id(values) not in of_head}
