"""The Dataset over stores: several stores, its items, images that cannot be decoded, workers."""

from __future__ import annotations

import multiprocessing
import pickle
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from imagestore.console import UserError
from imagestore.decode.errors import NotAnImage
from imagestore.training.dataset import HDF5Dataset
from imagestore.training.decoded_cache import decode_into_memory
from tests.helpers.small_stores import COLOURS, make_store


def test_several_stores_are_one_dataset(two_stores: list[Path], tmp_path: Path) -> None:
    whole = HDF5Dataset(tmp_path / "part-*.h5", size=16)
    assert len(whole) == 18
    assert whole.classes == ["blue", "green", "red", "white"]
    parts = [HDF5Dataset(path, size=16) for path in two_stores]
    for i in range(len(whole)):
        part, position = (parts[0], i) if i < 12 else (parts[1], i - 12)
        image, label = whole[i]
        assert torch.equal(image, part[position][0])
        assert whole.classes[label] == whole.path_of(i).split("/")[0] == part.classes[part[position][1]]
    assert whole.path_of(-1) == part.path_of(5)
    for outside in (18, -19):
        with pytest.raises(IndexError):
            whole[outside]


def test_an_item_is_a_picture_and_its_label(tmp_path: Path) -> None:
    """Each picture has the colour of its label, so swapped channels, rows or labels would be noticed."""
    dataset = HDF5Dataset(make_store(tmp_path / "a.h5", 9), size=24)
    for image, label in dataset:
        assert (image.shape, image.dtype) == ((3, 24, 24), torch.uint8)
        below_the_patch = image[:, 12:].float().mean((1, 2)).numpy()
        assert np.abs(below_the_patch - COLOURS[dataset.classes[label]]).max() < 12


def test_a_transform_gets_the_pillow_image(tmp_path: Path) -> None:
    store = make_store(tmp_path / "a.h5", 9)
    whole = HDF5Dataset(store, transform=lambda image: (image.mode, image.size))
    assert whole[0] == (("RGB", (96, 72)), 0)


def test_with_a_size_a_jpeg_is_decoded_smaller(tmp_path: Path) -> None:
    """Of 96 x 72 pixels, half is at least 30 x 30, and a quarter is not."""
    store = make_store(tmp_path / "a.h5", 3)
    assert HDF5Dataset(store, transform=lambda image: image.size, size=30)[0][0] == (48, 36)


def test_a_group_without_images_is_no_label(tmp_path: Path) -> None:
    store = make_store(tmp_path / "a.h5", 3)
    with h5py.File(store, "a") as file:
        file.create_group("nobody")
    assert HDF5Dataset(store, size=8).classes == list(COLOURS)


def test_given_labels_number_the_images(two_stores: list[Path]) -> None:
    dataset = HDF5Dataset(two_stores, size=8, labels=["white", "red"])
    assert set(dataset.targets.tolist()) == {-1, 0, 1}
    assert [i for i in range(18) if dataset.targets[i] == 0] == list(range(12, 18))


def test_an_image_that_cannot_be_decoded_raises(broken_stores: list[Path]) -> None:
    dataset = HDF5Dataset(broken_stores, size=16)
    broken = [dataset.path_of(i) for i in range(20)].index("blue/half.jpg")
    with pytest.raises(NotAnImage):
        dataset[broken]


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_loader_workers_bring_the_same_images(broken_stores: list[Path], method: str) -> None:
    """The dataset is used before the workers start. Batches lack the images that cannot be decoded."""
    dataset = HDF5Dataset(broken_stores, size=16)
    memory = decode_into_memory(dataset, range(len(dataset)), workers=1)
    context = multiprocessing.get_context(method)
    loader = DataLoader(dataset, batch_size=4, num_workers=2, multiprocessing_context=context, timeout=60)
    batches = list(loader)
    assert torch.equal(torch.cat([images for images, _ in batches]), memory.images[memory.decodable])
    assert torch.equal(torch.cat([labels for _, labels in batches]), memory.labels[memory.decodable])


def test_a_dataset_can_be_pickled(two_stores: list[Path]) -> None:
    dataset = HDF5Dataset(two_stores, size=16)
    assert torch.equal(dataset[17][0], pickle.loads(pickle.dumps(dataset))[17][0])


def test_a_file_that_is_no_store_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "text.h5").write_text("no store")
    errors = {"none.h5": "no such file", "text.h5": "not an HDF5 file"}
    for name, message in errors.items():
        with pytest.raises(UserError, match=message):
            HDF5Dataset(tmp_path / name, size=8)


def test_a_dataset_needs_a_transform_or_a_size(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="transform"):
        HDF5Dataset(make_store(tmp_path / "a.h5", 3))


def test_older_stores_have_the_same_items(old_store: Path) -> None:
    """Chunked and compressed datasets and deeper groups, also in workers that were forked."""
    dataset = HDF5Dataset(old_store, size=16)
    assert dataset.classes == ["d._red", "green", "l._blue"]
    memory = decode_into_memory(dataset, range(36), workers=2)
    assert (len(memory), memory.skipped) == (36, [])
    loader = DataLoader(dataset, batch_size=6, num_workers=2, timeout=60)
    assert torch.equal(torch.cat([images for images, _ in loader]), memory.images)
