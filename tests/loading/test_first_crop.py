"""A random crop that is drawn before decoding: the same picture, and the same random numbers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from torchvision.transforms import v2

from imagestore.decode.decode_image import decode_rgb_array
from imagestore.loading import first_crop
from imagestore.loading.dataset import HDF5Dataset
from imagestore.loading.first_crop import FirstCrop, decode_and_transform, find_first_crop
from imagestore.loading.views import as_tv_tensor
from tests.helpers.images import blobs, encode

BICUBIC = v2.InterpolationMode.BICUBIC
TRANSFORMS = [
    v2.RandomResizedCrop(64),
    v2.Compose([v2.RandomResizedCrop(64, antialias=False), v2.RandomHorizontalFlip()]),
    v2.Compose([v2.RandomResizedCrop((40, 90), interpolation=BICUBIC), v2.ToDtype(torch.float32)]),
    v2.Compose([v2.RandomHorizontalFlip(), v2.RandomResizedCrop(64)]),
    v2.CenterCrop(64),
]


def damaged(data: bytes) -> bytes:
    """A JPEG with some bytes of its pixels lost."""
    return data[:3000] + data[3100:]


@pytest.fixture(scope="module")
def encoded() -> list[bytes]:
    sizes = [(333, 500), (640, 480), (90, 70), (900, 80)]
    jpegs = [encode(blobs(size, i), "JPEG", quality=90) for i, size in enumerate(sizes)]
    progressive = encode(blobs(), "JPEG", progressive=True)
    return [*jpegs, progressive, encode(blobs((80, 60))), damaged(jpegs[1]), jpegs[1][:-500]]


@pytest.mark.parametrize("size", [None, 200, 20])  # 20: scales from 1/2 to 1/8
@pytest.mark.parametrize("transform", TRANSFORMS)
def test_picture_and_random_numbers_are_the_same(
    encoded: list[bytes], transform: Callable, size: int | None, tmp_path: Path
) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for i, data in enumerate(encoded):
            file[f"label/{i}.jpg"] = np.frombuffer(data, np.uint8)
    dataset = HDF5Dataset(tmp_path / "a.h5", transform, size, as_tensor=True)
    at_least = None if size is None else (size, size)
    for i, data in enumerate(encoded):
        for seed in range(8):
            torch.manual_seed(seed)
            image, after = dataset[i][0], torch.get_rng_state()
            torch.manual_seed(seed)
            expected = transform(as_tv_tensor(decode_rgb_array(data, at_least)))
            assert type(image) is type(expected) and torch.equal(image, expected)
            assert torch.equal(after, torch.get_rng_state())


class Top:
    """A crop of the upper part of a picture, which remembers how many rows it may crop."""

    def make_params(self, images: list[torch.Tensor]) -> dict[str, int]:
        self.rows = images[0].shape[1]
        return {"top": 20, "left": 0, "height": 50, "width": 50}

    def transform(self, image: torch.Tensor, drawn: dict[str, int]) -> torch.Tensor:
        self.decoded_rows = image.shape[1]
        return image


@pytest.mark.parametrize(("size", "scale"), [(None, 1), (100, 2)])
def test_rows_below_the_crop_are_not_decoded(encoded: list[bytes], size: int | None, scale: int) -> None:
    top = Top()
    assert decode_and_transform(encoded[0], FirstCrop(top, []), size) is not None
    assert top.rows == 500 // scale and 70 <= top.decoded_rows < 128


def test_only_crops_as_torchvision_has_them_are_found() -> None:
    class Own(v2.RandomResizedCrop):
        """A crop that may do anything else."""

    crop = v2.RandomResizedCrop(64)
    found = [
        find_first_crop(transform) for transform in (*TRANSFORMS, Own(64), None, len, v2.Compose([crop]))
    ]
    assert [each is not None for each in found] == [True] * 3 + [False] * 5 + [True]
    assert found[-1] == FirstCrop(crop, [])


def test_without_torchvisions_transforms_nothing_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(first_crop.sys.modules, "torchvision.transforms.v2")
    assert find_first_crop(TRANSFORMS[0]) is None
