"""The Dataset over stores: several stores, its items, images that cannot be decoded, workers."""

from __future__ import annotations

import io
import multiprocessing
import os
import pickle
import signal
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import ConcatDataset, DataLoader, DistributedSampler
from torchvision import tv_tensors

import imagestore
from imagestore.console import UserError
from imagestore.decode.errors import NotAnImage, NotEnoughMemory
from imagestore.loading import dataset as dataset_module
from imagestore.loading.batches import Batches
from imagestore.loading.dataset import HDF5Dataset
from imagestore.loading.views import View
from imagestore.store.reader import ImageStore
from tests.helpers.small_stores import COLOURS, add, make_store


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


def test_what_is_left_out_is_told(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    store = make_store(tmp_path / "a.h5", 3)
    with h5py.File(store, "a") as file:
        file["none/a.jpg"] = np.frombuffer(b"no image at all", np.uint8)
    assert len(HDF5Dataset(store, size=8)) == 3
    assert "left out: none" in capsys.readouterr().err


def test_given_labels_number_the_images(two_stores: list[Path]) -> None:
    dataset = HDF5Dataset(two_stores, size=8, labels=["white", "red"])
    assert set(dataset.targets) == {-1, 0, 1}
    assert [i for i in range(18) if dataset.targets[i] == 0] == list(range(12, 18))


def test_an_image_that_cannot_be_decoded_raises(broken_stores: list[Path]) -> None:
    dataset = HDF5Dataset(broken_stores, size=16)
    broken = [dataset.path_of(i) for i in range(20)].index("blue/half.jpg")
    with pytest.raises(NotAnImage):
        dataset.item(broken)
    with pytest.raises(NotAnImage, match=r"^blue/half\.jpg: "):
        HDF5Dataset(broken_stores, size=16, on_error="raise")[broken]


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_loader_workers_bring_the_same_images(broken_stores: list[Path], method: str) -> None:
    """The dataset is used before the workers start."""
    dataset = HDF5Dataset(broken_stores, size=16)
    here = [dataset[i] for i in range(20)]
    context = multiprocessing.get_context(method)
    loader = DataLoader(dataset, batch_size=4, num_workers=2, multiprocessing_context=context, timeout=120)
    batches = list(loader)
    assert torch.equal(
        torch.cat([images for images, _ in batches]), torch.stack([image for image, _ in here])
    )
    assert torch.cat([labels for _, labels in batches]).tolist() == [label for _, label in here]


def test_a_dataset_can_be_pickled(two_stores: list[Path]) -> None:
    dataset = HDF5Dataset(two_stores, size=16)
    assert torch.equal(dataset[17][0], pickle.loads(pickle.dumps(dataset))[17][0])


def test_a_file_that_is_no_store_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "text.h5").write_text("no store")
    errors = {"none.h5": "no such file", "text.h5": "not an HDF5 file"}
    for name, message in errors.items():
        with pytest.raises(UserError, match=message):
            HDF5Dataset(tmp_path / name, size=8)


def test_an_image_is_replaced_by_the_next_of_its_label(
    broken_stores: list[Path], capsys: pytest.CaptureFixture
) -> None:
    """It is named once, also if workers find it, and lengths do not change in batches of one image."""
    dataset = HDF5Dataset(broken_stores, size=16)
    paths = [dataset.path_of(i) for i in range(20)]
    for epoch in range(2):
        for loader in (
            DataLoader(dataset, batch_size=1, num_workers=2 * epoch),
            DataLoader(ConcatDataset([dataset]), batch_size=3, sampler=DistributedSampler(dataset, 2, 1)),
        ):
            assert sum(len(labels) for _, labels in loader) in (20, 10)
    for name in ("blue/half.jpg", "white/text.jpg"):
        broken = paths.index(name)
        same = [i for i in range(20) if dataset.targets[i] == dataset.targets[broken] and i != broken]
        other = next((i for i in same if i > broken), same[0])
        assert torch.equal(dataset[broken][0], dataset.item(other)[0])
        assert dataset[broken][1] == dataset.targets[broken]
    assert dataset.replaced_count == 2
    lines = capsys.readouterr().err.splitlines()
    assert sorted(line.split(": ")[1] for line in lines) == ["blue/half.jpg", "white/text.jpg"]


