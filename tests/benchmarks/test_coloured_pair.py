"""The pair of stores with coloured labels that the benchmark of training uses."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from common.coloured_pair import LABELS, WRONG, build_pair, commonest, fine_name, split, with_wrong_labels
from common.photographs import build_archive

from demo.draw_flowers import draw
from imagestore.colour.cielab import srgb_to_lab
from imagestore.store.open_stores import open_stores


def stored_images(path: Path) -> dict[str, str]:
    """The label of each image of a store by the image's name."""
    (store,) = open_stores([path])
    paths = [store.path_of(i) for i in range(len(store))]
    return {path.rpartition("/")[2]: path.partition("/")[0] for path in paths}


def palette(*colours: tuple[float, tuple[int, int, int]]) -> np.ndarray:
    """The table of a palette, float32 (k, 7), of shares and sRGB colours."""
    rgb = np.array([colour for _, colour in colours], np.uint8)
    shares = [share for share, _ in colours]
    return np.column_stack([shares, srgb_to_lab(rgb), rgb]).astype(np.float32)


def test_no_photograph_is_in_both_stores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FLOWERS_TGZ", str(draw(tmp_path / "flowers.tgz", count=5, size=64)))
    archive = build_archive(tmp_path / "photographs.tgz", images=20)
    train, test = build_pair(archive)
    numbers = {path: {int(name[6:11]) - 1 for name in stored_images(path)} for path in (train, test)}
    assert numbers[train] | numbers[test] == set(range(20))
    assert {i % 5 for i in numbers[train]}.isdisjoint({i % 5 for i in numbers[test]})
    assert len(numbers[test]) == 4  # one photograph of five, and its variants
    assert build_pair(archive) == (train, test)


def test_a_name_is_that_of_most_of_a_palette():
    green, blue = (0, 160, 0), (0, 0, 255)
    assert fine_name(palette((0.4, blue), (0.3, green), (0.3, green))) == "green"
    assert fine_name(palette((0.7, blue), (0.3, green))) == "blue"


def test_a_colour_between_two_terms_has_both_in_its_name():
    name = fine_name(palette((1.0, (0, 150, 160))))
    assert name in ("blueish-green", "greenish-blue")


def test_rare_names_become_plainer_until_few_are_left():
    names = ["blue"] * 5 + ["dark-blue"] * 3 + ["greenish-dark-blue"] * 2 + ["red"]
    assert Counter(commonest(names, most=3)) == {"blue": 6, "dark-blue": 3, "greenish-dark-blue": 2}
    assert Counter(commonest(names, most=2)) == {"blue": 6, "dark-blue": 5}
    assert commonest(names, most=4) == names


def test_one_label_in_twelve_is_another_one():
    labels = [f"label-{i % LABELS}" for i in range(24_000)]
    noisy = with_wrong_labels(labels, random.Random(1))
    wrong = sum(label != given for label, given in zip(labels, noisy, strict=True))
    assert abs(wrong / len(labels) - WRONG) < 0.01
    assert set(noisy) == set(labels)


def test_a_fifth_of_the_photographs_is_for_testing():
    parts = split(100, 10, random.Random(1))
    assert Counter(parts) == {"train": 80, "test": 20}
    assert all(parts[i] == parts[i % 10] for i in range(100))
