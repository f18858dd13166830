"""Where the head of a model is: the last layer, whose outputs are the logits."""

from __future__ import annotations

from torch import nn

from imagestore.networks.description import TIMM

HEAD_NAMES = ("head", "fc", "classifier", "heads")  # of torchvision's families and of our own models
LAST_LAYERS = (nn.Linear, nn.Conv2d)


def find_heads(model_name: str, model: nn.Module) -> list[nn.Module]:
    """The last layer of a model, nn.Linear or nn.Conv2d. Some models of timm have two, and take their mean.

    Raises ValueError if there is none.
    """
    if model_name.startswith(TIMM):
        found = model.get_classifier()
        parts = list(found) if isinstance(found, (tuple, list, nn.ModuleList)) else [found]
    else:
        parts = [getattr(model, name) for name in HEAD_NAMES if hasattr(model, name)][:1]
    return [_last_layer(part) for part in parts] or [_last_layer(model)]


def _last_layer(part: nn.Module) -> nn.Module:
    """The last linear layer in a part of a model."""
    layers = [module for module in part.modules() if isinstance(module, LAST_LAYERS)]
    if not layers:
        raise ValueError("it has no linear layer that gives the logits")
    return layers[-1]
