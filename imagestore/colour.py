"""From the bytes of an image to its dominant colours, and from colours to names."""

from __future__ import annotations

import functools
import io
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

VERSION = "1"
CLUSTERS = 8
ITERATIONS = 5
PIXELS = 3000
FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP")
DECODE_LIMIT = 100 * 2**20
SCALE = 8

_PROTOTYPES = (
    ("black", 11, 2, 0), ("grey", 61, -2, 2), ("grey", 81, -2, 2), ("grey", 30, -1, 0), ("white", 96, 0, 3),
    ("red", 46, 62, 40), ("red", 32, 46, 27), ("red", 51, 72, 49), ("red", 55, 57, 29), ("red", 38, 47, 33),
    ("orange", 63, 36, 60), ("orange", 72, 22, 55), ("orange", 54, 39, 55), ("yellow", 87, -15, 74),
    ("yellow", 91, -15, 55), ("yellow", 74, -6, 68), ("green", 68, -50, 47), ("green", 82, -58, 69),
    ("green", 38, -30, 26), ("green", 80, -46, 23), ("green", 67, -36, 1), ("green", 57, -21, 44),
    ("green", 47, -20, 36), ("green", 61, -19, 17), ("blue", 45, 22, -54), ("blue", 72, -11, -26),
    ("blue", 79, -35, -10), ("blue", 24, 25, -45), ("blue", 56, -5, -16), ("purple", 42, 53, -45),
    ("purple", 58, 44, -39), ("purple", 24, 35, -27), ("pink", 61, 58, -12), ("pink", 76, 31, -6),
    ("pink", 54, 76, -14), ("pink", 78, 24, -1), ("brown", 42, 15, 33), ("brown", 59, 11, 37),
    ("brown", 20, 12, 15), ("brown", 37, 35, 29),
)  # fmt: skip
_CENTRES = np.array([row[1:] for row in _PROTOTYPES], np.float32)
TERMS = ("black", "white", "grey", "red", "orange", "yellow", "green", "blue", "purple", "pink", "brown")
_MEMBER = np.array([[term == row[0] for row in _PROTOTYPES] for term in TERMS], np.float32)


class NotAnImage(Exception):
    """The bytes cannot be decoded within bounds; the message is one line that says why."""


@dataclass(frozen=True)
class Palette:
    """The dominant colours of an image, largest first."""

    share: np.ndarray
    lab: np.ndarray
    rgb: np.ndarray

    def __len__(self) -> int:
        return len(self.share)

    def table(self) -> np.ndarray:
        """Columns share, L, a, b, R, G, B as float32 (k, 7)."""
        return np.column_stack([self.share, self.lab, self.rgb]).astype(np.float32)

    @classmethod
    def from_table(cls, table: np.ndarray) -> Palette:
        """The inverse of `table`."""
        return cls(table[:, 0], table[:, 1:4], table[:, 4:7].astype(np.uint8))


def settings() -> dict[str, object]:
    """What a stored palette depended on."""
    return {"clusters": CLUSTERS, "iterations": ITERATIONS, "pixels": PIXELS}


def palette(data: bytes | Image.Image, clusters: int = CLUSTERS) -> Palette:
    """The dominant colours of an encoded image or a Pillow image; NotAnImage where there is none."""
    pixels = _pixels(data)
    cell = _cells(pixels)
    counts = np.bincount(cell, minlength=32768)
    occupied = np.flatnonzero(counts)
    weights = counts[occupied]
    owner = _cluster(_lattice()[occupied], weights, clusters)
    table = np.zeros(32768, np.uint8)
    table[occupied] = owner
    label = table[cell]
    sums = np.stack([np.bincount(label, pixels[:, i], clusters) for i in range(3)], 1)
    size = np.bincount(label, minlength=clusters)
    order = np.lexsort((np.arange(clusters), -size))
    order = order[size[order] > 0]
    mean = sums[order] / size[order, None]
    return Palette(
        (size[order] / len(pixels)).astype(np.float32), srgb_to_lab(mean), np.rint(mean).astype(np.uint8)
    )


