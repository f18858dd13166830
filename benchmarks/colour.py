#!/usr/bin/env python3
"""How fast colours are found, how often people would agree with the names, and how stable they are.

    FLOWERS_TGZ=photographs.tgz benchmarks/colour.py [ARCHIVE]

- time: `palette` and `label` of each photograph, on one core, decoding included, beside Pillow's decoding
  of the same bytes at 1/8 (`draft`);
- stability: the share of photographs that keep their basic term, and their whole label, when they are
  mirrored, encoded again at quality 70, or halved;
- full k-means: the share whose basic term is the one that `label` gives the clusters scikit-learn finds
  in all pixels of every SAMPLED-th photograph; and, to compare, the one that most of those pixels have;
- names: the share of swatches with one basic term in their name that get this term, among the half
  of the xkcd names which colour_names was not fitted to, and among those of CSS, which it was fitted to
  among others (both lists come with matplotlib).
"""

from __future__ import annotations

import hashlib
import io
import re
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import common
import numpy as np
from PIL import Image, ImageOps

sys.path.insert(0, str(common.ROOT))

from imagestore.archive.open import open_archive
from imagestore.colour.cielab import srgb_to_lab
from imagestore.colour.label import basic_term, label_of, name_of
from imagestore.colour.palette import CLUSTERS, Palette, find_palette
from imagestore.colour.terms import TERMS, votes