def test_no_image_of_a_label_can_be_decoded(tmp_path: Path) -> None:
    store = make_store(tmp_path / "a.h5", 3)
    add(store, "none/a.jpg", b"no image")
    add(store, "none/b.jpg", b"no image")
    dataset = HDF5Dataset(store, size=8, labels=[*COLOURS, "none"])
    with pytest.raises(NotAnImage):
        for i in range(len(dataset)):
            dataset[i]
        raise NotAnImage("the label may be left out of the dataset")


def test_the_attributes_are_those_of_image_folder(two_stores: list[Path]) -> None:
    dataset = HDF5Dataset(two_stores, lambda image: image.size, target_transform=lambda label: label + 100)
    assert isinstance(dataset.targets, list)
    assert dataset.samples == [(dataset.path_of(i), dataset.targets[i]) for i in range(18)]
    assert dataset.imgs is dataset.samples
    assert [dataset.class_to_idx[name] for name in dataset.classes] == [0, 1, 2, 3]
    assert dataset[17] == ((96, 72), dataset.targets[17] + 100)
    assert HDF5Dataset(two_stores, loader=len)[3][0] == len(dataset.read(3))
    assert isinstance(HDF5Dataset(two_stores)[0][0], Image.Image)


def test_a_tensor_holds_the_pixels_of_the_pillow_image(two_stores: list[Path], tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (70, 90), (200, 30, 40)).save(buffer, "PNG")
    add(two_stores[0], "red/picture.png", buffer.getvalue())
    tensors = HDF5Dataset(two_stores, as_tensor=True)
    pictures = HDF5Dataset(two_stores)
    for (tensor, label), (picture, same_label) in zip(tensors, pictures, strict=True):
        assert type(tensor) is tv_tensors.Image
        assert tensor.dtype == torch.uint8
        assert np.array_equal(tensor.permute(1, 2, 0).numpy(), np.asarray(picture))
        assert label == same_label


@pytest.mark.slow
def test_workers_find_a_store_after_a_change_of_folder(
    two_stores: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    dataset = HDF5Dataset("part-1.h5", size=16)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    for method in ("fork", "spawn", "forkserver"):
        loader = DataLoader(dataset, 8, num_workers=1, multiprocessing_context=method, timeout=120)
        assert sum(len(labels) for _, labels in loader) == 12


def end_this_process(image: object) -> None:
    """In a worker: what a full memory does to it."""
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize(
    "method", ["fork", *(pytest.param(name, marks=pytest.mark.slow) for name in ("spawn", "forkserver"))]
)
def test_a_worker_that_dies_is_an_error(two_stores: list[Path], method: str) -> None:
    loader = DataLoader(
        HDF5Dataset(two_stores, end_this_process), 4, num_workers=2, multiprocessing_context=method
    )
    with pytest.raises(RuntimeError, match=r"DataLoader worker .* (killed|exited)"):
        next(iter(loader))


def test_a_lack_of_memory_is_no_fault_of_the_image(
    two_stores: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = HDF5Dataset(two_stores, size=16)

    def decode(data: bytes, view: View) -> None:
        raise NotEnoughMemory("needs more memory than there is")

    monkeypatch.setattr(dataset_module, "decode_view", decode)
    with pytest.raises(MemoryError, match=r"blue/image_0000\.jpg: needs more"):
        dataset[0]
    assert dataset.replaced_count == 0


def test_the_package_loads_the_dataset_when_asked() -> None:
    assert imagestore.HDF5Dataset is HDF5Dataset
    assert imagestore.ImageStore is ImageStore
    with pytest.raises(AttributeError):
        imagestore.nothing  # noqa: B018


def test_older_stores_have_the_same_items(old_store: Path) -> None:
    """Chunked and compressed datasets and deeper groups, also in workers that were forked."""
    dataset = HDF5Dataset(old_store, size=16)
    assert dataset.classes == ["d._red", "green", "l._blue"]
    batches = Batches(dataset, View(16), workers=2).iterate([torch.arange(36)])  # two threads use HDF5
    ((here, _, _),) = batches
    loader = DataLoader(dataset, batch_size=6, num_workers=2, timeout=120)
    assert torch.equal(torch.cat([images for images, _ in loader]), here)
