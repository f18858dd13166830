"""HDF5 files that lead to other files: by links, and by virtual and external datasets."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from imagestore.archive.members import SourceLabels
from imagestore.console import UserError
from imagestore.decode.decode_image import decode_rgb
from imagestore.sources.open_archive import open_archive
from tests.helpers.array_files import write_datasets
from tests.helpers.small_stores import picture
from tests.helpers.stored_images import stored_labels

PIXELS = np.random.default_rng(1).integers(0, 256, (6, 8, 9, 3), np.uint8)
NUMBERS = np.arange(6) % 3


@pytest.fixture
def led_elsewhere(tmp_path):
    """A function that writes a file whose images, or labels, are in a file outside its folder."""
    folder = tmp_path / "inside"
    folder.mkdir()
    datasets = {"images": PIXELS, "labels": NUMBERS}
    write_datasets(tmp_path / "other.h5", **datasets)

    def write(kind: str, name: str = "images"):
        values = datasets[name]
        with h5py.File(folder / "a.h5", "w") as file:
            if kind == "link":
                file[name] = h5py.ExternalLink("../other.h5", name)
            elif kind == "external":
                (tmp_path / "raw").write_bytes(values.tobytes())
                places = [(str(tmp_path / "raw"), 0, values.nbytes)]
                file.create_dataset(name, values.shape, values.dtype, external=places)
            else:
                layout = h5py.VirtualLayout(values.shape, values.dtype)
                layout[:] = h5py.VirtualSource("../other.h5", name, values.shape)
                file.create_virtual_dataset(name, layout, fillvalue=0)
            for other in datasets.keys() - {name}:
                file[other] = datasets[other]
        return folder / "a.h5"

    return write


@pytest.mark.parametrize("name", ["images", "labels"])
@pytest.mark.parametrize("kind", ["virtual", "external", "link"])
def test_other_files_are_only_read_if_asked_for(led_elsewhere, kind, name):
    path = led_elsewhere(kind, name)
    with pytest.raises(UserError, match="--follow-external"):
        open_archive(path, labels=SourceLabels())
    with open_archive(path, labels=SourceLabels(), follow_external=True) as archive:
        pixels = [np.asarray(decode_rgb(archive.read(member))) for member in archive.members()]
        assert np.array_equal(pixels, PIXELS)
        assert [member.label for member in archive.members()] == [str(number) for number in NUMBERS]


@pytest.mark.parametrize("name", ["images", "labels"])
def test_a_virtual_dataset_needs_its_sources(tmp_path, led_elsewhere, name):
    path = led_elsewhere("virtual", name)
    (tmp_path / "other.h5").rename(path.parent / "other.h5")  # HDF5 does not look there
    with pytest.raises(UserError, match=f"{name} is virtual, and has no data without ../other.h5:{name}"):
        open_archive(path, labels=SourceLabels(), follow_external=True)


def test_images_in_other_files_are_counted_and_named(run, tmp_path):
    write_datasets(
        tmp_path / "other.h5",
        **{f"rose__{i}.jpg": np.frombuffer(picture((200, 30, 30), i), "u1") for i in range(2)},
    )
    (tmp_path / "inside").mkdir()
    path = write_datasets(
        tmp_path / "inside/a.h5", **{"tulip__2.jpg": np.frombuffer(picture((30, 30, 200), 2), "u1")}
    )
    with h5py.File(path, "a") as file:
        file["rose"] = h5py.ExternalLink("../other.h5", "rose")
    command = ["partition", path, "a.h5", "b.h5", "1", "--labels", "source", "--no-palette"]
    done = run("colourHeuristic.py", *command)
    assert "which are only read with --follow-external: 1 (rose)" in done.stderr
    run("colourHeuristic.py", *command, "--follow-external")
    assert sorted(stored_labels(tmp_path / "a.h5").values()) == ["rose", "rose", "tulip"]
