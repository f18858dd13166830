"""The pictures that a model gets by default: their side, the part of a picture, and the normalisation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from imagestore.networks.default_weights import torchvision_weights
from imagestore.networks.described_weights import config_beside, description_in
from imagestore.networks.description import MIDDLE, OWN_MODELS, TIMM
from imagestore.networks.model_names import check_model, load_timm
from imagestore.networks.tensor_files import UNEXPECTED_CONTENT

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
USUAL_SIDE = 224  # pixels: of networks that were trained on ImageNet
OWN_SIDES = {"colour": 60, "mlp": 32, "small": 64}
SMALL_PICTURES = 40  # pixels: from here on, `small` halves the pictures
CENTRED_BY_TENSORFLOW = ("googlenet", "inception_v3")  # torchvision turns its own normalisation into this one


@dataclass(frozen=True, kw_only=True)
class PictureKind:
    """What a network is to be described with, where the user says nothing else."""

    size: int  # pixels
    view: str
    mean: tuple[float, float, float] = MIDDLE
    std: tuple[float, float, float] = MIDDLE
    options: Mapping[str, int] = field(default_factory=dict)  # of the same model in a weights file


def find_picture_kind(model: str, side_of_pictures: int, weights: Path | None = None) -> PictureKind:
    """The pictures that a model takes, as the file of `weights` or else the model's own description says.

    `side_of_pictures` is that of the images in the stores, in pixels: `small` takes tiny ones as they are.
    Raises UserError if there is no such model.
    """
    check_model(model)
    described = (_of_config_beside(weights) or _of_our_file(weights, model)) if weights else None
    if described:
        return described
    if model in OWN_MODELS:
        is_tiny = model == "small" and side_of_pictures <= SMALL_PICTURES
        return PictureKind(size=OWN_SIDES[model] // 2 if is_tiny else OWN_SIDES[model], view="whole")
    return _of_timm(model) if model.startswith(TIMM) else _of_torchvision(model, weights)


def _of_config_beside(path: Path) -> PictureKind | None:
    """What the configuration beside a file of timm's says; None if there is none."""
    try:
        return _of_config(config_beside(path)["pretrained_cfg"])
    except UNEXPECTED_CONTENT:
        return None


def _of_our_file(path: Path, model: str) -> PictureKind | None:
    """What a weights file or a checkpoint of ours says; None if it is none."""
    described = description_in(path)
    return described and PictureKind(
        size=described.size, view=described.view, mean=described.mean, std=described.std,
        options=described.options if described.model == model else {},
    )  # fmt: skip


def _of_config(config: Mapping[str, Any]) -> PictureKind:
    """What a configuration of timm says."""
    mean, std = (tuple(map(float, config[name])) for name in ("mean", "std"))
    return PictureKind(size=int(config["input_size"][-1]), view="centre", mean=mean, std=std)


def _of_timm(model: str) -> PictureKind:
    config = load_timm().get_pretrained_cfg(model.removeprefix(TIMM))
    if config is None:
        return PictureKind(size=USUAL_SIDE, view="centre", mean=IMAGENET_MEAN, std=IMAGENET_STD)
    return _of_config({"mean": config.mean, "std": config.std, "input_size": config.input_size})


def _of_torchvision(model: str, path: Path | None) -> PictureKind:
    """What torchvision says of the weights of this name, else of its usual ones."""
    weights = torchvision_weights(model)
    chosen = next((each for each in weights if path and Path(each.url).name == path.name), weights[0])
    transforms = chosen.transforms()
    if model in CENTRED_BY_TENSORFLOW:
        return PictureKind(size=transforms.crop_size[0], view="centre")
    mean, std = tuple(transforms.mean), tuple(transforms.std)
    return PictureKind(size=transforms.crop_size[0], view="centre", mean=mean, std=std)
