"""The Dataset over stores: several as one, what cannot be decoded, workers, splits, all of it in memory."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import shutil
import signal
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from imagestore.console import UserError
from imagestore.decode import NotAnImage
from imagestore.processes import Stop
from imagestore.store.open import open_stores
from imagestore.training.batches import Streamed, decode_all
from imagestore.training.dataset import HDF5Dataset
from imagestore.training.free_memory import available_memory, left_by_groups
from imagestore.training.split import split
from tests.helpers.small_stores import COLOURS, add, make_store, picture

WHITE = {"white": (250, 250, 245)}


@pytest.fixture
def two(tmp_path: Path) -> list[Path]:
    """12 images of three labels, and 6 of a fourth."""
    first = make_store(tmp_path / "part-1.h5", 12)
    return [first, make_store(tmp_path / "part-2.h5", 6, first=12, colours=WHITE)]


def test_several_stores_are_one(two: list[Path], tmp_path: Path) -> None:
    whole = HDF5Dataset(tmp_path / "part-*.h5", size=16)
    assert len(whole) == 18
    assert whole.classes == ["blue", "green", "red", "white"]
    parts = [HDF5Dataset(path, size=16) for path in two]
    for i in range(len(whole)):
        part, at = (parts[0], i) if i < 12 else (parts[1], i - 12)
        image, label = whole[i]
        assert torch.equal(image, part[at][0])
        assert whole.classes[label] == whole.path_of(i).split("/")[0] == part.classes[part[at][1]]
    assert whole.path_of(-1) == part.path_of(5)
    for beyond in (18, -19):
        with pytest.raises(IndexError):
            whole[beyond]


def test_an_item_is_the_picture_and_its_label(tmp_path: Path) -> None:
    """By colour, so that swapped channels, rows and labels are noticed; a transform gets Pillow's image."""
    dataset = HDF5Dataset(make_store(tmp_path / "a.h5", 9), size=24)
    for image, label in dataset:
        assert (image.shape, image.dtype) == ((3, 24, 24), torch.uint8)
        below_the_patch = image[:, 12:].float().mean((1, 2)).numpy()
        assert np.abs(below_the_patch - COLOURS[dataset.classes[label]]).max() < 12
    whole = HDF5Dataset(tmp_path / "a.h5", transform=lambda image: (image.mode, image.size))
    assert whole[0] == (("RGB", (96, 72)), 0)


def test_a_group_without_images_is_no_label(tmp_path: Path) -> None:
    store = make_store(tmp_path / "a.h5", 3)
    with h5py.File(store, "a") as file:
        file.create_group("nobody")
    assert HDF5Dataset(store, size=8).classes == list(COLOURS)


def test_labels_that_are_given_number_the_images(two: list[Path]) -> None:
    dataset = HDF5Dataset(two, size=8, labels=["white", "red"])
    assert set(dataset.targets.tolist()) == {-1, 0, 1}
    assert [i for i in range(18) if dataset.targets[i] == 0] == list(range(12, 18))


@pytest.fixture
def broken(two: list[Path]) -> list[Path]:
    """The same stores, with two more files that cannot be decoded."""
    add(two[0], "blue/half.jpg", picture(COLOURS["blue"], 1)[:700])
    add(two[1], "white/text.jpg", b"not an image at all")
    return two


def test_what_cannot_be_decoded_is_left_out_and_named(broken: list[Path]) -> None:
    dataset = HDF5Dataset(broken, size=16)
    kept = decode_all(dataset, range(len(dataset)), workers=3)
    assert (len(dataset), len(kept), kept.usable) == (20, 20, 18)
    assert [line.split(":")[0] for line in kept.skipped] == ["blue/half.jpg", "white/text.jpg"]
    where = [dataset.path_of(i) for i in range(20)].index("blue/half.jpg")
    with pytest.raises(NotAnImage):
        dataset[where]
    assert np.bincount(kept.labels[kept.good]).tolist() == [4, 4, 4, 6]


