"""The network that learns colour labels, the device it runs on, and the files it is kept in.

Used by train_model.py and classify.py. A weights file is a plain state dict; everything needed to build
the network again (how many labels, colours and hidden units, the side of its pictures, a checksum of
the labels' names) is read from it. Loading never unpickles code (`weights_only=True`).
"""

from __future__ import annotations

import io
import math
import operator
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from imagestore import publish
from imagestore.arguments import LARGEST_SIDE, SMALLEST_SIDE
from imagestore.console import UserError
from imagestore.labels import labels_crc32

PERCEPTRON = ("head.2", "head.5")  # the names of its two layers in the state dict
SIDES = range(SMALLEST_SIDE, LARGEST_SIDE + 1)  # pixels: what --size of train_model.py takes
SHARPNESS = 20.0  # of the assignment of a pixel to colours, per squared unit of Lab / 100
XYZ_FROM_RGB = (  # linear sRGB -> XYZ relative to the white point D65 (IEC 61966-2-1)
    (0.4124564 / 0.95047, 0.3575761 / 0.95047, 0.1804375 / 0.95047),
    (0.2126729, 0.7151522, 0.0721750),
    (0.0193339 / 1.08883, 0.1191920 / 1.08883, 0.9503041 / 1.08883),
)


def srgb_to_lab(images: Tensor) -> Tensor:
    """CIELAB (CIE 15, white D65) divided by 100, float32 (B, 3, H, W), of uint8 sRGB (B, 3, H, W)."""
    v = images.float() / 255
    linear = torch.where(v > 0.04045, ((v + 0.055) / 1.055) ** 2.4, v / 12.92)
    matrix = torch.tensor(XYZ_FROM_RGB, device=images.device)
    xyz = torch.einsum("ij,bjhw->bihw", matrix, linear)
    f = torch.where(xyz > (6 / 29) ** 3, xyz.clamp(min=1e-6) ** (1 / 3), xyz * (29 / 6) ** 2 / 3 + 4 / 29)
    x, y, z = f.unbind(1)
    return torch.stack([1.16 * y - 0.16, 5 * (x - y), 2 * (y - z)], 1)


class ColourNet(nn.Module):
    """A histogram over learned colours, and a small perceptron that reads a label from it.

    Each pixel is shared out among `colours` places in Lab, by nearness: softmax over
    -SHARPNESS * |pixel - place|², whose |pixel|² cancels, so that one linear layer computes it. The mean
    over the pixels is the histogram. Places, sharpness and perceptron are all learned.
    """

    def __init__(self, labels: Sequence[str], side: int, colours: int = 64, hidden: int = 128) -> None:
        """`side` is that of the square pictures the network is trained on, in pixels."""
        super().__init__()
        self.nearness = nn.Linear(3, colours)
        self.head = nn.Sequential(
            nn.LayerNorm(colours),
            nn.Dropout(0.2),
            nn.Linear(colours, hidden),
            nn.GELU(),
            nn.Dropout(0.2),
            nn.Linear(hidden, len(labels)),
        )
        # Kept in the state dict, so that a weights file says what pictures and labels it is for.
        self.register_buffer("side", torch.tensor(side))
        self.register_buffer("labels_crc32", torch.tensor(labels_crc32(labels)))
        with torch.no_grad():
            places = spread_colours(colours)
            self.nearness.weight.copy_(2 * SHARPNESS * places)
            self.nearness.bias.copy_(-SHARPNESS * (places**2).sum(1))

    def forward(self, images: Tensor) -> Tensor:
        """Logits, float32 (B, labels), of uint8 images (B, 3, H, W)."""
        pixels = srgb_to_lab(images).flatten(2).transpose(1, 2)  # (B, H·W, 3)
        histogram = self.nearness(pixels).softmax(-1).mean(1)  # (B, colours)
        return self.head(histogram)


