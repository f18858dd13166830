"""The weights file of a training: the description of the network, and the state dict of its plain model.

`torch.load(path, weights_only=True)` reads it. Earlier versions wrote the state dict of the colour network
alone, with two more values: the side of the pictures, and a checksum of the labels. Later ones wrote the
description of a colour network that had no votes of the crowd.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

from imagestore.console import UserError, counted
from imagestore.networks.description import FIRST, OWN_MODELS, SECOND, VIEWS, NetworkDescription
from imagestore.networks.image_network import ImageNetwork
from imagestore.networks.labels_file import labels_crc32
from imagestore.networks.make_network import build_network
from imagestore.networks.model_names import check_model
from imagestore.networks.picture_sides import LARGEST_SIDE, SMALLEST_SIDE
from imagestore.networks.tensor_files import UNEXPECTED_CONTENT, load_file, save_file

OLD_HIDDEN_LAYER, OLD_OUTPUT_LAYER = "head.2", "head.5"  # their names in the state dict
CROWD = "crowd_scale"  # in the state dict of ColourNet; SecondColourNet has none
OTHER_NETWORK = "weights of another network; use a file that train_model.py wrote"
OTHER_LABELS = "trained on other labels: use the labels file of the same training"


def save_network(network: ImageNetwork, path: Path) -> None:
    """Write the weights file, whole or not at all. Raises UserError, OSError."""
    described = {**plain_description(network.description), "arguments": network.arguments}
    save_file({**described, "state_dict": network.model.state_dict()}, path)


def plain_description(description: NetworkDescription) -> dict[str, Any]:
    """The fields of a description as values that `torch.load` takes from any file."""
    fields = vars(description)
    return {**fields, "labels": list(fields["labels"]), "options": dict(fields["options"])}


class StoredNetwork(NamedTuple):
    """What a weights file holds, checked but not built."""

    path: Path
    description: NetworkDescription
    state: Mapping[str, torch.Tensor]

    def build(self, device: torch.device) -> ImageNetwork:
        """The network. Raises UserError."""
        try:
            check_model(self.description.model)
            _check_shapes(self.description, self.state)
            network = build_network(self.description)
            network.model.load_state_dict(self.state)
        except UserError as error:
            raise UserError(f"{self.path}: {str(error).removeprefix('--model ')}") from None
        except UNEXPECTED_CONTENT:
            raise UserError(f"{self.path}: {OTHER_NETWORK}") from None
        if not all(bool(weights.isfinite().all()) for weights in network.parameters()):
            raise UserError(f"{self.path}: some weights are not finite numbers; train again")
        return network.to(device)


def load_network(path: Path, labels: Sequence[str], device: torch.device) -> ImageNetwork:
    """The network that a weights file was saved from, for these labels. Raises UserError."""
    return read_network(path, labels).build(device)


def read_network(path: Path, labels: Sequence[str]) -> StoredNetwork:
    """The content of a weights file, if it is for these labels. Raises UserError."""
    content = load_file(path, torch.device("cpu"))
    if isinstance(content, dict) and "optimizer" in content:
        raise UserError(f"{path}: a checkpoint, to go on with --resume; give the model_weights.pth beside it")
    try:
        description, state = read_description(content, labels), read_state(content)
    except UNEXPECTED_CONTENT:
        raise UserError(f"{path}: {OTHER_NETWORK}") from None
    _check_labels(path, labels, description, content)
    if not SMALLEST_SIDE <= description.size <= LARGEST_SIDE:
        raise UserError(
            f"{path}: trained on pictures of {description.size} pixels a side, which is not possible; "
            "train again"
        )
    return StoredNetwork(path, description, state)


def read_description(content: Mapping[str, Any], labels: Sequence[str]) -> NetworkDescription:
    """What a weights file says of its network. A file of an earlier version does not hold the `labels`.

    Raises UNEXPECTED_CONTENT if it is no weights file.
    """
    if "state_dict" not in content:
        return _old_description(content, labels)
    names = tuple(content["labels"])
    if not names or not all(isinstance(name, str) for name in (*names, content["model"])):
        raise TypeError("labels that are no text")
    options = {str(name): _whole(value) for name, value in content["options"].items()}
    if content["model"] == "colour" and CROWD not in content["state_dict"]:
        options[SECOND] = 1
    if content["view"] not in VIEWS:
        raise ValueError("an unknown view")
    return NetworkDescription(
        model=content["model"], labels=names, size=_whole(content["size"]), view=content["view"],
        mean=_three_numbers(content["mean"]), std=_three_numbers(content["std"], above=0.0), options=options,
    )  # fmt: skip


def read_state(content: Mapping[str, Any]) -> Mapping[str, torch.Tensor]:
    """The state dict in a weights file. Raises UNEXPECTED_CONTENT if it is none."""
    state = content.get("state_dict", content)
    if not all(isinstance(tensor, torch.Tensor) for tensor in state.values()):
        raise TypeError("values that are no tensors")
    return state  # with the versions of its modules, which torch keeps in an attribute of the dict


def _old_description(content: Mapping[str, Any], labels: Sequence[str]) -> NetworkDescription:
    """That of a file of an earlier version, whose labels are not known: their number is, and a checksum."""
    colours = len(content["nearness.weight"])
    hidden = len(content[f"{OLD_HIDDEN_LAYER}.weight"])
    label_count = len(content[f"{OLD_OUTPUT_LAYER}.weight"])
    int(content["labels_crc32"])
    names = tuple(labels) if len(labels) == label_count else ("",) * label_count
    options = {FIRST: 1, "colours": colours, "hidden": hidden}
    return NetworkDescription(model="colour", labels=names, size=int(content["side"]), options=options)


def _check_labels(
    path: Path, labels: Sequence[str], description: NetworkDescription, content: Mapping[str, Any]
) -> None:
    """Raise UserError if weights were not trained on these labels."""
    label_count = len(description.labels)
    if label_count != len(labels):
        raise UserError(
            f"{path}: the weights are for {counted(label_count, 'label')}, but the labels file has "
            f"{len(labels)}: use two files of the same training"
        )
    is_old = "state_dict" not in content
    checksum = int(content["labels_crc32"]) if is_old else labels_crc32(description.labels)
    if checksum != labels_crc32(labels):
        raise UserError(f"{path}: {OTHER_LABELS}")


def _check_shapes(description: NetworkDescription, state: Mapping[str, torch.Tensor]) -> None:
    """Raise ValueError if the tensors are not those of one of our own models, before any memory is taken."""
    if description.model not in OWN_MODELS:
        return
    with torch.device("meta"):
        expected = build_network(description).model.state_dict()
    if any(name in state and state[name].shape != tensor.shape for name, tensor in expected.items()):
        raise ValueError("tensors of other shapes")


def _whole(value: object) -> int:
    if type(value) is not int:
        raise TypeError("not a whole number")
    return value


def _three_numbers(values: Sequence[object], above: float = -math.inf) -> tuple[float, float, float]:
    red, green, blue = (float(value) for value in values)
    if not all(math.isfinite(value) and value > above for value in (red, green, blue)):
        raise ValueError("numbers that cannot be")
    return red, green, blue
