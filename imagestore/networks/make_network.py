"""From a description to the network. Its weights come from torch's global generator."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from imagestore.console import UserError, is_out_of_memory
from imagestore.networks.colour_network import ColourNet
from imagestore.networks.description import FIRST, SECOND, TIMM, NetworkDescription
from imagestore.networks.first_colour_network import FirstColourNet
from imagestore.networks.image_network import ImageNetwork
from imagestore.networks.mlp import make_mlp
from imagestore.networks.model_names import check_model, load_timm
from imagestore.networks.second_colour_network import SecondColourNet
from imagestore.networks.small_network import SmallResNet

SIZES_TO_TRY = (32, 48, 64, 80, 96, 128, 160, 192, 224, 256, 299, 384, 448, 512)  # pixels, for a message
WITHOUT_AUXILIARY = ("googlenet", "inception_v3")  # else they give logits of further heads in training
CANNOT = (RuntimeError, ValueError, AssertionError, IndexError, ZeroDivisionError)  # what models raise


def make_network(description: NetworkDescription) -> ImageNetwork:
    """A new network, not trained, with weights from torch's global generator.

    Raises UserError if there is no such model, or if it does not take pictures of this size.
    """
    check_model(description.model)
    network = build_network(description)
    if not takes_pictures(network, description.size):
        raise UserError(_other_size(network))
    return network


def build_network(description: NetworkDescription) -> ImageNetwork:
    """As `make_network`, but the model is known, and the size is not tried. Raises UserError."""
    try:
        model, arguments = _build_model(description)
        return ImageNetwork(description, model, arguments)
    except CANNOT as error:
        if is_out_of_memory(error):
            raise
        why = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(
            f"--model {description.model}: cannot be built for pictures of {description.size} pixels ({why})"
        ) from None


def takes_pictures(network: ImageNetwork, side: int) -> bool:
    """Whether a picture of `side` pixels runs through the network. Draws no random number."""
    was_training = network.training
    device = next(network.parameters()).device
    network.eval()
    try:
        with torch.inference_mode():
            logits = network(torch.zeros((1, 3, side, side), dtype=torch.uint8, device=device))
        return logits.shape == (1, network.label_count)
    except CANNOT as error:
        if is_out_of_memory(error):
            raise
        return False
    finally:
        network.train(was_training)


def _build_model(description: NetworkDescription) -> tuple[nn.Module, dict[str, Any]]:
    """The plain model, and the arguments with which torchvision or timm build it.

    Nothing is downloaded: no weights are asked for.
    """
    count, size, options = len(description.labels), description.size, dict(description.options)
    if description.model == "colour":
        return _build_colour(count, options), {}
    if description.model == "mlp":
        return make_mlp(count, size, **options), {}
    if description.model == "small":
        return SmallResNet(count, size, **options), {}
    if description.model.startswith(TIMM):
        return _build_timm(description.model.removeprefix(TIMM), count, size)
    return _build_torchvision(description.model, count, size, options)


def _build_colour(count: int, options: dict[str, int]) -> nn.Module:
    if options.pop(FIRST, 0):
        return FirstColourNet(count, **options)
    return SecondColourNet(count, **options) if options.pop(SECOND, 0) else ColourNet(count, **options)


def _build_torchvision(
    name: str, count: int, size: int, options: dict[str, Any]
) -> tuple[nn.Module, dict[str, Any]]:
    import torchvision

    arguments = {**options, "num_classes": count}
    if name.startswith("vit_"):
        arguments["image_size"] = size
    elif name.startswith("maxvit"):
        arguments["input_size"] = (size, size)
    elif name in WITHOUT_AUXILIARY:
        arguments |= {"aux_logits": False, "init_weights": True}
    model = torchvision.models.get_model(name, weights=None, **arguments)
    if name in WITHOUT_AUXILIARY:
        arguments["init_weights"] = False  # it takes seconds, and whoever loads weights needs none
    return model, arguments


def _build_timm(name: str, count: int, size: int) -> tuple[nn.Module, dict[str, Any]]:
    timm = load_timm()
    arguments = {"num_classes": count, "img_size": size}
    try:
        return timm.create_model(name, pretrained=False, **arguments), arguments
    except TypeError:  # most models take pictures of any size, and have no such argument
        del arguments["img_size"]
        return timm.create_model(name, pretrained=False, **arguments), arguments


def _other_size(network: ImageNetwork) -> str:
    """The line about pictures of a size that a network does not take, with the nearest size that it takes."""
    model, size = network.description.model, network.description.size
    line = f"--model {model}: does not take pictures of {size} pixels"
    for other in sorted(SIZES_TO_TRY, key=lambda other: abs(other - size)):
        if takes_pictures(network, other):
            return f"{line}; try --size {other}"
    return line
