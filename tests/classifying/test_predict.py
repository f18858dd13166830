"""From pictures to answers, in batches."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from imagestore.classifying import predict as predict_module
from imagestore.classifying.answer import Picture
from imagestore.classifying.predict import BATCHES_AHEAD, decode_pictures, predict_labels
from imagestore.console import UserError
from imagestore.loading import pixel_processes
from imagestore.loading.ahead import AHEAD
from imagestore.loading.views import View, as_tensor, decode_view
from imagestore.networks.colour_network import ColourNet
from imagestore.networks.description import NetworkDescription
from imagestore.networks.first_colour_network import FirstColourNet
from imagestore.networks.image_network import ImageNetwork
from imagestore.networks.make_network import make_network
from imagestore.networks.weights_file import save_network
from tests.helpers.small_stores import COLOURS, picture

LABELS = list(COLOURS)
SIDE = 16


@pytest.fixture
def network() -> ImageNetwork:
    torch.manual_seed(1)
    return make_network(NetworkDescription(model="colour", labels=tuple(LABELS), size=SIDE)).eval()


@pytest.fixture
def weights(network: ImageNetwork, tmp_path: Path) -> Path:
    save_network(network, tmp_path / "weights.pth")
    return tmp_path / "weights.pth"


@pytest.fixture
def pictures() -> list[Picture]:
    colours = list(COLOURS.values())
    return [Picture(f"{i}.jpg", picture(colours[i % 3], i), None) for i in range(10)]


def pixels_of(image: Picture, side: int = SIDE) -> torch.Tensor:
    """uint8 (3, side, side)."""
    return as_tensor(decode_view(image.data, View(side)))


def test_answers_are_those_of_the_network(
    network: ImageNetwork, weights: Path, pictures: list[Picture], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the order of the pictures, and with the side that the network was trained with."""
    monkeypatch.setattr(predict_module, "LARGE_BATCH_SIZE", 4)
    answers = list(predict_labels(pictures, LABELS, weights=weights, device="cpu", workers=3))
    assert [answer.picture for answer in answers] == pictures
    for answer in answers:
        with torch.no_grad():
            probabilities = network(pixels_of(answer.picture)[None]).softmax(1)[0]
        assert answer.label == LABELS[int(probabilities.argmax())]
        assert answer.confidence == pytest.approx(float(probabilities.max()), abs=1e-5)


@pytest.mark.parametrize("workers", [2, 3])
def test_pictures_that_cannot_be_decoded_are_left_out(
    weights: Path,
    pictures: list[Picture],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
    workers: int,
) -> None:
    """Also if a whole batch is left out."""
    monkeypatch.setattr(predict_module, "LARGE_BATCH_SIZE", 4)
    monkeypatch.setattr(pixel_processes, "FEWEST_IMAGES", 1)
    broken = [Picture(f"broken-{i}.jpg", b"not an image at all", "red") for i in range(12)]
    mixed = [*pictures[:2], *broken, *pictures[2:]]
    answers = predict_labels(mixed, LABELS, weights=weights, device="cpu", workers=workers)
    assert [answer.picture for answer in answers] == pictures
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(":")[1] for line in lines[:-1]] == [f" skipped broken-{i}.jpg" for i in range(10)]
    assert lines[-1] == "classify: skipped 12 images in all, because they cannot be decoded"


@pytest.mark.parametrize(("workers", "batches"), [(0, 1), (1, 1 + BATCHES_AHEAD), (3, 1 + AHEAD)])
def test_pictures_are_taken_some_batches_ahead(
    weights: Path, pictures: list[Picture], monkeypatch: pytest.MonkeyPatch, workers: int, batches: int
) -> None:
    """So a million pictures need no more memory than a few batches. Without workers there is one batch."""
    monkeypatch.setattr(predict_module, "LARGE_BATCH_SIZE", 2)
    remaining = iter(pictures)
    next(predict_labels(remaining, LABELS, weights=weights, device="cpu", workers=workers))
    assert [image.name for image in remaining] == [f"{i}.jpg" for i in range(2 * batches, 10)]


