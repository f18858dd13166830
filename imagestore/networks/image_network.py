"""A plain model of any kind, as the training and the classifying use it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from imagestore.networks.description import NetworkDescription
from imagestore.networks.heads import find_heads

# Where the head is a convolution, torchvision cuts its outputs off below 0. A number that is added to all of
# them keeps them above 0, and changes no probability.
FAR_FROM_ZERO = 30.0


class ImageNetwork(nn.Module):
    """`model` with the first and the last step: it takes uint8 pictures, and gives logits or features.

    The state dict of `model` is that of the plain network, as torchvision or timm know it. They build it with
    `arguments`.
    """

    def __init__(
        self, description: NetworkDescription, model: nn.Module, arguments: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__()
        self.description, self.model, self.arguments = description, model, dict(arguments or {})
        self._heads = find_heads(description.model, model)  # in a list, so that torch registers them once
        # Numbers of Python: operations on the device "meta" would import torch._dynamo, for two seconds.
        scale = [1 / (255 * std) for std in description.std]
        shift = [-mean / std for mean, std in zip(description.mean, description.std, strict=True)]
        self.register_buffer("scale", torch.tensor(scale).reshape(3, 1, 1), persistent=False)  # float32
        self.register_buffer("shift", torch.tensor(shift).reshape(3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Logits, float32 (B, labels), of images, uint8 (B, 3, size, size)."""
        if not len(images):
            weights = next(self.head.parameters())
            return weights.float().sum() * torch.zeros((0, self.label_count), device=images.device)
        if self.training and len(images) == 1:  # BatchNorm cannot take a mean over one value
            return self.model(self._normalised(images.repeat(2, 1, 1, 1)))[:1].float()
        return self.model(self._normalised(images)).float()

    def features(self, images: Tensor) -> Tensor:
        """What the head gets, float32 (B, F), for images, uint8 (B, 3, size, size).

        Of maps of features this is the mean over the pixels; of two heads, both inputs side by side.
        """
        return self.logits_and_features(images)[1]

    def logits_and_features(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """What `forward` and `features` return, in one pass."""
        inputs: list[Tensor] = []
        hooks = [
            head.register_forward_pre_hook(lambda _, given: inputs.append(given[0])) for head in self._heads
        ]
        try:
            logits = self.model(self._normalised(images)).float()
        finally:
            for hook in hooks:
                hook.remove()
        vectors = [given.float().mean((2, 3)) if given.ndim == 4 else given.float() for given in inputs]
        return logits, torch.cat(vectors, 1)

    @torch.no_grad()
    def use_head(self, linear: nn.Linear) -> None:
        """Take the weights of a layer (F to labels) that was trained on `features`.

        Raises ValueError if the layer has a bias and the model's head has none.
        """
        count, first = len(self._heads), 0
        for head in self._heads:
            width = head.weight.shape[1]
            part = linear.weight[:, first : first + width] * count  # the model takes the mean of its heads
            head.weight.copy_(part.reshape(head.weight.shape))
            if head.bias is not None:
                head.bias.copy_(linear.bias + (FAR_FROM_ZERO if isinstance(head, nn.Conv2d) else 0.0))
            elif linear.bias is not None:
                raise ValueError("the head of this model has no bias")
            first += width
        if self.description.model == "colour":
            self.model.use_head_alone()

    @property
    def label_count(self) -> int:
        """The number of labels."""
        return len(self.description.labels)

    @property
    def head(self) -> nn.Module:
        """The last layer that learns: nn.Linear, or in a few models nn.Conv2d over one pixel."""
        return self._heads[0]

    def head_parameters(self) -> list[nn.Parameter]:
        """The weights of the head, or of both heads if the model has two."""
        return [weights for head in self._heads for weights in head.parameters()]

    def _normalised(self, images: Tensor) -> Tensor:
        if self.description.model == "colour":
            return images  # it computes CIELAB from the bytes
        return images.float() * self.scale + self.shift
