"""`partition` on archives and folders of every format."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from tests.decode.test_formats import OTHERS, WRITTEN
from tests.helpers.archives import pack
from tests.helpers.image_kinds import ORANGE, SIZE, encode_flat
from tests.helpers.images import encode
from tests.helpers.stored_images import stored_labels

EVERY = WRITTEN | OTHERS


def archive(folder: Path, images: dict[str, bytes]) -> Path:
    path = folder / "images.tar"
    path.write_bytes(pack(images.items()))
    return path


def test_every_format_is_labelled_by_what_is_in_it(run, tmp_path: Path) -> None:
    """The names say nothing, except that of the TGA."""
    pytest.importorskip("pillow_heif")
    names = {kind: f"picture {kind}" + (".tga" if "TGA" in kind else "") for kind in EVERY}
    source = archive(tmp_path, {names[kind]: encoded() for kind, encoded in EVERY.items()})
    run("colourHeuristic.py", "partition", source, "a.h5", "b.h5", 1)
    assert stored_labels(tmp_path / "a.h5") == dict.fromkeys(names.values(), "orange")


def test_a_folder_of_every_format_is_labelled(run, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    for number, kind in enumerate(kind for kind in EVERY if kind not in ("HEIF", "AVIF")):
        (folder / (f"{number}.TGA" if "TGA" in kind else str(number))).write_bytes(EVERY[kind]())
    run("colourHeuristic.py", "partition", folder, "a.h5", "b.h5", 1)
    labels = stored_labels(tmp_path / "a.h5")
    assert len(labels) == number + 1 and set(labels.values()) == {"orange"}


def test_without_pillow_heif_the_others_are_labelled(run, tmp_path: Path) -> None:
    modules = tmp_path / "modules"
    modules.mkdir()
    (modules / "pillow_heif.py").write_text("raise ImportError('not here')")
    heic = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100)
    source = archive(tmp_path, {"phone.HEIC": heic, "picture.png": encode_flat("PNG")})
    done = run("colourHeuristic.py", "partition", source, "a.h5", "b.h5", 1, env={"PYTHONPATH": str(modules)})
    assert stored_labels(tmp_path / "a.h5") == {"picture.png": "orange"}
    assert "phone.HEIC" in done.stderr and "pip install pillow-heif" in done.stderr


def test_the_first_frames_are_counted(run, tmp_path: Path) -> None:
    orange, others = Image.new("RGB", SIZE, ORANGE), [Image.new("RGB", SIZE, "blue")]
    images = {
        f"{format}.x": encode(orange, format, save_all=True, append_images=others)
        for format in ("GIF", "TIFF")
    }
    source = archive(tmp_path, images | {"one.png": encode(orange, "PNG")})
    done = run("colourHeuristic.py", "partition", source, "a.h5", "b.h5", 1)
    assert set(stored_labels(tmp_path / "a.h5").values()) == {"orange"}
    assert "only the first of several frames or pages is labelled: 2 images\n" in done.stderr
