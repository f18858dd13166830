"""colour/label.py: the label is the name that covers most of the image."""

from __future__ import annotations

import io
import random
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import XKCD_COLORS
from PIL import Image, ImageOps

from imagestore.colour.cielab import srgb_to_lab
from imagestore.colour.colour_names import TERMS, basic_term, name_of
from imagestore.colour.label import label_of, share_covered
from imagestore.colour.palette import Palette, find_palette
from tests.helpers.commands import ROOT
from tests.helpers.images import blobs, encode, stripes


def test_a_flat_image_has_the_name_of_its_colour() -> None:
    for code in XKCD_COLORS.values():
        lab = srgb_to_lab(np.array([list(bytes.fromhex(code[1:]))], np.uint8))[0]
        assert label_of(find_palette(Image.new("RGB", (4, 4), code))) == name_of(lab)


def test_the_label_covers_most_but_may_not_be_the_largest() -> None:
    share = np.array([0.4, 0.3, 0.3], np.float32)
    rgb = np.array([(0, 0, 0), (0x1F, 0x7A, 0x1F), (0x3C, 0x9A, 0x3C)], np.uint8)  # black and two greens
    assert label_of(Palette(share, srgb_to_lab(rgb), rgb)) == "green"


def test_the_shares_of_all_terms_sum_to_1() -> None:
    computed = find_palette(blobs())
    for palette in (computed, Palette.from_table(computed.table())):
        shares = [share_covered(palette, term) for term in TERMS]
        assert sum(shares) == pytest.approx(1)
        assert share_covered(palette, basic_term(label_of(palette))) == max(shares)


def test_a_stored_palette_covers_what_its_clusters_do() -> None:
    palette = Palette.from_table(find_palette(stripes()).table())
    assert share_covered(palette, "blue") == pytest.approx(0.6, abs=0.01)
    assert label_of(palette) == "blue"


CHANGES: dict[str, Callable[[Image.Image], bytes]] = {
    "mirrored": lambda image: encode(ImageOps.mirror(image), "JPEG", quality=95),
    "quality 70": lambda image: encode(image, "JPEG", quality=70),
    "halved": lambda image: encode(image.resize((image.width // 2, image.height // 2)), "JPEG", quality=90),
}


@pytest.fixture(scope="module")
def labelled(flowers: Path) -> list[tuple[bytes, str]]:
    """60 photographs, and the label of each."""
    with tarfile.open(flowers) as archive:
        images = [member for member in archive.getmembers() if member.name.endswith(".jpg")]
        chosen = random.Random(5).sample(images, min(60, len(images)))
        photographs = [archive.extractfile(member).read() for member in chosen]
    return [(data, label_of(find_palette(data))) for data in photographs]


@pytest.mark.parametrize("change", CHANGES)
def test_changed_photographs_keep_their_label(labelled: list[tuple[bytes, str]], change: str) -> None:
    keeps = []
    for data, before in labelled:
        after = label_of(find_palette(CHANGES[change](Image.open(io.BytesIO(data)).convert("RGB"))))
        keeps.append((basic_term(before) == basic_term(after), before == after))
    basic, whole = np.mean(keeps, axis=0)
    assert basic >= 0.95
    assert whole >= 0.92


def test_colour_needs_no_heavy_package() -> None:
    heavy = ("torch", "scipy", "sklearn", "matplotlib", "h5py")
    code = f"import sys, imagestore.colour.label; print(*set({heavy}) & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout.strip()) == (0, "")
