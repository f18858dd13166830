"""Every command in docs/sources.md runs as it stands, and gives the same images and labels."""

from __future__ import annotations

import base64
import csv
import io
import json
import os
import re
import shlex
import tarfile
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from pyarrow import parquet
from scipy.io import savemat

from imagestore.decode.decode_image import decode_rgb
from imagestore.store.labels import find_labels
from imagestore.store.reader import ImageStore
from tests.helpers.archives import pack, write
from tests.helpers.array_files import add_vlen_bytes, write_datasets
from tests.helpers.commands import ROOT, Run
from tests.helpers.small_stores import picture

BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SPECIES = ["daffodil", "lily of the valley", "rose"]
OF_A_SPECIES = 8  # pictures
OF_17_FLOWERS = 80  # photographs of a species, which follow one another; see data/README.md

Labelled = list[tuple[str, bytes, str]]  # name, bytes and label of each image


def blocks() -> list[tuple[str, str]]:
    """(file and number, text) of each block of commands; those of docs/python.md have tests of their own."""
    return [
        (f"{file.stem} {number}", block)
        for file in sorted((ROOT / "docs").glob("sources.md"))
        for number, block in enumerate(BLOCK.findall(file.read_text()), 1)
    ]


@pytest.fixture(scope="module")
def images() -> Labelled:
    """Pictures of three species, with JPEG names; photographs of $FLOWERS_TGZ if it is set."""
    archive = os.environ.get("FLOWERS_TGZ")
    if archive:
        return list(photographs(Path(archive)))
    colours = [(230, 220, 60), (240, 240, 240), (200, 30, 60)]
    return [
        (f"image_{i + 1:04d}.jpg", picture(colours[i // OF_A_SPECIES], i), SPECIES[i // OF_A_SPECIES])
        for i in range(len(SPECIES) * OF_A_SPECIES)
    ]


def photographs(archive: Path) -> Labelled:
    """Some photographs of the first species of the 17 flowers."""
    found: dict[str, list] = {species: [] for species in SPECIES}
    with tarfile.open(archive) as tar:
        for member in tar:
            number = int("0" + re.sub(r"\D", "", os.path.basename(member.name)))
            species = (number - 1) // OF_17_FLOWERS
            if number and species < len(SPECIES) and len(found[SPECIES[species]]) < OF_A_SPECIES:
                row = (os.path.basename(member.name), tar.extractfile(member).read(), SPECIES[species])
                found[SPECIES[species]].append(row)
            if all(len(rows) == OF_A_SPECIES for rows in found.values()):
                break
    return [row for rows in found.values() for row in rows]


@pytest.fixture(scope="module")
def sources(images: Labelled, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sources that docs/sources.md names."""
    folder = tmp_path_factory.mktemp("sources")
    numbers = [SPECIES.index(label) for _, _, label in images]
    for name, data, label in images:
        (folder / "photos" / label).mkdir(parents=True, exist_ok=True)
        write(folder / "photos" / label / name, data)
    with zipfile.ZipFile(folder / "photos.zip", "w") as file:
        for name, data, label in images:
            file.writestr(f"photos/{label}/{name}", data)
    members = [(f"jpg/{name}", data) for name, data, _ in images]
    write(folder / "photos.tgz", pack(members, "gz"))
    write(folder / "photos.tar.zst", pack(members, "zst"))
    with (folder / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("name", "label"), *((name, label) for name, _, label in images)])
    (folder / "labels.json").write_text(json.dumps({f"jpg/{name}": label for name, _, label in images}))
    (folder / "names.txt").write_text("\n".join(SPECIES))
    write_datasets(folder / "labels.h5", labels=np.array(numbers).reshape(-1, 1, 1, 1))
    savemat(folder / "imagelabels.mat", {"labels": np.array([numbers]) + 1})
    write_shards(folder, images)
    cells = np.array([np.frombuffer(data, np.uint8) for _, data, _ in images] + [None], object)[None, :-1]
    savemat(folder / "photos.mat", {"jpeg": cells, "labels": numbers})
    write_parquet(folder / "photos.parquet", images, numbers)
    with (folder / "photos.jsonl").open("w") as file:
        for name, data, label in images:
            text = base64.b64encode(data).decode()
            file.write(json.dumps({"file_name": name, "image": text, "label": label}) + "\n")
    write_hdf5(folder, images, numbers)
    return folder


def write_shards(folder: Path, images: Labelled) -> None:
    """All images in one shard, and in two."""
    samples = [
        [(f"{i:06d}.jpg", data), (f"{i:06d}.cls", label.encode())]
        for i, (_, data, label) in enumerate(images)
    ]
    write(folder / "shard-000000.tar", pack(entry for sample in samples for entry in sample))
    for number in (0, 1):
        entries = [entry for sample in samples[number::2] for entry in sample]
        write(folder / f"part-{number:04d}.tar", pack(entries))


def write_parquet(path: Path, images: Labelled, numbers: list[int]) -> None:
    """A file as the Hugging Face hub has it."""
    features = {"image": {"_type": "Image"}, "label": {"_type": "ClassLabel", "names": SPECIES}}
    column = [{"bytes": data, "path": name} for name, data, _ in images]
    table = pa.table({"image": column, "label": numbers})
    description = json.dumps({"info": {"features": features}})
    parquet.write_table(table.replace_schema_metadata({"huggingface": description}), path, row_group_size=5)


def write_hdf5(folder: Path, images: Labelled, numbers: list[int]) -> None:
    """Images as bytes, as pixels, and in groups."""
    write_datasets(folder / "images.h5", species=[label for _, _, label in images])
    add_vlen_bytes(folder / "images.h5", "images", [data for _, data, _ in images])
    small = pixels(images)
    write_datasets(
        folder / "pixels.h5",
        train__images=small,
        train__labels=numbers,
        test__images=small[:5],
        test__labels=numbers[:5],
    )
    with h5py.File(folder / "flowers.h5", "w") as file:
        for name, data, label in images:
            file[f"{label}/{name}"] = np.frombuffer(data, np.uint8)


def pixels(images: Labelled) -> np.ndarray:
    """uint8 (n, 48, 64, 3): the pictures, smaller."""
    return np.stack(
        [np.asarray(Image.open(io.BytesIO(data)).convert("RGB").resize((64, 48))) for _, data, _ in images]
    )


def stored(*stores: Path) -> list[tuple[bytes, str]]:
    """Bytes and label of all images of some stores, sorted."""
    found = []
    for path in stores:
        with ImageStore(path) as store:
            labels = find_labels(store)
            found += [(store.read(i), labels.name_of(i)) for i in range(len(store))]
    return sorted(found)


@pytest.mark.parametrize(("name", "block"), blocks(), ids=[name for name, _ in blocks()])
def test_a_block_runs_and_gives_all_images_and_labels(run: Run, images, sources, tmp_path, name, block):
    for source in sources.iterdir():
        (tmp_path / source.name).symlink_to(source)
    for line in block.splitlines():
        script, *arguments = shlex.split(line.removeprefix("$ "))
        assert line.startswith("$ ./"), f"{line}: output is not quoted here"
        done = run(script, *arguments)
    assert done.stdout.endswith(f"{len(images)}  {len(SPECIES)} labels\n")
    found = stored(tmp_path / "train.h5", tmp_path / "test.h5")
    if "pixels.h5" not in block:
        assert found == sorted((data, label) for _, data, label in images)
        return
    expected = [
        (picture.tobytes(), label) for picture, (_, _, label) in zip(pixels(images), images, strict=True)
    ]
    assert sorted((decode_rgb(data).tobytes(), label) for data, label in found) == sorted(expected)
    assert all(data.startswith(b"\x89PNG") for data, _ in found)


def test_there_are_examples() -> None:
    assert len(blocks()) >= 11
