"""The network of a training and its settings: new ones, or those of a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from imagestore.console import UserError
from imagestore.decode.decode_image import decode_rgb_array
from imagestore.loading.dataset import UNDECODABLE, HDF5Dataset
from imagestore.networks.choose_model import choose_model, is_colour_name
from imagestore.networks.default_weights import find_default_weights
from imagestore.networks.described_weights import model_of_weights
from imagestore.networks.description import NetworkDescription
from imagestore.networks.image_network import ImageNetwork
from imagestore.networks.make_network import build_network, make_network
from imagestore.networks.picture_kind import find_picture_kind
from imagestore.networks.start_weights import take_weights
from imagestore.networks.tensor_files import UNEXPECTED_CONTENT
from imagestore.networks.weights_file import read_description
from imagestore.store.reader import ImageStore
from imagestore.training.checkpoint import NO_CHECKPOINT, Checkpoint
from imagestore.training.training_settings import (
    SEEDS,
    RunOptions,
    TrainingSettings,
    settings_for,
    settings_to_resume,
)

DEFAULT_WEIGHTS = "default"  # --weights: those that torchvision or timm keeps
IMAGES_TO_MEASURE = 9


def new_network(
    dataset: HDF5Dataset, requested: Mapping[str, Any], options: RunOptions
) -> tuple[TrainingSettings, ImageNetwork, list[str]]:
    """The settings of a new training, its network, and lines that tell the user which it is.

    Raises UserError.
    """
    labels, side, by_colour = dataset.classes, side_of_pictures(dataset), labelled_by_colour(dataset.stores)
    model, why = requested.get("model"), "--model"
    if model is None:
        model, why = model_of_file(options.weights) or choose_model(labels, by_colour, side)
    weights = starting_weights(model, options)
    description = describe_network(model, labels, side, weights, requested, options)
    settings = settings_for(
        model, requested, size=description.size, has_weights=weights is not None,
        labels_are_colours=by_colour or all(map(is_colour_name, labels)),
    )  # fmt: skip
    torch.manual_seed(settings.seed % SEEDS)
    network = make_network(description)
    lines = [f"model: {model}, for pictures of {description.size} pixels ({why})"]
    return settings, network, lines + (take_weights(network, weights) if weights is not None else [])


def resumed_network(
    checkpoint: Checkpoint, labels: list[str], requested: Mapping[str, Any], options: RunOptions
) -> tuple[TrainingSettings, ImageNetwork]:
    """The settings that a checkpoint keeps, and a network for its weights. Raises UserError."""
    if options.weights:
        raise UserError("--weights: a resumed training has its own; leave --weights or --resume out")
    settings = settings_to_resume(checkpoint.settings, requested, options.resume)
    content = (
        {**checkpoint.network, "state_dict": checkpoint.model} if checkpoint.network else checkpoint.model
    )
    try:
        description = read_description(content, labels)
        network = build_network(replace(description, size=settings.size))
    except UNEXPECTED_CONTENT:
        raise UserError(f"{options.resume}: {NO_CHECKPOINT}") from None
    check_normalisation(description, options)
    return settings, network


def check_normalisation(description: NetworkDescription, options: RunOptions) -> None:
    """Raise UserError if --mean or --std is not that of the checkpoint."""
    for flag, given, kept in (
        ("mean", options.mean, description.mean),
        ("std", options.std, description.std),
    ):
        if given and tuple(given) != kept:
            numbers = " ".join(f"{number:g}" for number in kept)
            raise UserError(
                f"--{flag}: the checkpoint was made with {numbers}: leave --{flag} out, or start a new "
                "training without --resume"
            )


def model_of_file(weights: str | None) -> tuple[str, str] | None:
    """The model that the file of --weights is of, and why; None if it does not say so."""
    if weights in (None, DEFAULT_WEIGHTS):
        return None
    model = model_of_weights(Path(weights))
    return model and (model, f"the model of {weights}")


def starting_weights(model: str, options: RunOptions) -> Path | None:
    """The file of the weights to begin with. Raises UserError if it is missing."""
    if options.weights == DEFAULT_WEIGHTS:
        return find_default_weights(model)
    return Path(options.weights) if options.weights else None


def describe_network(
    model: str,
    labels: Sequence[str],
    side: int,
    weights: Path | None,
    requested: Mapping[str, Any],
    options: RunOptions,
) -> NetworkDescription:
    """The network that is asked for. `side` is that of the stored pictures, in pixels. Raises UserError."""
    kind = find_picture_kind(model, side, weights)
    return NetworkDescription(
        model=model, labels=tuple(labels), size=requested.get("size", kind.size), view=kind.view,
        mean=tuple(options.mean or kind.mean), std=tuple(options.std or kind.std), options=kind.options,
    )  # fmt: skip


def side_of_pictures(dataset: HDF5Dataset) -> int:
    """The median of the shorter sides of some pictures, in pixels; 0 if none of them can be decoded."""
    sides = []
    for i in np.linspace(0, len(dataset) - 1, IMAGES_TO_MEASURE).astype(int).tolist():
        try:
            sides.append(min(dataset.decode(i, decode_rgb_array).shape[:2]))
        except UNDECODABLE:  # told when it is its turn
            continue
    return int(np.median(sides)) if sides else 0


def labelled_by_colour(stores: Sequence[ImageStore]) -> bool:
    """Whether the stores say that the colour heuristic made all of their labels."""
    records = [record for store in stores for record in store.heuristics()]
    return bool(records) and all("labels" not in record for record in records)
