"""From pictures to answers, in batches."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
import torch
from PIL import Image

from imagestore.classifying import predict as predict_module
from imagestore.classifying.answer import Picture
from imagestore.classifying.predict import predict_labels
from imagestore.console import UserError
from imagestore.loading.views import View, as_tensor, decode_view
from imagestore.networks.description import NetworkDescription
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


def test_answers_are_those_of_the_network(
    network: ImageNetwork, weights: Path, pictures: list[Picture], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the order of the pictures, and with the side that the network was trained with."""
    monkeypatch.setattr(predict_module, "BATCH_SIZE", 4)
    answers = list(predict_labels(pictures, LABELS, weights=weights, device="cpu", workers=3))
    assert [answer.picture for answer in answers] == pictures
    for answer in answers:
        pixels = as_tensor(decode_view(answer.picture.data, View(SIDE)))
        with torch.no_grad():
            probabilities = network(pixels[None]).softmax(1)[0]
        assert answer.label == LABELS[int(probabilities.argmax())]
        assert answer.confidence == pytest.approx(float(probabilities.max()), abs=1e-5)


def test_pictures_that_cannot_be_decoded_are_left_out(
    weights: Path, pictures: list[Picture], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """Also if a whole batch is left out."""
    monkeypatch.setattr(predict_module, "BATCH_SIZE", 4)
    broken = [Picture(f"broken-{i}.jpg", b"not an image at all", "red") for i in range(12)]
    mixed = [*pictures[:2], *broken, *pictures[2:]]
    answers = predict_labels(mixed, LABELS, weights=weights, device="cpu", workers=2)
    assert [answer.picture for answer in answers] == pictures
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(":")[1] for line in lines[:-1]] == [f" skipped broken-{i}.jpg" for i in range(10)]
    assert lines[-1] == "classify: skipped 12 images in all, because they cannot be decoded"


def test_pictures_are_taken_a_batch_at_a_time(
    weights: Path, pictures: list[Picture], monkeypatch: pytest.MonkeyPatch
) -> None:
    """So a million pictures need no more memory than a batch."""
    monkeypatch.setattr(predict_module, "BATCH_SIZE", 4)
    remaining = iter(pictures)
    next(predict_labels(remaining, LABELS, weights=weights, device="cpu", workers=1))
    assert [image.name for image in remaining] == [f"{i}.jpg" for i in range(4, 10)]


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
