"""The network that learns the labels of images from their colours.

Pixels count as one of 2,197 colours, a grid over red, green and blue (see `cells_of`). So what is learned
about a colour is computed once for all pixels that have it.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor, nn

STEPS = 12  # of the grid, from 0 to 256, for each of red, green and blue
GRID = STEPS + 1  # levels of each
CELLS = GRID**3
SHARPNESS = 100.0  # per squared unit of Lab / 100: how clearly a pixel belongs to its nearest colour
VOTE_SCALE = 10.0  # at the start: the logit of a label that all pixels vote for
SMALLEST = 1e-9  # share of a colour in a pixel; less is 0, because denormal numbers make products slow
COUNTED_AT_ONCE = 1 << 18  # pixels: many more do not stay in the processor's caches
LEVELS = 12  # of red, green and blue each, among which the first colours are chosen
XYZ_FROM_RGB = (  # linear sRGB -> XYZ relative to the white point D65 (IEC 61966-2-1)
    (0.4124564 / 0.95047, 0.3575761 / 0.95047, 0.1804375 / 0.95047),
    (0.2126729, 0.7151522, 0.0721750),
    (0.0193339 / 1.08883, 0.1191920 / 1.08883, 0.9503041 / 1.08883),
)


class ColourNet(nn.Module):
    """Logits from three readings of the colours of a picture.

    - Votes: a perceptron shares the vote of each pixel out among the labels, by its colour alone. The shares
      are smooth in Lab, so that a few images teach where the border between two labels lies.
    - Votes of the crowd: the same, but a pixel counts the more, the more of the picture looks like it: by the
      square of that share. So the largest cluster of similar colours decides, which is what k-means calls
      the dominant colour.
    - A histogram over `colours` colours that are spread over Lab, and a perceptron on it. It sees what goes
      with what. A pixel is divided among the colours by softmax over -SHARPNESS * |pixel - colour|². To learn
      these colours, too, takes twice the time and tells labels no better.
    """

    def __init__(self, label_count: int, colours: int = 192, hidden: int = 64) -> None:
        super().__init__()
        self.votes = make_votes(label_count)
        self.vote_scale = nn.Parameter(torch.tensor(VOTE_SCALE))
        self.crowd_scale = nn.Parameter(torch.tensor(0.0))  # some labels need no crowd: it is to be learned
        self.head = make_head(colours, hidden, label_count)
        self.register_buffer("cell_lab", lab_of_cells().clone(), persistent=False)  # float32 (CELLS, 3)
        nearest = shares_in_cells(colours).clone()
        self.register_buffer("nearest", nearest, persistent=False)  # float32 (CELLS, colours)
        self._kept_votes: Tensor | None = None  # see _votes_of_cells

    def forward(self, images: Tensor) -> Tensor:
        """Logits, float32 (B, labels), of uint8 images (B, 3, H, W)."""
        counted = images if self.training else every_second_row(images)
        shares = count_cells(counted).div_(counted.shape[2] * counted.shape[3])  # float32 (B, CELLS)
        histogram = shares @ self.nearest  # float32 (B, colours)
        crowd = (histogram @ self.nearest.T).square_().mul_(shares)  # float32 (B, CELLS)
        votes = self._votes_of_cells()  # float32 (CELLS, labels)
        votes_of_crowd = (crowd @ votes) / crowd.sum(1, keepdim=True)  # float32 (B, labels)
        return self.head(histogram) + self.vote_scale * (shares @ votes) + self.crowd_scale * votes_of_crowd

    def train(self, mode: bool = True) -> ColourNet:
        """See nn.Module. After each `eval()`, the votes of the cells are computed anew."""
        self._kept_votes = None
        return super().train(mode)

    def _votes_of_cells(self) -> Tensor:
        """float32 (CELLS, labels): how a pixel in each cell votes; kept while nothing is learned."""
        if self.training or torch.is_grad_enabled():
            return self.votes(3 * self.cell_lab).softmax(-1)
        if self._kept_votes is None:
            self._kept_votes = self.votes(3 * self.cell_lab).softmax(-1)
        return self._kept_votes

    def use_head_alone(self) -> None:
        """Leave the votes out: a head that was trained on the histogram's features does not know them."""
        self.vote_scale.zero_()
        self.crowd_scale.zero_()