def _pixels(data: bytes | Image.Image) -> np.ndarray:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = Image.open(io.BytesIO(data), formats=FORMATS) if isinstance(data, bytes) else data
            scale = 8
            while scale > 1 and image.width * image.height < PIXELS * scale * scale:
                scale //= 2
            image.draft("RGB", (image.width // scale, image.height // scale))
            image.load()
            if image.mode != "RGB":
                image = image.convert("RGB")
    except UnidentifiedImageError:
        raise NotAnImage("not an image of a known format") from None
    except Exception as error:
        raise NotAnImage(str(error)) from None
    return np.frombuffer(image.tobytes(), np.uint8).reshape(-1, 3)


def _cells(pixels: np.ndarray) -> np.ndarray:
    coarse = (pixels >> 3).astype(np.uint16)
    return coarse[:, 0] << 10 | coarse[:, 1] << 5 | coarse[:, 2]


@functools.cache
def _lattice() -> np.ndarray:
    level = np.arange(32) * 8 + 3.5
    grid = np.stack(np.meshgrid(level, level, level, indexing="ij"), -1).reshape(-1, 3)
    return np.rint(srgb_to_lab(grid) * SCALE).astype(np.float32)


def _cluster(points: np.ndarray, weights: np.ndarray, clusters: int) -> np.ndarray:
    mass = np.column_stack([points * weights[:, None], weights]).astype(np.float64)
    centres = np.empty((clusters, 3), np.float32)
    centres[0] = np.rint(mass[:, :3].sum(0) / mass[:, 3].sum())
    distance = ((points - centres[0]) ** 2).sum(1)
    for k in range(1, clusters):
        centres[k] = points[(distance * np.sqrt(weights)).argmax()]
        distance = np.minimum(distance, ((points - centres[k]) ** 2).sum(1))
    for _ in range(ITERATIONS):
        owner = ((centres**2).sum(1)[:, None] - 2 * centres @ points.T).argmin(0)
        sums = (owner == np.arange(clusters)[:, None]).astype(np.float64) @ mass
        alive = sums[:, 3] > 0
        centres[alive] = np.rint(sums[alive, :3] / sums[alive, 3:])
    return owner


def srgb_to_lab(rgb: np.ndarray) -> np.ndarray:
    """CIELAB (D65) of sRGB colours (…, 3) in 0…255, as float32."""
    v = np.asarray(rgb, np.float64) / 255
    linear = np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4)
    xyz = linear @ np.array(
        [[0.4339499, 0.2126729, 0.0177566], [0.3762098, 0.7151522, 0.1094680], [0.1898403, 0.0721750, 0.8727755]]
    )
    f = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    x, y, z = f[..., 0], f[..., 1], f[..., 2]
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], -1).astype(np.float32)


def label(palette: Palette) -> str:
    """The image's label: the name of the colour that covers most of it."""
    votes = (_votes(palette.lab) * palette.share).sum(1)
    term = int(votes.argmax())
    mine = _votes(palette.lab).argmax(0) == term
    share = palette.share * mine if mine.any() else palette.share
    lightness = float((share * palette.lab[:, 0]).sum() / share.sum())
    return _qualified(TERMS[term], lightness)


def name(lab: Sequence[float] | np.ndarray) -> str:
    """The name of one Lab colour: a basic term, with light- or dark- where it helps."""
    term = int(_votes(np.asarray(lab, np.float32).reshape(1, 3))[:, 0].argmax())
    return _qualified(TERMS[term], float(lab[0]))


def basic(label: str) -> str:
    """The basic term of a label: 'dark-red' is 'red'."""
    return label.rsplit("-", 1)[-1]


def _votes(lab: np.ndarray) -> np.ndarray:
    square = ((_CENTRES[:, None] - lab[None]) ** 2).sum(2)
    likeness = np.exp(-(square - square.min(0)) / (2 * 8.0**2))
    return _MEMBER @ (likeness / likeness.sum(0))


def _qualified(term: str, lightness: float) -> str:
    if term in ("black", "white"):
        return term
    return "dark-" + term if lightness < 35 else "light-" + term if lightness > 72 else term
