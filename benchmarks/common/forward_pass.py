#!/usr/bin/env python3
"""The yardstick of `--freeze`: a plain program that runs a network of timm once over a folder of images.

    python forward_pass.py FOLDER WEIGHTS NAME

The pictures come from torchvision's ImageFolder, by the transform that belongs to the weights of timm's NAME.
The tensors in WEIGHTS are those of the model in the same order.
"""

from __future__ import annotations

import sys

import timm
import torch
from timm.data import create_transform, resolve_data_config
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder

BATCH, WORKERS, THREADS = 16, 2, 2  # batches of 1, 32 and 64 took longer


def main(folder: str, weights: str, name: str) -> None:
    """Print how many images there were."""
    torch.set_num_threads(THREADS)
    model = timm.create_model(name, pretrained=False).eval()
    tensors = torch.load(weights, weights_only=True).values()
    model.load_state_dict(dict(zip(model.state_dict(), tensors, strict=True)))
    images = ImageFolder(folder, create_transform(**resolve_data_config(model=model)))
    count = 0
    with torch.inference_mode():
        for batch, _ in DataLoader(images, BATCH, num_workers=WORKERS):
            count += len(model(batch))
    print(count)


if __name__ == "__main__":
    main(*sys.argv[1:])
