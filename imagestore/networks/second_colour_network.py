"""The colour network of the second version, whose weights and checkpoints still load."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from imagestore.networks.colour_network import (
    VOTE_SCALE,
    divide_among,
    make_head,
    make_votes,
    spread_colours,
    srgb_to_lab,
)

BITS = 4  # of each of red, green and blue: pixels count as the middle of one of 4,096 cells
CELLS = 1 << 3 * BITS


class SecondColourNet(nn.Module):
    """Votes of all pixels, and a histogram, as in ColourNet; all pixels count the same."""

    def __init__(self, label_count: int, colours: int = 192, hidden: int = 64) -> None:
        super().__init__()
        self.votes = make_votes(label_count)
        self.vote_scale = nn.Parameter(torch.tensor(VOTE_SCALE))
        self.head = make_head(colours, hidden, label_count)
        lab = _lab_of_cells()
        self.register_buffer("cell_lab", lab, persistent=False)  # float32 (CELLS, 3)
        nearest = divide_among(spread_colours(colours), lab)
        self.register_buffer("nearest", nearest, persistent=False)  # float32 (CELLS, colours)

    def forward(self, images: Tensor) -> Tensor:
        """Logits, float32 (B, labels), of uint8 images (B, 3, H, W)."""
        counts = _count_cells(images)  # int64 (B, CELLS)
        used = counts.sum(0).nonzero()[:, 0]  # int64 (n,): the cells that hold pixels of this batch
        shares = counts.index_select(1, used) / (images.shape[2] * images.shape[3])  # float32 (B, n)
        votes = shares @ self.votes(3 * self.cell_lab[used]).softmax(-1)  # float32 (B, labels)
        return self.head(shares @ self.nearest[used]) + self.vote_scale * votes

    def use_head_alone(self) -> None:
        """Leave the votes out: a head that was trained on the histogram's features does not know them."""
        self.vote_scale.zero_()


def _count_cells(images: Tensor) -> Tensor:
    """int64 (B, CELLS): how many pixels of each uint8 image (B, 3, H, W) are in each cell."""
    red, green, blue = (images >> (8 - BITS)).short().flatten(2).unbind(1)  # int16 (B, H·W) each
    cells = (red << 2 * BITS | green << BITS | blue).long()
    cells += torch.arange(len(images), device=images.device)[:, None] * CELLS
    return torch.bincount(cells.flatten(), minlength=len(images) * CELLS).view(-1, CELLS)


def _lab_of_cells() -> Tensor:
    """float32 (CELLS, 3): CIELAB / 100 of the middle of each cell."""
    levels = torch.arange(1 << BITS, device="cpu").mul(256 >> BITS).add(128 >> BITS).to(torch.uint8)
    return srgb_to_lab(torch.cartesian_prod(levels, levels, levels).reshape(-1, 3, 1, 1)).reshape(-1, 3)