def test_each_process_gets_some_of_a_few_large_pictures(
    weights: Path, pictures: list[Picture], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch is full when it has many bytes. Then there may be many more pictures, so processes decode."""

    def decode(images: list[bytes], view: View) -> list[np.ndarray]:
        return [np.full((SIDE, SIDE, 3), os.getpid() % 256, np.uint8) for _ in images]

    monkeypatch.setattr(predict_module, "_decode", decode)
    monkeypatch.setattr(predict_module, "BATCH_BYTES", sum(len(image.data) for image in pictures[:7]))
    batches = list(decode_pictures(pictures, View(SIDE), workers=3))
    assert [len(batch) for batch in batches] == [7, 3]
    for batch in batches:
        assert len({int(pixels[0, 0, 0]) for _, pixels in batch} - {os.getpid() % 256}) == 3


@pytest.mark.parametrize("workers", [0, 1, 4])
def test_workers_change_no_answer(
    weights: Path, pictures: list[Picture], monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    monkeypatch.setattr(predict_module, "IMAGES_OF_A_TASK", 3)
    monkeypatch.setattr(predict_module, "LARGE_BATCH_SIZE", 4)
    monkeypatch.setattr(pixel_processes, "FEWEST_IMAGES", 1)
    options = {"weights": weights, "device": "cpu"}
    expected = list(predict_labels(pictures, LABELS, workers=2, **options))
    assert list(predict_labels(pictures, LABELS, workers=workers, **options)) == expected


@pytest.mark.parametrize("top", [1, 2, 3, 9])
def test_the_likeliest_labels_come_first(
    network: ImageNetwork, weights: Path, pictures: list[Picture], top: int
) -> None:
    """No more than there are labels."""
    found = list(predict_labels(pictures, LABELS, weights=weights, device="cpu", workers=1, top=top))
    for answer in found:
        with torch.no_grad():
            probabilities = network(pixels_of(answer.picture)[None]).softmax(1)[0].tolist()
        expected = sorted(zip(probabilities, LABELS, strict=True), reverse=True)[:top]
        assert [guess.label for guess in answer.guesses] == [label for _, label in expected]
        assert [guess.confidence for guess in answer.guesses] == pytest.approx(
            [p for p, _ in expected], abs=1e-5
        )


@pytest.mark.parametrize("model", ["colour", "mlp", "small"])
def test_features_are_what_the_last_layer_gets(
    model: str, pictures: list[Picture], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the order of the answers, without the pictures that cannot be decoded."""
    monkeypatch.setattr(predict_module, "LARGE_BATCH_SIZE", 4)
    torch.manual_seed(2)
    network = make_network(NetworkDescription(model=model, labels=tuple(LABELS), size=32)).eval()
    save_network(network, tmp_path / "other.pth")
    mixed = [*pictures[:3], Picture("broken.jpg", b"not an image at all", None), *pictures[3:]]
    taken: list[np.ndarray] = []
    options = {"weights": tmp_path / "other.pth", "device": "cpu", "workers": 2}
    answers = list(predict_labels(mixed, LABELS, take_features=taken.append, **options))
    assert [answer.picture for answer in answers] == pictures
    without_features = list(predict_labels(pictures, LABELS, **options))
    assert [answer.label for answer in answers] == [answer.label for answer in without_features]
    features = np.concatenate(taken)
    assert features.dtype == np.float32
    with torch.no_grad():
        images = torch.stack([pixels_of(image, 32) for image in pictures])
        assert torch.allclose(torch.from_numpy(features), network.features(images), atol=1e-5)
        if model == "colour":
            network.model.use_head_alone()  # its logits have a second part, the votes of the pixels
        assert torch.allclose(network.head(torch.from_numpy(features)), network(images), atol=1e-4)


@pytest.mark.parametrize(("model", "most"), [(FirstColourNet(3), 16), (ColourNet(3), 40)])
def test_a_network_is_asked_about_few_images_at_a_time(model: torch.nn.Module, most: int) -> None:
    """So that its memory does not grow with a batch. The colour network sees to that by itself."""
    seen: list[int] = []
    model.register_forward_hook(lambda _, inputs, logits: seen.append(len(logits)))
    network = ImageNetwork(NetworkDescription(model="colour", labels=tuple(LABELS), size=224), model).eval()
    logits = predict_module._logits(network, torch.zeros((40, 3, 2, 2), dtype=torch.uint8), None)
    assert (len(logits), sum(seen), max(seen)) == (40, 40, most)


def test_a_picture_of_any_format_is_classified(weights: Path) -> None:
    """With an alpha channel, and smaller than the side of the network."""
    file = io.BytesIO()
    Image.new("RGBA", (3, 5), (200, 40, 50, 255)).save(file, "PNG")
    (answer,) = predict_labels(
        [Picture("a.png", file.getvalue(), None)], LABELS, weights=weights, device="cpu", workers=1
    )
    assert answer.label in LABELS


def test_weights_for_other_labels_are_an_error(weights: Path, pictures: list[Picture]) -> None:
    with pytest.raises(UserError, match="the weights are for 3 labels"):
        next(predict_labels(pictures, ["red"], weights=weights, device="cpu", workers=1))
