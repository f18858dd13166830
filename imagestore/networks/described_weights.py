"""What a file of weights says of its network: our own files, and those of torchvision and timm."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from imagestore.networks.default_weights import torchvision_weights
from imagestore.networks.description import TIMM, NetworkDescription
from imagestore.networks.model_names import torchvision_names
from imagestore.networks.tensor_files import UNEXPECTED_CONTENT
from imagestore.networks.weights_file import read_description

CONFIG_FILE = "config.json"  # beside the weights in a repository of timm's


def model_of_weights(path: Path) -> str | None:
    """The model that a file of weights is of, as it says or as it is called; None if nothing tells."""
    ours = description_in(path)
    if ours:
        return ours.model
    architecture = config_beside(path).get("architecture")
    if isinstance(architecture, str):
        return TIMM + architecture
    for name in torchvision_names():
        if any(Path(weights.url).name == path.name for weights in torchvision_weights(name)):
            return name
    return None


def description_in(path: Path) -> NetworkDescription | None:
    """What a weights file or a checkpoint of ours says; None if it is none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns of what it then refuses
        try:
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
            return read_description(_of_checkpoint(content), ())
        except Exception:  # any other file says nothing; `take_weights` tells what is wrong with it
            return None


def config_beside(path: Path) -> Mapping[str, Any]:
    """The configuration beside a file of timm's; empty if there is none."""
    try:
        config = json.loads(path.with_name(CONFIG_FILE).read_bytes())
    except (OSError, *UNEXPECTED_CONTENT):
        return {}
    return config if isinstance(config, dict) else {}


def _of_checkpoint(content: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a checkpoint holds, as a weights file has it; other contents as they are."""
    network = content.get("network")
    return {**network, "state_dict": content["model"]} if isinstance(network, dict) else content
