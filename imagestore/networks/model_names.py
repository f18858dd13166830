"""The models that --model names: our own, and those of torchvision and timm."""

from __future__ import annotations

import difflib
import importlib
from types import ModuleType

from imagestore.console import UserError
from imagestore.networks.description import OWN_MODELS, TIMM

NAMES_SHOWN = 3
OTHER_KINDS = ("detection", "segmentation", "quantization", "video", "optical_flow")  # of torchvision


def check_model(model: str) -> None:
    """Raise UserError if `model` names no network that tells labels apart; the line has the nearest names."""
    if model in OWN_MODELS:
        return
    if model.startswith(TIMM):
        _check_timm(model)
    elif model not in torchvision_names():
        if model in _other_names():
            raise UserError(f"--model {model}: gives no label to a picture; choose a classification model")
        near = _nearest(model, [*OWN_MODELS, *torchvision_names()])
        raise UserError(f"--model {model}: no such model{near}")


def torchvision_names() -> list[str]:
    """The names of torchvision's classification models."""
    import torchvision

    return torchvision.models.list_models(module=torchvision.models)


def load_timm() -> ModuleType:
    """The package timm. Raises UserError if it is not installed."""
    try:
        return importlib.import_module("timm")
    except ModuleNotFoundError:
        raise UserError("--model timm/…: the package timm is not installed: pip install timm") from None


def _check_timm(model: str) -> None:
    timm = load_timm()
    name = model.removeprefix(TIMM)
    names = timm.list_models()
    architecture, _, tag = name.partition(".")
    if architecture not in names:
        raise UserError(f"--model {model}: timm has no such model{_nearest(name, names, TIMM)}")
    tagged = timm.list_models(f"{architecture}.*", pretrained=True) if tag else []
    if tag and name not in tagged:
        near = _nearest(name, [architecture, *tagged], TIMM)
        raise UserError(f"--model {model}: timm has no such model{near}")


def _other_names() -> list[str]:
    """The names of torchvision's models of other kinds."""
    import torchvision

    kinds = [getattr(torchvision.models, kind) for kind in OTHER_KINDS]
    return [name for kind in kinds for name in torchvision.models.list_models(module=kind)]


def _nearest(name: str, names: list[str], prefix: str = "") -> str:
    """Such as "; the nearest are resnet18 and resnet34"."""
    near = difflib.get_close_matches(name.lower(), names, NAMES_SHOWN, cutoff=0.4)
    if not near:
        return f"; choose one of {', '.join(OWN_MODELS)}, or a classification model of torchvision or timm"
    return f"; the nearest names are {', '.join(prefix + found for found in near)}"
