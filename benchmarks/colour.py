#!/usr/bin/env python3
"""How fast colours are found, how stable they are, and how often people would agree with the names.

    FLOWERS_TGZ=photographs.tgz benchmarks/colour.py [ARCHIVE]

- time: `find_palette` and `label_of` for each photograph, on one core, with decoding. The yardstick is
  Pillow, which decodes the same bytes at 1/8 of their size (`draft`).
- stability: the share of photographs that keep their basic term, and their whole label, after they are
  mirrored, encoded again at quality 70, or halved.
- full k-means: scikit-learn clusters all pixels of each SAMPLED-th photograph, and `label_of` labels the
  clusters. One figure is the share of photographs for which this gives the same basic term. The other is the
  share of photographs with the basic term that most of their pixels have.
- names: the share of swatches that get the basic term in their name. matplotlib has both lists of names: CSS,
  which our terms were fitted to, and xkcd, of which we take the half that they were not fitted to.
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

import numpy as np
from common.photographs import build_archive
from common.reporting import Figure, print_table
from PIL import Image, ImageOps

from imagestore.colour.cielab import srgb_to_lab
from imagestore.colour.colour_names import TERMS, basic_term, name_of, votes
from imagestore.colour.label import label_of
from imagestore.colour.palette import CLUSTERS, Palette, find_palette
from imagestore.sources.open_archive import open_archive

PHOTOGRAPHS = 680
ROUNDS = 5  # of timing
SAMPLED = 8  # the full k-means takes about a second for one photograph
BLOCK = 1 << 16  # pixels that are named at once
CHANGES: dict[str, Callable[[Image.Image], tuple[Image.Image, int]]] = {  # each gives (image, JPEG quality)
    "mirrored": lambda image: (ImageOps.mirror(image), 95),
    "quality 70": lambda image: (image, 70),
    "halved": lambda image: (
        image.resize((image.width // 2, image.height // 2), Image.Resampling.LANCZOS),
        90,
    ),
}
SYNONYMS = {  # words in names of colours, and their basic terms
    "gray": "grey", "violet": "purple", "reddish": "red", "orangish": "orange", "orangeish": "orange",
    "orangey": "orange", "yellowish": "yellow", "yellowy": "yellow", "greenish": "green", "greeny": "green",
    "bluish": "blue", "blueish": "blue", "bluey": "blue", "purplish": "purple", "purpleish": "purple",
    "purpley": "purple", "purply": "purple", "pinkish": "pink", "pinky": "pink", "brownish": "brown",
    "browny": "brown", "greyish": "grey", "grayish": "grey", "blackish": "black",
}  # fmt: skip


def main() -> None:
    """Print the table."""
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else build_archive(images=PHOTOGRAPHS)
    with open_archive(path) as archive:
        photographs = [data for _, data in archive.stream()]
    figures = [
        time_figure(photographs),
        *stability_figures(photographs),
        *agreement_figures(photographs[::SAMPLED]),
        *name_figures(),
    ]
    print_table(f"colour, {len(photographs)} photographs, one core", figures)


# ----- time -----


def time_figure(photographs: Sequence[bytes]) -> Figure:
    """The median over ROUNDS of the mean time for one photograph; label and draft take turns."""
    label(photographs[0])
    rounds = []
    for _ in range(ROUNDS):
        spent = [0.0, 0.0]  # seconds: label, draft
        for data in photographs:
            for i, action in enumerate((label, draft)):
                start = time.perf_counter()
                action(data)
                spent[i] += time.perf_counter() - start
        rounds.append([seconds / len(photographs) * 1000 for seconds in spent])
    labelling, decoding = map(statistics.median, zip(*rounds, strict=True))
    return Figure(
        "label an image",
        labelling,
        "ms",
        yardstick="Pillow, decoded at 1/8",
        reference=decoding,
        target="<= 2.2 x (goal 1.6)",
        runs=ROUNDS,
    )


def label(data: bytes) -> str:
    """The label of a photograph, as a labelling worker finds it."""
    return label_of(find_palette(data))


def draft(data: bytes) -> None:
    """Decode a photograph with Pillow at 1/8 of its size."""
    image = Image.open(io.BytesIO(data))
    image.draft("RGB", (image.width // 8, image.height // 8))
    image.load()


# ----- stability -----


def stability_figures(photographs: Sequence[bytes]) -> list[Figure]:
    """The shares of photographs that keep their basic term and their whole label, for each change."""
    before = [label(data) for data in photographs]
    figures = []
    for change, apply in CHANGES.items():
        changed = (encode(*apply(Image.open(io.BytesIO(data)).convert("RGB"))) for data in photographs)
        pairs = list(zip(before, map(label, changed), strict=True))
        term = statistics.mean(basic_term(a) == basic_term(b) for a, b in pairs)
        whole = statistics.mean(a == b for a, b in pairs)
        figures.append(Figure(f"basic term kept, {change}", 100 * term, "%", target=">= 95 %"))
        figures.append(Figure(f"whole label kept, {change}", 100 * whole, "%", target=">= 92 %"))
    return figures


def encode(image: Image.Image, quality: int) -> bytes:
    """The image as JPEG."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


