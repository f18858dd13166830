"""Archives of photographs to measure with, like 102flowers.tgz: 8,189 images in 400 MB."""

from __future__ import annotations

import io
import multiprocessing
import os
import random
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

from PIL import Image, ImageOps

from common.paths import bench_folder

IMAGES = 8189
MEAN_BYTES = 49_000  # of an image
QUALITIES = range(60, 96, 5)  # of JPEG; the lowest that makes an image large enough is taken
DRAWN_IMAGES = 300
MODIFIED = 1_234_567_890  # seconds since the epoch


def build_archive(path: Path | None = None, images: int = IMAGES) -> Path:
    """An archive of `images` photographs, made once and kept; by default in `bench_folder`.

    The photographs of $FLOWERS_TGZ come first, unchanged. Then come copies of them, cropped, mirrored and
    with other hues, until there are enough. Without FLOWERS_TGZ, drawn flowers take their place. The same
    photographs and count give the same archive, on any number of cores.
    """
    kind = "flowers" if os.environ.get("FLOWERS_TGZ") else "drawn"
    path = path or bench_folder() / f"{kind}-{images}.tgz"
    if path.exists():
        return path
    originals = _read_originals()
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    print(f"making {path} ({images:,} photographs), once", file=sys.stderr)
    try:
        with tarfile.open(partial, "w:gz", compresslevel=1) as archive:
            _add_folder(archive, "jpg")
            for i, data in enumerate(_photographs(originals, images)):
                _add_file(archive, f"jpg/image_{i + 1:05d}.jpg", data)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return path


def unpack_archive(path: Path) -> Path:
    """A folder beside an archive with its files, made once and kept."""
    folder = path.with_suffix("")
    if not folder.exists():
        partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        subprocess.run(["tar", "-xf", str(path), "-C", str(partial)], check=True)
        partial.chmod(0o755)
        partial.rename(folder)
    return folder


def count_originals() -> int:
    """The number of photographs that the others of `build_archive` are variants of, in turn."""
    return len(_read_originals())


def _read_originals() -> list[bytes]:
    with tarfile.open(os.environ.get("FLOWERS_TGZ") or _drawn_archive()) as archive:
        members = (member for member in archive if member.isfile() and member.name.endswith(".jpg"))
        return [archive.extractfile(member).read() for member in members]


def _drawn_archive() -> Path:
    from demo.draw_flowers import draw

    path = bench_folder() / "drawn.tgz"
    return path if path.exists() else draw(path, count=DRAWN_IMAGES)


def _photographs(originals: list[bytes], count: int) -> Iterator[bytes]:
    """`count` photographs: the originals, then variants of them."""
    yield from originals[:count]
    more = ((i, originals[i % len(originals)]) for i in range(len(originals), count))
    with multiprocessing.get_context("spawn").Pool() as pool:
        yield from pool.imap(_variant, more, chunksize=16)


def _variant(job: tuple[int, bytes]) -> bytes:
    """A photograph, cropped, perhaps mirrored, with another hue. `job` is (random seed, photograph)."""
    seed, original = job
    random_numbers = random.Random(seed)
    image = _crop(Image.open(io.BytesIO(original)).convert("RGB"), random_numbers)
    if random_numbers.random() < 0.5:
        image = ImageOps.mirror(image)
    return _encode(_turn_hue(image, random_numbers.randrange(256)), random_numbers)


def _crop(image: Image.Image, random_numbers: random.Random) -> Image.Image:
    """85 % to 100 % of each side, enlarged to the old size."""
    width, height = image.size
    w, h = (round(side * random_numbers.uniform(0.85, 1)) for side in (width, height))
    x, y = random_numbers.randint(0, width - w), random_numbers.randint(0, height - h)
    return image.resize((width, height), Image.Resampling.BILINEAR, box=(x, y, x + w, y + h))


def _turn_hue(image: Image.Image, turn: int) -> Image.Image:
    """Turn all hues by `turn`; 256 is a full circle."""
    hue, saturation, value = image.convert("HSV").split()
    turned = hue.point([(level + turn) % 256 for level in range(256)])
    return Image.merge("HSV", (turned, saturation, value)).convert("RGB")


def _encode(image: Image.Image, random_numbers: random.Random) -> bytes:
    """The image as JPEG, of 0.5 to 1.25 times MEAN_BYTES if a quality of QUALITIES can do this."""
    least_bytes = MEAN_BYTES * random_numbers.uniform(0.5, 1.25)
    for quality in QUALITIES:
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=quality)
        if buffer.tell() >= least_bytes:
            break
    return buffer.getvalue()


def _add_folder(archive: tarfile.TarFile, name: str) -> None:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode = tarfile.DIRTYPE, 0o755
    archive.addfile(entry)


def _add_file(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mtime = len(data), MODIFIED
    archive.addfile(entry, io.BytesIO(data))
