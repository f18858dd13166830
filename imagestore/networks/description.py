"""What a network is: its model, its labels, and the pictures that it takes. Imports nothing slow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

OWN_MODELS = ("colour", "mlp", "small")  # all other names are those of torchvision, or of timm after TIMM
TIMM = "timm/"
FIRST, SECOND = "first", "second"  # the options of colour networks of earlier versions
VIEWS = ("whole", "centre")
MIDDLE = (0.5, 0.5, 0.5)


@dataclass(frozen=True, kw_only=True)
class NetworkDescription:
    """All that is needed to build a network, and to give it pictures as it was trained on."""

    model: str  # "colour", "mlp", "small", a name of torchvision such as "resnet18", or "timm/NAME"
    labels: tuple[str, ...]
    size: int  # pixels: the side of the square pictures
    view: str = "whole"  # how a picture becomes a square: "whole" is squeezed; "centre" is the middle square
    mean: tuple[float, float, float] = MIDDLE  # of red, green and blue, 0 to 1; `colour` does not use it
    std: tuple[float, float, float] = MIDDLE
    options: Mapping[str, int] = field(default_factory=dict)  # what else the model is built with
