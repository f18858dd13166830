#!/usr/bin/env python3
"""Draw an archive of flower-like photographs, so that the demo and the tests need no download.

    ./demo/draw_flowers.py FLOWERS.tgz --count 300 --seed 1

The archive has the layout of 102flowers.tgz: a folder entry `jpg/`, a list `jpg/files.txt`, then
`jpg/image_00001.jpg` and so on. The same count, seed and size give the same pictures, on any number of cores:
the random numbers of a picture depend only on the seed and on its place in the archive.

A flower is one formula in polar coordinates: the petals end at r = R |cos(n angle / 2)|^sharpness, which is a
filled rose curve. Their shading follows the same angle, so that each petal has an edge and veins.
"""

from __future__ import annotations

import argparse
import io
import math
import multiprocessing
import os
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

PETALS = {  # colours (sRGB)
    "red": [(200, 20, 30), (170, 10, 25), (220, 50, 45)],
    "orange": [(245, 130, 20), (235, 105, 15)],
    "yellow": [(250, 215, 30), (240, 225, 70)],
    "pink": [(240, 130, 175), (250, 175, 200), (225, 95, 150)],
    "purple": [(120, 45, 150), (150, 85, 190)],
    "blue": [(60, 80, 200), (85, 110, 220)],
    "white": [(245, 245, 240), (235, 238, 245)],
}
CENTRES = [(225, 180, 30), (90, 60, 25), (160, 170, 60), (60, 20, 40)]  # colours (sRGB)
BACKGROUNDS = {  # a dark, a middle and a light colour (sRGB)
    "meadow": ((20, 45, 15), (55, 95, 35), (120, 150, 70)),
    "shade": ((5, 10, 8), (18, 30, 20), (45, 62, 40)),
    "soil": ((40, 28, 18), (85, 62, 42), (130, 105, 80)),
    "sky": ((95, 140, 190), (140, 180, 220), (205, 220, 235)),
    "stone": ((70, 70, 68), (120, 120, 118), (175, 175, 172)),
}
BACKGROUND_ODDS = [0.3, 0.2, 0.15, 0.2, 0.15]
FIRST_TIME = 1_234_567_890  # seconds since the epoch; each picture is a minute later than the one before
LONGEST_RATIO = 1.5  # of a picture's longer side to its shorter side


# ----- archive -----