# ----- full k-means -----


def agreement_figures(photographs: Sequence[bytes]) -> list[Figure]:
    """The shares of photographs whose basic term is that of all their pixels, found in two ways."""
    triples = [(basic_term(label(data)), *terms_of_all_pixels(data)) for data in photographs]
    clusters = statistics.mean(term == by_clusters for term, by_clusters, _ in triples)
    counts = statistics.mean(term == by_count for term, _, by_count in triples)
    return [
        Figure("agrees with full k-means", 100 * clusters, "%", target=">= 90 %"),
        Figure("agrees with most pixels", 100 * counts, "%"),
    ]


def terms_of_all_pixels(data: bytes) -> tuple[str, str]:
    """The basic term by k-means over all pixels, and the basic term that most pixels have."""
    from sklearn.cluster import KMeans

    lab = srgb_to_lab(np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).reshape(-1, 3))
    kmeans = KMeans(CLUSTERS, n_init=1, random_state=0).fit(lab)
    share = np.bincount(kmeans.labels_, minlength=CLUSTERS) / len(lab)
    order = np.argsort(-share)
    palette = Palette(share[order], kmeans.cluster_centers_[order], np.zeros((len(order), 3), np.uint8))
    counts = sum(
        np.bincount(votes(lab[i : i + BLOCK]).argmax(0), minlength=len(TERMS))
        for i in range(0, len(lab), BLOCK)
    )
    return basic_term(label_of(palette)), TERMS[int(counts.argmax())]


# ----- names -----


def name_figures() -> list[Figure]:
    """The shares of swatches with the right basic term, for both lists of names."""
    from matplotlib.colors import CSS4_COLORS, XKCD_COLORS

    xkcd = {name.removeprefix("xkcd:"): code for name, code in XKCD_COLORS.items()}
    held_out = {name: code for name, code in xkcd.items() if is_held_out(name)}
    return [
        name_figure("CSS names, fitted to", CSS4_COLORS),
        name_figure("xkcd names, held out", held_out),
    ]


def name_figure(what: str, codes: dict[str, str]) -> Figure:
    """The share of swatches that get the basic term in their name. `codes`: name -> hex code."""
    pairs = swatches(codes)
    rgb = np.array([list(bytes.fromhex(code.lstrip("#"))) for code, _ in pairs], np.uint8)
    found = [basic_term(name_of(lab)) for lab in srgb_to_lab(rgb)]
    right = statistics.mean(term == expected for term, (_, expected) in zip(found, pairs, strict=True))
    return Figure(f"{len(pairs)} {what}", 100 * right, "%", target=">= 88 % (goal 92)")


def swatches(codes: dict[str, str]) -> list[tuple[str, str]]:
    """(hex code, basic term) of the names that end in a basic term and contain no other."""
    pairs = set()
    for name, code in codes.items():
        words = [SYNONYMS.get(word, word) for word in split_words(name)]
        terms = {word for word in words if word in TERMS}
        if len(terms) == 1 and words[-1] in terms:
            pairs.add((code, words[-1]))
    return sorted(pairs)


def split_words(name: str) -> list[str]:
    """The words of a name. CSS writes them without spaces."""
    terms = "|".join([*TERMS, *SYNONYMS])
    return re.findall(rf"{terms}|[a-z]+?(?={terms}|\b)", name.lower())


def is_held_out(name: str) -> bool:
    """Whether the terms were not fitted to this name: they were fitted to half of each list."""
    return bool(hashlib.md5(name.lower().encode(), usedforsecurity=False).digest()[0] % 2)


if __name__ == "__main__":
    main()