def spread_colours(count: int) -> Tensor:
    """`count` sRGB colours far from each other, as Lab / 100, float32 (count, 3); always the same ones."""
    level = torch.linspace(0, 255, 12).to(torch.uint8)
    grid = torch.cartesian_prod(level, level, level).reshape(-1, 3, 1, 1)
    candidates = srgb_to_lab(grid).reshape(-1, 3)
    chosen = [candidates[0]]
    distance = ((candidates - chosen[0]) ** 2).sum(1)
    while len(chosen) < count:
        chosen.append(candidates[distance.argmax()])
        distance = torch.minimum(distance, ((candidates - chosen[-1]) ** 2).sum(1))
    return torch.stack(chosen)


def thin_out(images: Tensor) -> Tensor:
    """Every second row and column of a batch, from a random corner: other pixels of the same picture.

    The one augmentation that says something new to a histogram (mirroring does not change it, other
    colours would be another label); it also takes a quarter of the time. Uses torch's global generator.
    """
    top, left = torch.randint(2, (2,)).tolist()
    return images[:, :, top::2, left::2]


def choose_device(wanted: str | None) -> torch.device:
    """The device asked for, else CUDA, else Apple's MPS, else the CPU. Raises UserError."""
    there = [kind for kind, found in _devices().items() if found]
    if wanted is None:
        return torch.device(there[0])
    try:
        device = torch.device(wanted)
    except RuntimeError:
        raise UserError(f"--device {wanted}: not a device; use one of {', '.join(there)}") from None
    beyond = device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count()
    if device.type not in there or beyond:
        raise UserError(f"--device {wanted}: not on this machine; use one of {', '.join(there)}")
    return device


def _devices() -> dict[str, bool]:
    return {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}


@dataclass
class Score:
    """Loss (cross-entropy) and accuracy over the images counted so far."""

    loss: float = 0.0  # the sum over images
    right: int = 0
    seen: int = 0

    def add(self, logits: Tensor, labels: Tensor) -> None:
        """Count one batch: logits (B, labels), true labels int64 (B,)."""
        self.loss += functional.cross_entropy(logits, labels, reduction="sum").item()
        self.right += int((logits.argmax(1) == labels).sum())
        self.seen += len(labels)

    @property
    def mean_loss(self) -> float:
        """The mean loss of an image; NaN where none was seen."""
        return self.loss / self.seen if self.seen else math.nan

    @property
    def accuracy(self) -> float:
        """The share that was right, 0 to 1; NaN where none was seen."""
        return self.right / self.seen if self.seen else math.nan


@torch.inference_mode()
def evaluate(model: nn.Module, batches: Iterable[tuple[Tensor, Tensor]], device: torch.device) -> Score:
    """Score a model on batches of uint8 (B, 3, H, W) and int64 (B,)."""
    model.eval()
    score = Score()
    for images, labels in batches:
        score.add(model(images.to(device)), labels.to(device))
    return score


@torch.inference_mode()
def predict(model: nn.Module, images: Tensor, device: torch.device) -> tuple[Tensor, Tensor]:
    """The likeliest label, int64 (B,), and its probability, float32 (B,), of uint8 (B, 3, H, W)."""
    model.eval()
    confidence, label = model(images.to(device)).softmax(1).max(1)
    return label.cpu(), confidence.cpu()


# Files.

NO_CHECKPOINT = "no checkpoint; train_model.py writes one as checkpoint.pth"
NOT_WHAT_WAS_SAVED = (LookupError, TypeError, AttributeError, ValueError, RuntimeError, OverflowError)


def save(thing: dict[str, Any], path: Path) -> None:
    """`torch.save`, whole or not at all. Raises UserError, OSError."""
    saved = io.BytesIO()  # to a file, torch hides why it could not write, such as a full disk
    torch.save(thing, saved)
    with publish.whole(path) as part:
        part.write_bytes(saved.getbuffer())


