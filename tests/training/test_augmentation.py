"""Changes to batches of pictures."""

from __future__ import annotations

import torch

from imagestore.training.augmentation import NUMBERS, change_strongly

MIDDLE = torch.full((1, NUMBERS), 0.5)  # changes no colour


def picture(seed: int = 1) -> torch.Tensor:
    """uint8 (1, 3, 20, 30)."""
    return torch.randint(
        0, 256, (1, 3, 20, 30), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed)
    )


def test_a_hole_has_its_size_and_place() -> None:
    """Middle numbers leave the colours; the hole is 0.2 of each side, and stands in the middle."""
    images = picture()
    changed = change_strongly(images, MIDDLE)
    is_hole = (changed != images).any(1)[0]
    rows, columns = is_hole.any(1).nonzero().flatten().tolist(), is_hole.any(0).nonzero().flatten().tolist()
    assert (rows, columns) == ([8, 9, 10, 11], [12, 13, 14, 15, 16, 17])
    assert (changed[:, :, 8:12, 12:18] == 127).all()


def test_numbers_change_colours_as_they_say() -> None:
    images = torch.full((3, 3, 4, 4), 100, dtype=torch.uint8)
    images[:, 0] = 200
    drawn = MIDDLE.repeat(3, 1)
    drawn[:, 3] = 0.0  # no hole
    drawn[0, 0], drawn[1, 1], drawn[2, 2] = 0.0, 0.0, 0.0
    darker, flatter, greyer = change_strongly(images, drawn)
    assert (darker[0] == 120).all()  # 0.6 of it
    assert (darker[1] == 60).all()
    assert torch.equal(flatter, images[1]) is False
    grey = 0.299 * 200 + 0.701 * 100
    assert abs(int(greyer[0, 0, 0]) - (0.6 * 200 + 0.4 * grey)) <= 1
    assert abs(int(greyer[1, 0, 0]) - (0.6 * 100 + 0.4 * grey)) <= 1


def test_each_image_has_its_own_changes() -> None:
    images = picture().repeat(4, 1, 1, 1)
    drawn = torch.rand(4, NUMBERS, generator=torch.Generator().manual_seed(3))
    together = change_strongly(images, drawn)
    for i in range(4):
        assert torch.equal(change_strongly(images[i : i + 1], drawn[i : i + 1])[0], together[i])