ROUNDS = 5  # of timing
SAMPLED = 8  # every so many photographs go through the full k-means, at about a second each
BLOCK = 1 << 16  # pixels named at once
CHANGES: dict[str, Callable[[Image.Image], tuple[Image.Image, int]]] = {
    "mirrored": lambda image: (ImageOps.mirror(image), 95),
    "quality 70": lambda image: (image, 70),
    "halved": lambda image: (
        image.resize((image.width // 2, image.height // 2), Image.Resampling.LANCZOS),
        90,
    ),
}
OTHER_WORDS = {  # words that make a basic term of another one
    "gray": "grey", "violet": "purple", "reddish": "red", "orangish": "orange", "orangeish": "orange",
    "orangey": "orange", "yellowish": "yellow", "yellowy": "yellow", "greenish": "green", "greeny": "green",
    "bluish": "blue", "blueish": "blue", "bluey": "blue", "purplish": "purple", "purpleish": "purple",
    "purpley": "purple", "purply": "purple", "pinkish": "pink", "pinky": "pink", "brownish": "brown",
    "browny": "brown", "greyish": "grey", "grayish": "grey", "blackish": "black",
}  # fmt: skip


def draft(data: bytes) -> None:
    """What Pillow needs to decode the same bytes at 1/8."""
    image = Image.open(io.BytesIO(data))
    image.draft("RGB", (image.width // 8, image.height // 8))
    image.load()


def label(data: bytes) -> str:
    """What a worker does with an image."""
    return label_of(find_palette(data))


def milliseconds(photographs: Sequence[bytes]) -> tuple[float, float]:
    """Median over ROUNDS of the mean time for an image: (label, draft), the two taking turns."""
    label(photographs[0])
    rounds = []
    for _ in range(ROUNDS):
        spent = [0.0, 0.0]
        for data in photographs:
            for i, action in enumerate((label, draft)):
                start = time.perf_counter()
                action(data)
                spent[i] += time.perf_counter() - start
        rounds.append([seconds / len(photographs) * 1000 for seconds in spent])
    mine, theirs = zip(*rounds, strict=True)
    return statistics.median(mine), statistics.median(theirs)


def stability(photographs: Sequence[bytes]) -> dict[str, tuple[float, float]]:
    """For each change, the shares that keep (basic term, whole label)."""
    before = [label(data) for data in photographs]
    kept = {}
    for change, apply in CHANGES.items():
        after = [label(encoded(*apply(Image.open(io.BytesIO(data)).convert("RGB")))) for data in photographs]
        pairs = list(zip(before, after, strict=True))
        whole = statistics.mean(a == b for a, b in pairs)
        kept[change] = (statistics.mean(basic_term(a) == basic_term(b) for a, b in pairs), whole)
    return kept


def encoded(image: Image.Image, quality: int) -> bytes:
    """The image as JPEG."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def agreement(photographs: Sequence[bytes]) -> tuple[float, float]:
    """The shares whose basic term is that of scikit-learn's clusters, and that of most pixels."""
    pairs = [(basic_term(label(data)), *from_all_pixels(data)) for data in photographs]
    clusters = statistics.mean(mine == other for mine, other, _ in pairs)
    return clusters, statistics.mean(mine == other for mine, _, other in pairs)


def from_all_pixels(data: bytes) -> tuple[str, str]:
    """The basic terms by k-means over all pixels, and by counting the names of all pixels."""
    from sklearn.cluster import KMeans

    lab = srgb_to_lab(np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).reshape(-1, 3))
    found = KMeans(CLUSTERS, n_init=1, random_state=0).fit(lab)
    share = np.bincount(found.labels_, minlength=CLUSTERS) / len(lab)
    order = np.argsort(-share)
    clusters = Palette(share[order], found.cluster_centers_[order], np.zeros((len(order), 3), np.uint8))
    counts = sum(
        np.bincount(votes(lab[i : i + BLOCK]).argmax(0), minlength=len(TERMS))
        for i in range(0, len(lab), BLOCK)
    )
    return basic_term(label_of(clusters)), TERMS[int(counts.argmax())]


def swatches(names: dict[str, str]) -> list[tuple[str, str]]:
    """(hex code, term) of the names that end in one basic term and hold no other."""
    kept = []
    for written, code in names.items():
        words = [OTHER_WORDS.get(word, word) for word in split(written)]
        terms = {word for word in words if word in TERMS}
        if len(terms) == 1 and words[-1] in terms:
            kept.append((code, words[-1]))
    return sorted(set(kept))


def held_out(written: str) -> bool:
    """Whether colour_names was not fitted to a name of the lists that it took half of."""
    return bool(hashlib.md5(written.lower().encode(), usedforsecurity=False).digest()[0] % 2)


def split(written: str) -> list[str]:
    """The words of a name; CSS writes them together."""
    terms = "|".join([*TERMS, *OTHER_WORDS])
    return re.findall(rf"{terms}|[a-z]+?(?={terms}|\b)", written.lower())


def right(names: dict[str, str]) -> tuple[float, int]:
    """The share of the swatches that get the term of their name, and how many there are."""
    pairs = swatches(names)
    rgb = np.array([list(bytes.fromhex(code.lstrip("#"))) for code, _ in pairs], np.uint8)
    given = [basic_term(name_of(lab)) for lab in srgb_to_lab(rgb)]
    return statistics.mean(g == term for g, (_, term) in zip(given, pairs, strict=True)), len(pairs)


def main() -> None:
    """Measure, and print the table."""
    from matplotlib.colors import CSS4_COLORS, XKCD_COLORS

    path = Path(sys.argv[1]) if len(sys.argv) > 1 else common.build_archive(images=680)
    with open_archive(path) as archive:
        photographs = [data for _, data in archive.stream()]
    mine, theirs = milliseconds(photographs)
    figures = [
        common.Figure(
            "label an image", mine, "ms", "Pillow, decoded at 1/8", theirs, "<= 2.2 x (goal 1.6)", ROUNDS
        )
    ]
    for change, (term, whole) in stability(photographs).items():
        figures.append(common.Figure(f"basic term kept, {change}", 100 * term, "%", wanted=">= 95 %"))
        figures.append(common.Figure(f"whole label kept, {change}", 100 * whole, "%", wanted=">= 92 %"))
    clusters, counted = agreement(photographs[::SAMPLED])
    figures.append(common.Figure("agrees with full k-means", 100 * clusters, "%", wanted=">= 90 %"))
    figures.append(common.Figure("agrees with most pixels", 100 * counted, "%"))
    xkcd = {written.removeprefix("xkcd:"): code for written, code in XKCD_COLORS.items()}
    unseen = {written: code for written, code in xkcd.items() if held_out(written)}
    for kind, names in (("CSS names, fitted to", CSS4_COLORS), ("xkcd names, held out", unseen)):
        share, count = right(names)
        figures.append(common.Figure(f"{count} {kind}", 100 * share, "%", wanted=">= 88 % (goal 92)"))
    common.print_table(f"colour, {len(photographs)} photographs, one core", figures)


if __name__ == "__main__":
    main()
