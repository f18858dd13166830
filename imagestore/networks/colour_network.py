"""The network that learns the labels of images from their colours.

Pixels count as one of 4,096 cells, the 4 high bits of red, green and blue, as in colour/histogram.py. So what
is learned about a colour is computed once for all pixels of a cell, and only for the cells that a batch
holds: a step on pictures of 48 x 48 pixels takes no longer than one on fewer pixels.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding_bag

BITS = 4  # of each of red, green and blue
CELLS = 1 << 3 * BITS
SHARPNESS = 100.0  # per squared unit of Lab / 100: how clearly a pixel belongs to its nearest colour
VOTE_SCALE = 10.0  # at the start: the logit of a label that all pixels vote for
SMALLEST = 1e-9  # share of a colour in a pixel; less is 0, because denormal numbers make products slow
LEVELS = 12  # of red, green and blue each, among which the first colours are chosen
XYZ_FROM_RGB = (  # linear sRGB -> XYZ relative to the white point D65 (IEC 61966-2-1)
    (0.4124564 / 0.95047, 0.3575761 / 0.95047, 0.1804375 / 0.95047),
    (0.2126729, 0.7151522, 0.0721750),
    (0.0193339 / 1.08883, 0.1191920 / 1.08883, 0.9503041 / 1.08883),
)


class ColourNet(nn.Module):
    """Logits from two readings of the colours of a picture.

    - Votes: a perceptron shares the vote of each pixel out among the labels, by its colour alone. The shares
      are smooth in Lab, so that a few images teach where the border between two labels lies.
    - A histogram over `colours` colours that are spread over Lab, and a perceptron on it. It sees what goes
      with what. A pixel is divided among the colours by softmax over -SHARPNESS * |pixel - colour|². To learn
      these colours, too, takes twice the time and tells labels no better.
    """

    def __init__(self, label_count: int, colours: int = 192, hidden: int = 64) -> None:
        super().__init__()
        self.votes = nn.Sequential(
            nn.Linear(3, 64), nn.GELU(), nn.Linear(64, 64), nn.GELU(), nn.Linear(64, label_count)
        )  # fmt: skip
        self.vote_scale = nn.Parameter(torch.tensor(VOTE_SCALE))
        self.head = nn.Sequential(
            nn.LayerNorm(colours),
            nn.Dropout(0.1),
            nn.Linear(colours, hidden),
            nn.GELU(),
            nn.Dropout(0.4),
            nn.Linear(hidden, label_count),
        )
        self.register_buffer("cell_lab", lab_of_cells(), persistent=False)  # float32 (CELLS, 3)
        nearest = shares_in_cells(colours).clone()
        self.register_buffer("nearest", nearest, persistent=False)  # float32 (CELLS, colours)
        self._readings: Tensor | None = None  # of each cell; see _look_up

    def forward(self, images: Tensor) -> Tensor:
        """Logits, float32 (B, labels), of uint8 images (B, 3, H, W)."""
        learns = self.training or torch.is_grad_enabled()
        histogram, votes = self._read(images) if learns else self._look_up(images)
        return self.head(histogram) + self.vote_scale * votes

    def train(self, mode: bool = True) -> ColourNet:
        """See nn.Module. After each `eval()`, the readings of the cells are made anew."""
        self._readings = None
        return super().train(mode)

    def _read(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """The histograms, float32 (B, colours), and the votes, float32 (B, labels)."""
        counts = count_cells(images)  # int64 (B, CELLS)
        used = counts.sum(0).nonzero()[:, 0]  # int64 (n,): the cells that hold pixels of this batch
        shares = counts.index_select(1, used) / (images.shape[2] * images.shape[3])  # float32 (B, n)
        votes = shares @ self.votes(3 * self.cell_lab[used]).softmax(-1)
        return shares @ self.nearest[used], votes

    def _look_up(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """The same as `_read`, from a table of all cells: in a third of the time, but nothing is learned."""
        if self._readings is None:
            votes = self.votes(3 * self.cell_lab).softmax(-1)  # float32 (CELLS, labels)
            self._readings = torch.cat([self.nearest, votes], 1)  # float32 (CELLS, colours + labels)
        both = embedding_bag(cells_of(images), self._readings, mode="mean")  # (B, colours + labels)
        colours = self.nearest.shape[1]
        return both[:, :colours], both[:, colours:]

    def use_head_alone(self) -> None:
        """Leave the votes out: a head that was trained on the histogram's features does not know them."""
        self.vote_scale.zero_()


