"""Freeze the body of a network: only its head learns."""

from __future__ import annotations

from imagestore.networks.image_network import ImageNetwork


def freeze_body(network: ImageNetwork) -> None:
    """Let only the head learn. The normalisation layers of the body stay in evaluation, also in training."""
    for weights in network.body_parameters():
        weights.requires_grad_(False)
    network.is_body_frozen = True
    network.train(network.training)


def unfreeze_body(network: ImageNetwork) -> None:
    """Let all weights learn again."""
    for weights in network.body_parameters():
        weights.requires_grad_(True)
    network.is_body_frozen = False
    network.train(network.training)
