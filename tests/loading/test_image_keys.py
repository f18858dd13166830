"""Keys of images: functions of members and checksums, wherever the images are stored."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

from imagestore.loading import image_keys as module
from imagestore.loading.dataset import HDF5Dataset
from imagestore.loading.image_keys import content_keys, epoch_order, image_keys
from tests.helpers.commands import Run
from tests.helpers.small_stores import make_store


def keys_by_path(*stores: Path) -> dict[str, int]:
    dataset = HDF5Dataset(stores)
    keys = image_keys(dataset)
    assert keys.dtype == np.uint64
    return {dataset.path_of(i): int(keys[i]) for i in range(len(dataset))}


def test_shards_have_the_keys_of_their_merge(run: Run, sample: Path, tmp_path: Path) -> None:
    for number in (1, 2):
        shard = ("--shard", f"{number}/2")
        run("colourHeuristic.py", "partition", sample, f"train-{number}.h5", f"test-{number}.h5", 1, *shard)
    run("colourHeuristic.py", "merge", "all.h5", "train-1.h5", "train-2.h5")
    run("colourHeuristic.py", "partition", sample, "once.h5", "none.h5", 1)
    parts = sorted(tmp_path.glob("train-*.h5"))
    assert len(parts) == 2
    expected = keys_by_path(tmp_path / "once.h5")
    assert len(set(expected.values())) == 60
    for stores in (parts, [tmp_path / "all.h5"]):
        assert keys_by_path(*stores) == expected


def test_images_without_a_member_have_the_keys_of_their_paths(two_stores: list[Path], tmp_path: Path) -> None:
    keys = keys_by_path(*two_stores)
    assert len(set(keys.values())) == 18
    assert keys_by_path(*two_stores[::-1]) == keys
    with h5py.File(tmp_path / "copy.h5", "w") as copy, h5py.File(two_stores[0]) as store:
        for group in store:
            store.copy(group, copy)
        del copy["blue/image_0000.jpg"]
    assert keys_by_path(tmp_path / "copy.h5").items() <= keys.items()


def test_equal_names_of_other_labels_are_told_apart(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file, h5py.File(make_store(tmp_path / "b.h5", 3)) as store:
        for label in ("a", "ab", "b", "x"):
            for name in ("1.jpg", "b1.jpg", "11.jpg"):
                store.copy("blue/image_0000.jpg", file, f"{label}/{name}")
    assert len(set(keys_by_path(tmp_path / "a.h5").values())) == 12


def test_names_are_hashed_a_part_at_a_time(two_stores: list[Path], monkeypatch) -> None:
    keys = keys_by_path(*two_stores)
    for count in (1, 5):
        monkeypatch.setattr(module, "AT_ONCE", count)
        assert keys_by_path(*two_stores) == keys


def test_an_order_follows_the_images(two_stores: list[Path]) -> None:
    """Sorted the same way among more images; another for each seed and epoch."""
    keys = image_keys(HDF5Dataset(two_stores))
    order = epoch_order(keys, 1, 0).tolist()
    assert sorted(order) == list(range(18))
    few = np.arange(3, 12)
    assert few[epoch_order(keys[few], 1, 0)].tolist() == [i for i in order if i in few]
    others = [epoch_order(keys, seed, epoch).tolist() for seed, epoch in ((1, 1), (2, 0), (0, 1))]
    assert len({tuple(other) for other in [order, *others]}) == 4


def test_a_picture_with_two_names_has_one_content_key(run: Run, tmp_path: Path) -> None:
    source = make_store(tmp_path / "source.h5", 3)
    with h5py.File(source, "a") as file:
        file.copy("red/image_0002.jpg", "red/again.jpg")
    run("colourHeuristic.py", "merge", "merged.h5", source)
    dataset = HDF5Dataset(tmp_path / "merged.h5")
    again, first = (
        [dataset.path_of(i) for i in range(4)].index(f"red/{name}.jpg") for name in ("again", "image_0002")
    )
    assert content_keys(dataset)[again] == content_keys(dataset)[first]
    assert image_keys(dataset)[again] != image_keys(dataset)[first]