def divide_among(colours: Tensor, lab: Tensor) -> Tensor:
    """float32 (n, colours): the share of each colour, float32 (colours, 3), in each point, float32 (n, 3)."""
    shares = (-SHARPNESS * torch.cdist(lab, colours) ** 2).softmax(-1)
    return shares * (shares >= SMALLEST)


@cache
def shares_in_cells(count: int) -> Tensor:
    """float32 (CELLS, count): the share of each of `count` spread colours in the middle of each cell.

    The same tensor at each call, because a network is built twice when it is loaded.
    """
    return divide_among(spread_colours(count), lab_of_cells())


def cells_of(images: Tensor) -> Tensor:
    """int64 (B, H·W): the cell of each pixel of uint8 images (B, 3, H, W)."""
    red, green, blue = (images >> (8 - BITS)).short().flatten(2).unbind(1)  # int16 (B, H·W) each
    return (red << 2 * BITS | green << BITS | blue).long()


def count_cells(images: Tensor) -> Tensor:
    """int64 (B, CELLS): how many pixels of each uint8 image (B, 3, H, W) are in each cell."""
    cells = cells_of(images)
    cells += torch.arange(len(images), device=images.device)[:, None] * CELLS
    return torch.bincount(cells.flatten(), minlength=len(images) * CELLS).view(-1, CELLS)


def lab_of_cells() -> Tensor:
    """float32 (CELLS, 3): CIELAB / 100 of the middle of each cell."""
    levels = torch.arange(1 << BITS, device="cpu").mul(256 >> BITS).add(128 >> BITS).to(torch.uint8)
    return srgb_to_lab(torch.cartesian_prod(levels, levels, levels).reshape(-1, 3, 1, 1)).reshape(-1, 3)


def srgb_to_lab(images: Tensor) -> Tensor:
    """CIELAB (CIE 15, white D65) divided by 100, float32 (B, 3, H, W), of uint8 sRGB (B, 3, H, W)."""
    v = images.float() / 255
    linear = torch.where(v > 0.04045, ((v + 0.055) / 1.055) ** 2.4, v / 12.92)
    matrix = torch.tensor(XYZ_FROM_RGB, device=images.device)
    xyz = torch.einsum("ij,bjhw->bihw", matrix, linear)
    f = torch.where(xyz > (6 / 29) ** 3, xyz.clamp(min=1e-6) ** (1 / 3), xyz * (29 / 6) ** 2 / 3 + 4 / 29)
    x, y, z = f.unbind(1)
    return torch.stack([1.16 * y - 0.16, 5 * (x - y), 2 * (y - z)], 1)


@cache
def spread_colours(count: int) -> Tensor:
    """`count` sRGB colours far from each other, as Lab / 100, float32 (count, 3); the same at each call.

    Each colour is the one farthest from all before it, among a grid of sRGB colours. Raises ValueError if
    the grid has not so many.
    """
    if not 1 <= count <= LEVELS**3:
        raise ValueError(f"{count} colours are not from 1 to {LEVELS**3:,}")
    levels = torch.linspace(0, 255, LEVELS, device="cpu").to(torch.uint8)
    grid = torch.cartesian_prod(levels, levels, levels).reshape(-1, 3, 1, 1)
    candidates = srgb_to_lab(grid).reshape(-1, 3)
    chosen = [candidates[0]]
    distance = ((candidates - chosen[0]) ** 2).sum(1)
    while len(chosen) < count:
        chosen.append(candidates[distance.argmax()])
        distance = torch.minimum(distance, ((candidates - chosen[-1]) ** 2).sum(1))
    return torch.stack(chosen)