def draw(path: Path, count: int, seed: int = 1, size: int = 500) -> Path:
    """Write an archive of `count` pictures to `path`. The shorter side of each has `size` pixels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    names = [f"image_{i:05d}.jpg" for i in range(1, count + 1)]
    try:
        with tarfile.open(partial, "w:gz", compresslevel=1) as archive:
            _add(archive, "jpg", FIRST_TIME)
            _add(archive, "jpg/files.txt", FIRST_TIME, "".join(f"{name}\n" for name in names).encode())
            for i, (name, data) in enumerate(zip(names, _jpegs(count, seed, size), strict=True)):
                _add(archive, f"jpg/{name}", FIRST_TIME + 60 * i, data)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return path


def _jpegs(count: int, seed: int, size: int) -> Iterator[bytes]:
    """All pictures in order; as many processes as there are CPUs draw them."""
    workers = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with multiprocessing.get_context("spawn").Pool(min(workers, count)) as pool:
        yield from pool.imap(_jpeg_of, ((i, seed, size) for i in range(count)), chunksize=8)


def _jpeg_of(arguments: tuple[int, int, int]) -> bytes:
    return jpeg(*arguments)


def _add(archive: tarfile.TarFile, name: str, mtime: int, data: bytes | None = None) -> None:
    """Add a file; without `data`, a folder."""
    entry = tarfile.TarInfo(name)
    entry.mtime, entry.mode = mtime, 0o644
    if data is None:
        entry.type, entry.mode = tarfile.DIRTYPE, 0o755
        archive.addfile(entry)
    else:
        entry.size = len(data)
        archive.addfile(entry, io.BytesIO(data))


# ----- picture -----


@dataclass(frozen=True)
class Place:
    """The centre and the radius of a flower in a picture, in pixels."""

    x: float
    y: float
    radius: float


def jpeg(index: int, seed: int, size: int) -> bytes:
    """Picture `index` as JPEG, of a quality that cameras use."""
    quality = int(_random_numbers(index, seed).integers(70, 90))
    buffer = io.BytesIO()
    picture(index, seed, size).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def picture(index: int, seed: int, size: int) -> Image.Image:
    """Picture `index` (RGB). Its shorter side has `size` pixels."""
    random = _random_numbers(index, seed)
    petal_colours = PETALS[str(random.choice(list(PETALS)))]
    width, height = _sides(random, size)
    image = _background(random, width, height)
    for place in _places(random, width, height):
        colour = np.array(petal_colours[random.integers(len(petal_colours))], np.float32)
        _paint_plant(image, random, place, colour)
    return _expose(image, random)


def _random_numbers(index: int, seed: int) -> np.random.Generator:
    return np.random.default_rng([seed, index])


def _sides(random: np.random.Generator, size: int) -> tuple[int, int]:
    """Width and height."""
    longer = round(size * random.uniform(1.0, LONGEST_RATIO))
    return (longer, size) if random.random() < 0.6 else (size, longer)


def _places(random: np.random.Generator, width: int, height: int) -> list[Place]:
    """One large flower near the middle, or several smaller flowers."""
    count = int(random.choice([1, 1, 1, 1, 2, 3, 5]))
    largest = min(width, height) * (0.85 if count == 1 else 0.55 / math.sqrt(count / 2))
    spread = 0.05 if count == 1 else 0.22
    return [
        Place(
            x=width * (0.5 + random.normal(0, spread)),
            y=height * (0.5 + random.normal(0, spread)),
            radius=largest * random.uniform(0.65, 1.0),
        )
        for _ in range(count)
    ]


def _expose(image: Image.Image, random: np.random.Generator) -> Image.Image:
    """Add what a camera adds: uneven light, a white balance, and noise."""
    pixels = np.asarray(image.filter(ImageFilter.GaussianBlur(0.6)), np.float32)
    light = 1 + 0.12 * _clouds(random, image.size, 3)
    balance = random.normal(1, 0.02, 3).astype(np.float32)
    noise = random.standard_normal(pixels.shape[:2], dtype=np.float32) * random.uniform(2, 5)
    exposed = pixels * light[..., None] * balance + noise[..., None]
    return Image.fromarray(np.clip(exposed, 0, 255).astype(np.uint8))


# ----- background -----


def _background(random: np.random.Generator, width: int, height: int) -> Image.Image:
    """Clouds of three colours with leaves of the same colours over them, out of focus."""
    name = str(random.choice(list(BACKGROUNDS), p=BACKGROUND_ODDS))
    colours = np.array(BACKGROUNDS[name], np.float32)
    half = (width // 2, height // 2)  # enough pixels for a blurred image
    mix = _clouds(random, half, 5) + 0.4 * _clouds(random, half, 25)
    image = Image.fromarray(_blend(colours, mix).astype(np.uint8))
    for _ in range(int(random.integers(10, 40))):
        _paint_leaf(ImageDraw.Draw(image), random, half, colours[random.integers(3)])
    blurred = image.filter(ImageFilter.GaussianBlur(min(half) * random.uniform(0.004, 0.02)))
    return blurred.resize((width, height), Image.Resampling.BICUBIC)


def _clouds(random: np.random.Generator, size: tuple[int, int], cells: int) -> np.ndarray:
    """Smooth random values, float32 (height, width), mostly within -1..1."""
    coarse = random.normal(0, 0.6, (cells, cells)).astype(np.float32)
    return np.asarray(Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC))


def _blend(colours: np.ndarray, mix: np.ndarray) -> np.ndarray:
    """The dark colour at mix -1, the middle one at 0, the light one at 1: (3, 3), (h, w) -> (h, w, 3)."""
    dark, middle, light = colours
    mix = np.clip(mix, -1, 1)[..., None]
    return middle + np.maximum(mix, 0) * (light - middle) + np.maximum(-mix, 0) * (dark - middle)


def _paint_leaf(
    drawing: ImageDraw.ImageDraw, random: np.random.Generator, size: tuple[int, int], colour: np.ndarray
) -> None:
    length = min(size) * random.uniform(0.15, 0.5)
    angle, x, y = random.uniform(0, 2 * math.pi), random.uniform(0, size[0]), random.uniform(0, size[1])
    along = np.linspace(0, math.pi, 12)
    breadth = length * random.uniform(0.08, 0.2) * np.sin(along)
    edge = np.concatenate([breadth, -breadth[::-1]])
    middle = np.concatenate([along, along[::-1]]) / math.pi * length
    xs = x + middle * math.cos(angle) - edge * math.sin(angle)
    ys = y + middle * math.sin(angle) + edge * math.cos(angle)
    fill = np.clip(colour * random.uniform(0.7, 1.3), 0, 255).astype(int)
    drawing.polygon(list(zip(xs, ys, strict=True)), fill=tuple(fill.tolist()))


# ----- flower -----


def _paint_plant(image: Image.Image, random: np.random.Generator, place: Place, colour: np.ndarray) -> None:
    """Paint a stem, and a flower with its shadow. `colour` is that of the petals."""
    radius = place.radius
    stem = tuple(int(c * random.uniform(0.7, 1.1)) for c in (60, 100, 40))
    foot = (place.x + radius * random.normal(0, 0.4), image.height + 10)
    ImageDraw.Draw(image).line([(place.x, place.y), foot], fill=stem, width=max(2, round(radius * 0.07)))
    flower = _tilt(_flower(random, max(8, round(radius)), colour), random)
    corner = (round(place.x - flower.width / 2), round(place.y - flower.height / 2))
    shadow = flower.getchannel("A").filter(ImageFilter.GaussianBlur(radius * 0.05)).point(lambda a: a * 0.45)
    image.paste((10, 15, 10), (corner[0] + round(radius * 0.06), corner[1] + round(radius * 0.09)), shadow)
    image.paste(flower, corner, flower)


def _tilt(flower: Image.Image, random: np.random.Generator) -> Image.Image:
    """The flower seen from one side: narrower, and turned."""
    narrow = (flower.width, max(1, round(flower.height * random.uniform(0.7, 1.0))))
    return flower.resize(narrow).rotate(random.uniform(0, 360), Image.Resampling.BILINEAR, expand=True)


def _flower(random: np.random.Generator, radius: int, colour: np.ndarray) -> Image.Image:
    """One to three rings of petals and a centre, on a transparent square (RGBA), 2 `radius` pixels wide."""
    axis = (np.arange(2 * radius, dtype=np.float32) - radius + 0.5) / radius
    r = np.hypot(axis[None, :], axis[:, None])
    angle = np.arctan2(axis[:, None], axis[None, :]) + random.uniform(0, math.pi)
    petals = int(random.integers(5, 13))
    sharpness = random.uniform(0.25, 0.7)
    centre_colour = np.array(CENTRES[random.integers(len(CENTRES))], np.float32)
    paint = np.zeros((*r.shape, 3), np.float32)
    cover = np.zeros_like(r)
    rings = int(random.integers(1, 4))
    for ring in range(rings):
        reach = 0.97 * (1 - ring / (rings + 0.8))
        turned = angle + ring * math.pi / petals + 0.04 * np.sin(5 * angle + ring)
        alpha, shade = _petals(r / reach, turned, petals, sharpness, radius * reach)
        ring_colour = colour * (1 - 0.07 * (rings - 1 - ring))
        shaded = _tint(r / reach, ring_colour, centre_colour) * shade[..., None]
        paint += alpha[..., None] * (shaded - paint)
        cover = np.maximum(cover, alpha)
    _paint_centre(random, paint, cover, r, centre_colour)
    pixels = np.dstack([paint, cover * 255])
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def _petals(
    r: np.ndarray, angle: np.ndarray, petals: int, sharpness: float, pixels: float
) -> tuple[np.ndarray, np.ndarray]:
    """Cover (0..1) and brightness (about 1) of one ring, both (h, w). `r` is 1 at the tips of the petals."""
    across = np.abs(np.cos(petals * angle / 2))  # 1 along the middle of a petal, 0 between two petals
    alpha = np.clip((across**sharpness - r) * pixels / 2 + 0.5, 0, 1)
    veins = 0.05 * np.sin(petals * angle * 6.5) * np.clip(r, 0, 1)
    edge = 0.35 * np.exp(-6 * across)
    shade = 0.85 + 0.2 * r + veins - edge
    return alpha, shade


def _tint(r: np.ndarray, colour: np.ndarray, centre_colour: np.ndarray) -> np.ndarray:
    """The petals' colour, which turns to the centre's colour near the middle: (h, w) -> (h, w, 3)."""
    near = np.exp(-((r / 0.22) ** 2))[..., None] * 0.6
    return colour + near * (centre_colour - colour)


def _paint_centre(
    random: np.random.Generator, paint: np.ndarray, cover: np.ndarray, r: np.ndarray, colour: np.ndarray
) -> None:
    """Paint the grainy centre of a flower over its petals, in place."""
    reach = random.uniform(0.1, 0.24)
    inside = np.clip((reach - r) * 40, 0, 1)
    grain = 1 - 0.5 * r / reach + 0.22 * random.standard_normal(r.shape, dtype=np.float32)
    paint += inside[..., None] * (colour * np.clip(grain, 0.2, 1.6)[..., None] - paint)
    np.maximum(cover, inside, out=cover)


# ----- command -----


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description="Draw an archive of flower-like photographs.")
    parser.add_argument("archive", metavar="ARCHIVE.tgz", type=Path, help="what to write")
    parser.add_argument("--count", type=int, default=300, help="how many pictures (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="another seed, other pictures (default: 1)")
    parser.add_argument("--size", type=int, default=500, help="the shorter side in pixels (default: 500)")
    return parser


if __name__ == "__main__":
    options = build_parser().parse_args()
    print(draw(options.archive, options.count, options.seed, options.size))