def load(path: Path, device: torch.device) -> dict[str, Any]:
    """What `save` wrote: tensors and plain values, never code. Raises UserError."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; train_model.py writes it") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    with file:
        try:
            return torch.load(file, map_location=device, weights_only=True)
        except Exception as error:  # pickle, zip and torch each have their own kinds for a damaged file
            raise UserError(f"{path}: no file that torch can load ({type(error).__name__})") from error


def load_model(path: Path, labels: Sequence[str], device: torch.device) -> ColourNet:
    """The network that a weights file was saved from, for these labels. Raises UserError."""
    state = load(path, device)
    try:
        colours, hidden, trained_for = (len(state[f"{layer}.weight"]) for layer in ("nearness", *PERCEPTRON))
        side, checksum = int(state["side"]), int(state["labels_crc32"])
    except NOT_WHAT_WAS_SAVED:
        raise UserError(f"{path}: weights of another network; use a file that train_model.py wrote") from None
    if trained_for != len(labels):
        raise UserError(
            f"{path}: the weights know {trained_for} labels, the labels file has {len(labels)}: "
            "use the two files of the same training"
        )
    if checksum != labels_crc32(labels):
        raise UserError(f"{path}: trained on other labels: use the labels file of the same training")
    if side not in SIDES:
        raise UserError(f"{path}: trained on pictures of {side} pixels a side, which cannot be; train again")
    try:
        model = ColourNet(labels, side, colours, hidden)
        model.load_state_dict(state)
    except NOT_WHAT_WAS_SAVED:
        raise UserError(f"{path}: weights of another network; use a file that train_model.py wrote") from None
    if not all(bool(weights.isfinite().all()) for weights in model.parameters()):
        raise UserError(f"{path}: weights that are no numbers; train again")
    return model.to(device)


@dataclass
class Checkpoint:
    """A training at rest: all that is needed to go on as if it had not stopped."""

    settings: dict[str, Any]  # of train_model.Settings
    labels: list[str]
    images: int  # trained on
    step: int  # batches done since the beginning
    score: tuple[float, int, int]  # of the epoch in hand, a Score's fields
    model: dict[str, Tensor]
    optimizer: dict[str, Any]

    def __post_init__(self) -> None:
        """Raises TypeError or ValueError where a file had something else under these names."""
        kinds = ((self.settings, dict), (self.labels, list), (self.model, dict), (self.optimizer, dict))
        if not all(isinstance(value, kind) for value, kind in kinds):
            raise TypeError("not the parts of a checkpoint")
        loss, right, seen = self.score
        self.score = float(loss), operator.index(right), operator.index(seen)
        if min(operator.index(self.images), operator.index(self.step)) < 0:
            raise ValueError("less than nothing was trained")

    def put_into(self, path: Path, network: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        """Load the state of both, which are on their device already. Raises UserError."""
        try:
            network.load_state_dict(self.model)
            optimizer.load_state_dict(self.optimizer)
            for weights in network.parameters():
                means = optimizer.state[weights]
                if not means["exp_avg"].shape == means["exp_avg_sq"].shape == weights.shape:
                    raise ValueError("an optimizer of other weights")  # it would tell at its first step
        except NOT_WHAT_WAS_SAVED:
            raise UserError(f"{path}: {NO_CHECKPOINT}") from None

    def check_fits(self, path: Path, labels: list[str], images: int) -> None:
        """Raise UserError where it was made from other images than these."""
        if (self.labels, self.images) != (labels, images):
            raise UserError(
                f"{path}: made from {self.images:,} images with {len(self.labels)} labels, not from these "
                f"{images:,} with {len(labels)}: name the same stores, or leave --resume out"
            )


def load_checkpoint(path: Path, device: torch.device) -> Checkpoint:
    """What `save(asdict(checkpoint), path)` wrote. Raises UserError."""
    try:
        return Checkpoint(**load(path, device))
    except NOT_WHAT_WAS_SAVED:
        raise UserError(f"{path}: {NO_CHECKPOINT}") from None
