"""A frozen body: only the head learns, and no statistic moves."""

from __future__ import annotations

import pytest
import torch

from imagestore.networks.description import NetworkDescription
from imagestore.networks.freeze import freeze_body, unfreeze_body
from imagestore.networks.make_network import make_network


@pytest.mark.parametrize(
    "model", ["colour", "mlp", "small", "resnet18", "vgg11_bn", "mobilenet_v2", "squeezenet1_1"]
)
def test_only_the_head_of_a_frozen_network_learns(model: str) -> None:
    network = make_network(NetworkDescription(model=model, labels=("a", "b", "c"), size=32))
    freeze_body(network)
    head = {name for name in network.model.state_dict() if network.model.state_dict()[name].shape[:1] == (3,)}
    before = {name: tensor.clone() for name, tensor in network.model.state_dict().items()}
    optimizer = torch.optim.AdamW(network.head_parameters(), lr=0.1)
    for _ in range(2):
        network.train()
        images = torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8)
        torch.nn.functional.cross_entropy(network(images), torch.tensor([0, 1, 2, 0])).backward()
        optimizer.step()
    changed = {
        name for name, tensor in network.model.state_dict().items() if not torch.equal(tensor, before[name])
    }
    assert changed
    assert changed <= head


def test_a_body_that_is_thawed_learns_again() -> None:
    network = make_network(NetworkDescription(model="resnet18", labels=("a", "b", "c"), size=32)).train()
    freeze_body(network)
    assert not network.model.bn1.training
    unfreeze_body(network)
    assert network.model.bn1.training
    assert all(weights.requires_grad for weights in network.parameters())