def make_votes(label_count: int) -> nn.Sequential:
    """The perceptron that shares the vote of a colour out: logits (n, labels) of 3 x Lab / 100, (n, 3)."""
    return nn.Sequential(
        nn.Linear(3, 64), nn.GELU(), nn.Linear(64, 64), nn.GELU(), nn.Linear(64, label_count)
    )  # fmt: skip


def make_head(
    colours: int, hidden: int, label_count: int, dropout: tuple[float, float] = (0.1, 0.4)
) -> nn.Sequential:
    """The perceptron on histograms: logits (B, labels) of float32 (B, colours).

    `dropout` is the share of the colours, and of the hidden values, that is left out in each step.
    """
    return nn.Sequential(
        nn.LayerNorm(colours),
        nn.Dropout(dropout[0]),
        nn.Linear(colours, hidden),
        nn.GELU(),
        nn.Dropout(dropout[1]),
        nn.Linear(hidden, label_count),
    )


def divide_among(colours: Tensor, lab: Tensor) -> Tensor:
    """float32 (n, colours): the share of each colour, float32 (colours, 3), in each point, float32 (n, 3)."""
    shares = (-SHARPNESS * torch.cdist(lab, colours) ** 2).softmax(-1)
    return shares * (shares >= SMALLEST)


@cache
def shares_in_cells(count: int) -> Tensor:
    """float32 (CELLS, count): the share of each of `count` spread colours in that of each cell.

    The same tensor at each call, because a network is built twice when it is loaded.
    """
    return divide_among(spread_colours(count), lab_of_cells())


def every_second_row(images: Tensor) -> Tensor:
    """uint8 (B, 3, H / 2, W), or a row more, of uint8 (B, 3, H, W): enough pixels for an answer.

    All rows gave 0.2 points more accuracy on average, in three tests of 1,650 images each.
    """
    return images[:, :, ::2].contiguous(memory_format=torch.channels_last)  # as pictures are decoded


def cells_of(images: Tensor) -> Tensor:
    """int16 (B, H·W): the cell of each pixel of uint8 images (B, 3, H, W).

    Of the two levels of the grid around a value, the pixel gets one or the other, by a fixed pattern: so the
    mean over many pixels stays what it is (ordered dithering).
    """
    pattern = _pattern(images.shape[2] * images.shape[3], images.device)
    red, green, blue = (
        channel.short().mul_(STEPS).add_(moved).bitwise_right_shift_(8)  # int16 (B, H·W): levels
        for channel, moved in zip(images.flatten(2).unbind(1), pattern, strict=True)
    )
    return red.mul_(GRID).add_(green).mul_(GRID).add_(blue)


@cache
def _pattern(pixels: int, device: torch.device) -> Tensor:
    """int16 (3, pixels): numbers from 0 to 255, evenly spread, for red, green and blue.

    M. Roberts, "The Unreasonable Effectiveness of Quasirandom Sequences" (2018): R3.
    """
    ratio = 1.2207440846057596  # the root of x^4 = x + 1
    steps = torch.tensor([ratio**-1, ratio**-2, ratio**-3], dtype=torch.float64, device="cpu")
    numbers = (0.5 + steps[:, None] * torch.arange(pixels, device="cpu")) % 1 * 256
    return numbers.short().to(device)


def count_cells(images: Tensor) -> Tensor:
    """float32 (B, CELLS): how many pixels of each uint8 image (B, 3, H, W) are in each cell."""
    counts = torch.zeros((len(images), CELLS), device=images.device)
    pixels = images.shape[2] * images.shape[3]
    at_once = max(COUNTED_AT_ONCE // pixels, 1) if images.device.type == "cpu" else max(len(images), 1)
    ones = torch.ones((min(at_once, len(images)), pixels), device=images.device)
    for some, counts_of_some in zip(images.split(at_once), counts.split(at_once), strict=True):
        cells = cells_of(some).long()
        counts_of_some.scatter_add_(1, cells, ones[: len(cells)])
    return counts


@cache
def lab_of_cells() -> Tensor:
    """float32 (CELLS, 3): CIELAB / 100 of the colour of each cell. The same tensor at each call."""
    levels = torch.arange(GRID, device="cpu").mul(256).div(STEPS).clamp(max=255)
    return srgb_to_lab(torch.cartesian_prod(levels, levels, levels).reshape(-1, 3, 1, 1)).reshape(-1, 3)


def srgb_to_lab(images: Tensor) -> Tensor:
    """CIELAB (CIE 15, white D65) divided by 100, float32 (B, 3, H, W), of sRGB, 0 to 255 (B, 3, H, W)."""
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
