"""--weights default: where torchvision and timm keep their weights on this machine. Nothing is downloaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from imagestore.console import UserError
from imagestore.networks.description import OWN_MODELS, TIMM
from imagestore.networks.model_names import check_model, load_timm

HUB_FILES = ("model.safetensors", "pytorch_model.bin")  # of a repository of timm's weights


def find_default_weights(model: str) -> Path:
    """The file of a model's usual weights on this machine. Raises UserError, which says what to put where."""
    check_model(model)
    if model in OWN_MODELS:
        raise UserError(
            f"--weights default: {model} has no weights of its own; name another model with --model, or give "
            "a file"
        )
    return _find_timm(model) if model.startswith(TIMM) else _find_torchvision(model)


def torchvision_weights(model: str) -> list[Any]:
    """torchvision's descriptions of the weights of a model, the usual ones first."""
    import torchvision

    weights = torchvision.models.get_model_weights(model)
    usual = weights.DEFAULT
    return [usual, *(other for other in weights if other is not usual)]


def _find_torchvision(model: str) -> Path:
    weights = torchvision_weights(model)
    paths = [_checkpoints() / Path(other.url).name for other in weights]
    for path in paths:
        if path.is_file():
            return path
    raise UserError(_fetch_line(model, weights[0].url, paths[0]))


def _find_timm(model: str) -> Path:
    config = load_timm().get_pretrained_cfg(model.removeprefix(TIMM))
    if config is None or not (config.hf_hub_id or config.url):
        raise UserError(f"--weights default: timm has no weights of {model}; give a file, or leave it out")
    if config.hf_hub_id and (path := _in_hub(config.hf_hub_id, config.hf_hub_filename)):
        return path
    if config.url:
        path = _checkpoints() / Path(config.url).name
        if path.is_file():
            return path
        if not config.hf_hub_id:
            raise UserError(_fetch_line(model, config.url, path))
    raise UserError(
        f"--weights default: the weights of {model} are not here. On a machine with internet: "
        f"hf download {config.hf_hub_id} (package huggingface_hub); then copy the folder "
        f"models--{config.hf_hub_id.replace('/', '--')} to {_hub()}"
    )


def _in_hub(repository: str, filename: str | None) -> Path | None:
    """A file of weights in the folder of the Hugging Face hub; None if there is none."""
    from huggingface_hub import try_to_load_from_cache  # looks in a folder, and downloads nothing

    for name in [filename] if filename else HUB_FILES:
        found = try_to_load_from_cache(repository, name)
        if isinstance(found, str):
            return Path(found)
    return None


def _checkpoints() -> Path:
    """The folder where torchvision and older versions of timm keep weights."""
    return Path(torch.hub.get_dir()) / "checkpoints"


def _hub() -> Path:
    from huggingface_hub.constants import HF_HUB_CACHE

    return Path(HF_HUB_CACHE)


def _fetch_line(model: str, url: str, path: Path) -> str:
    return (
        f"--weights default: the weights of {model} are not here. On a machine with internet, fetch {url} "
        f"and put it at {path}"
    )