def labels_of(batches: object) -> list[int]:
    return [label for _, labels in batches for label in labels.tolist()]


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_the_workers_of_a_loader_bring_the_same_images(broken: list[Path], method: str) -> None:
    """The dataset was read from before the workers start; batches come without what cannot be decoded."""
    dataset = HDF5Dataset(broken, size=16)
    here = decode_all(dataset, range(len(dataset)), workers=1)
    context = multiprocessing.get_context(method)
    loader = DataLoader(dataset, batch_size=4, num_workers=2, multiprocessing_context=context, timeout=60)
    batches = list(loader)
    assert torch.equal(torch.cat([images for images, _ in batches]), here.images[here.good])
    assert labels_of(batches) == here.labels[here.good].tolist()


def test_a_batch_of_which_nothing_can_be_decoded_is_empty(broken: list[Path]) -> None:
    dataset = HDF5Dataset(broken, size=16)
    where = [dataset.path_of(i) for i in range(20)].index("white/text.jpg")
    ((images, labels),) = Streamed(dataset, np.array([where]), 1).batches(torch.tensor([0]), 4)
    assert (len(images), len(labels)) == (0, 0)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1])
def test_no_signal_ends_the_workers_of_a_stream(two: list[Path], number: signal.Signals) -> None:
    """They are sent what their parent is to act on; this process hears signals as before."""
    batches = Streamed(HDF5Dataset(two, size=16), np.arange(18), workers=2).batches(torch.arange(18), 1)
    first = next(batches)
    workers = multiprocessing.active_children()
    assert len(workers) == 2
    for worker in workers:
        os.kill(worker.pid, number)
    assert len(labels_of([first, *batches])) == 18
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == set()


def test_decoding_ends_early_when_a_signal_asks_for_it(two: list[Path]) -> None:
    dataset = HDF5Dataset(two, size=16)
    assert decode_all(dataset, range(18), workers=2, stop=Stop(15)).usable == 0


def test_a_dataset_can_be_pickled(two: list[Path]) -> None:
    dataset = HDF5Dataset(two, size=16)
    assert torch.equal(dataset[17][0], pickle.loads(pickle.dumps(dataset))[17][0])


def test_from_memory_or_from_the_disk_come_the_same_batches(broken: list[Path]) -> None:
    """In an order that jumps between the stores, with two images that cannot be decoded."""
    dataset = HDF5Dataset(broken, size=16)
    positions = np.r_[0, 4:20]
    order = torch.randperm(17, generator=torch.Generator().manual_seed(3))
    memory = list(decode_all(dataset, positions, workers=2).batches(order, 4))
    assert sum(len(labels) for _, labels in memory) == 15
    for workers in (0, 2):
        disk = list(Streamed(dataset, positions, workers).batches(order, 4))
        assert len(disk) == 5
        for (images, labels), (images_too, labels_too) in zip(memory, disk, strict=True):
            assert torch.equal(images, images_too)
            assert torch.equal(labels, labels_too)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(fraction=st.floats(0, 0.99), seed=st.integers(0, 2**40))
def test_a_split_has_every_image_once_and_is_always_the_same(
    two: list[Path], fraction: float, seed: int
) -> None:
    dataset = HDF5Dataset(two, size=8)
    training, validation = split(dataset, fraction, seed)
    assert sorted([*training, *validation]) == list(range(18))
    assert len(training) >= 1
    assert abs(len(validation) - 18 * fraction) <= 1
    assert (len(validation) > 0) == (fraction > 0)
    again = split(HDF5Dataset(two, size=8), fraction, seed)
    assert all(map(np.array_equal, again, (training, validation)))


def test_a_split_follows_the_images_not_their_order(two: list[Path]) -> None:
    """The same images are held back when the stores come the other way round; others with another seed."""

    def held_back(paths: list[Path], seed: int) -> set[str]:
        dataset = HDF5Dataset(paths, size=8)
        return {dataset.path_of(i) for i in split(dataset, 0.4, seed)[1]}

    assert held_back(two, 1) == held_back(two[::-1], 1)
    assert len({frozenset(held_back(two, seed)) for seed in range(6)}) > 1


