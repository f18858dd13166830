"""memory_bound.py: IMAGESTORE_DECODE_MEMORY decides which pictures are decoded, in every command."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest
from PIL import Image

from imagestore.console import UserError
from imagestore.decode.decode_image import decode_8_bits, decode_rgb
from imagestore.decode.errors import NotAnImage
from imagestore.decode.memory_bound import VARIABLE, memory_bound
from tests.decode.test_decode_image import empty_png, jpeg
from tests.helpers.commands import Run
from tests.helpers.images import encode
from tests.helpers.small_stores import COLOURS, add, make_store, picture

ORANGE = Image.new("RGB", (2000, 1500), "orange")  # takes 12 MB


@pytest.mark.parametrize(
    ("text", "bound"),
    [(None, 512 << 20), ("", 512 << 20), ("3M", 3 << 20), ("2g", 2 << 30), ("2000000", 2_000_000)],
)
def test_the_bound_is_a_size(text: str | None, bound: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    if text is not None:
        monkeypatch.setenv(VARIABLE, text)
    assert memory_bound() == bound


@pytest.mark.parametrize("text", ["much", "-1", "1.5G", "0", "1K"])
def test_other_settings_are_errors(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, text)
    with pytest.raises(UserError, match=VARIABLE):
        memory_bound()
    with pytest.raises(UserError, match=VARIABLE):
        decode_rgb(picture(COLOURS["red"], 1))


@pytest.mark.parametrize(
    ("kind", "size"),
    [
        (lambda: empty_png(8_000, 8_000), "8,000 x 8,000"),
        (lambda: encode(Image.new("1", (9_000, 8_000)), "PNG"), "9,000 x 8,000"),
        (lambda: encode(Image.new("1", (9_000, 8_000)), "TIFF", compression="group4"), "9,000 x 8,000"),
        (lambda: jpeg(7_000, 6_000, progressive=True) + bytes(1 << 20), "7,000 x 6,000"),
    ],
)
def test_the_message_names_the_true_size(kind: object, size: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "64M")
    for decode in (decode_rgb, lambda data: decode_rgb(data, (32, 32))):
        with pytest.raises(
            NotAnImage, match=rf"^{size} pixels would take \d+ MB to decode, more than 64 MB: {VARIABLE}"
        ):
            decode(kind())


def test_a_jpeg_is_decoded_at_the_scale_that_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encode(ORANGE, "JPEG")
    sizes = {}
    for bound in ("20M", "5M", "2M"):
        monkeypatch.setenv(VARIABLE, bound)
        sizes[bound] = decode_rgb(data).size
    assert sizes == {"20M": (2000, 1500), "5M": (1000, 750), "2M": (500, 375)}
    assert decode_8_bits(data, lambda width, height: (width, height)).image.size == (500, 375)


# ----- commands -----


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    (tmp_path / "images").mkdir()
    (tmp_path / "images/small.jpg").write_bytes(picture(COLOURS["red"], 1))
    (tmp_path / "images/large.png").write_bytes(encode(ORANGE, "PNG"))
    (tmp_path / "images/huge.bmp").write_bytes(encode(ORANGE, "BMP"))  # 9 MB
    with tarfile.open(tmp_path / "a.tgz", "w:gz") as tar:
        tar.add(tmp_path / "images", "images")
    return tmp_path / "a.tgz"


def test_partition_obeys_the_bound(run: Run, archive: Path) -> None:
    done = run("colourHeuristic.py", "partition", archive, "a.h5", "b.h5", 1, env={VARIABLE: "8M"})
    assert "a.h5: 1 image" in done.stdout
    assert "passed over: too large (1)" in done.stderr
    assert "images/large.png (2,000 x 1,500 pixels would take 11 MB to decode, more than 8 MB" in done.stderr
    again = run("colourHeuristic.py", "partition", archive, "a.h5", "b.h5", 1)
    assert "a.h5: 3 images" in again.stdout and "(2 new)" in again.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ["colourHeuristic.py", "partition", "a.tgz", "a.h5", "b.h5", "1"],
        ["colourHeuristic.py", "sort", "a.tgz", "a.h5", "1", "1"],
        ["colourHeuristic.py", "identify", "a.tgz", "images/small.jpg"],
        ["colourHeuristic.py", "identify", "images/small.jpg"],
        ["colourHeuristic.py", "show", "images/small.jpg", "-o", "a.png"],
        ["train_model.py", "store.h5", "-o", "results", "--cache", "0"],
    ],
)
def test_a_wrong_bound_is_one_line(run: Run, archive: Path, arguments: list[str]) -> None:
    make_store(archive.with_name("store.h5"), 3)
    done = run(*arguments, env={VARIABLE: "lots"}, check=False)
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert f"{VARIABLE}: 'lots' is no size; examples: 500M, 2G" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("cache", ["1G", "0"], ids=["cached", "streamed"])
def test_a_training_names_what_it_leaves_out(run: Run, tmp_path: Path, cache: str) -> None:
    add(make_store(tmp_path / "a.h5", 3), "red/large.png", encode(ORANGE, "PNG"))
    done = run(
        "train_model.py", "a.h5", "--epochs", 1, "--size", 32, "--cache", cache, "--val-fraction", 0,
        env={VARIABLE: "8M"},
    )  # fmt: skip
    reason = "2,000 x 1,500 pixels would take 11 MB to decode, more than 8 MB"
    assert done.stderr.count(f"train_model: skipped red/large.png: {reason}") == 1