def test_a_picture_stored_twice_is_on_one_side(sample_store: Path, tmp_path: Path) -> None:
    """Also when it comes from two stores: none is trained on and validated with."""
    dataset = HDF5Dataset([sample_store, shutil.copy(sample_store, tmp_path / "copy.h5")], size=8)
    training, validation = split(dataset, 0.3, seed=1)
    assert {i % 60 for i in training}.isdisjoint({i % 60 for i in validation})
    assert len(validation) == 36


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=30)
@given(copies=st.integers(2, 4), fraction=st.floats(0.01, 0.9), seed=st.integers(0, 2**40))
def test_wherever_the_cut_falls_copies_stay_together(
    two: list[Path], copies: int, fraction: float, seed: int
) -> None:
    dataset = HDF5Dataset(open_stores(two) * copies, size=8)
    training, validation = ({dataset.path_of(i) for i in part} for part in split(dataset, fraction, seed))
    assert training.isdisjoint(validation)
    assert training


def test_what_is_no_store_is_told(tmp_path: Path) -> None:
    (tmp_path / "text.h5").write_text("no store")
    for path, said in ((tmp_path / "none.h5", "no such file"), (tmp_path / "text.h5", "not an HDF5 file")):
        with pytest.raises(UserError, match=said):
            HDF5Dataset(path, size=8)
    with pytest.raises(ValueError, match="transform"):
        HDF5Dataset(make_store(tmp_path / "a.h5", 3))


def test_older_stores_have_the_same_items(old_store: Path) -> None:
    """Chunked and compressed datasets and deeper groups, through workers that were forked."""
    dataset = HDF5Dataset(old_store, size=16)
    assert dataset.classes == ["d._red", "green", "l._blue"]
    here = decode_all(dataset, range(36), workers=2)
    assert (len(here), here.skipped) == (36, [])
    loader = DataLoader(dataset, batch_size=6, num_workers=2, timeout=60)
    assert torch.equal(torch.cat([images for images, _ in loader]), here.images)


def group(folder: Path, **files: object) -> None:
    """A control group's folder; `memory_max=5` is its file memory.max."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name.replace("_", ".", 1)).write_text(f"{content}\n")


def test_memory_is_what_the_groups_around_a_process_leave(tmp_path: Path) -> None:
    """Slurm limits the job, some folders above the process; siblings and what is not mounted say nothing."""
    job = tmp_path / "system.slice/slurmstepd.scope/job_7"
    group(tmp_path / "system.slice", memory_max=9000, memory_current=2000)
    group(job, memory_max=5000, memory_current=1500)
    group(job / "step_0/user", memory_max="max", memory_current=1400)
    group(tmp_path / "system.slice/slurmstepd.scope/job_8", memory_max=10, memory_current=9)
    step = "0::/system.slice/slurmstepd.scope/job_7/step_0/user\n"
    assert sorted(left_by_groups(step, tmp_path)) == [3500, 7000]
    assert list(left_by_groups("0::/seen/from/outside\n", job)) == [3500]
    assert list(left_by_groups("0::/\n", tmp_path)) == []


def test_memory_in_groups_of_version_1(tmp_path: Path) -> None:
    """Of the many controllers that of memory counts; version 2 may be there beside it, without files."""
    job = tmp_path / "memory/slurm/uid_1/job_7"
    group(tmp_path / "memory", memory_limit_in_bytes=2**63 - 4096, memory_usage_in_bytes=4096)
    group(job, memory_limit_in_bytes=800, memory_usage_in_bytes=300)
    group(tmp_path / "cpu/slurm/uid_1/job_7", memory_limit_in_bytes=3, memory_usage_in_bytes=1)
    said = "9:cpu,cpuacct:/slurm/uid_1/job_7\n5:memory:/slurm/uid_1/job_7\n1:name=systemd:/a:b\n0::/\n"
    assert sorted(left_by_groups(said, tmp_path)) == [500, 2**63 - 8192]


def test_some_memory_is_available_here() -> None:
    assert 0 < available_memory() <= os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
