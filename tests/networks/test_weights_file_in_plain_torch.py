"""docs/python.md, "Trained weights": ten lines of plain torch use a weights file."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

from imagestore.networks.description import NetworkDescription
from imagestore.networks.labels_file import save_labels
from imagestore.networks.make_network import make_network
from imagestore.networks.weights_file import load_network, save_network
from tests.helpers.commands import ROOT, environment

SECTION = (ROOT / "docs/python.md").read_text().partition("\n## Trained weights\n")[2].partition("\n## ")[0]
PLAIN, OURS = re.findall(r"^```python\n(.*?)^```$", SECTION, re.MULTILINE | re.DOTALL)
LABELS = ("a rose", "b", "c")


def run_program(program: str, folder: Path, **variables: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=folder, env=environment(variables),
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def write_network(model: str, side: int, folder: Path) -> None:
    torch.manual_seed(3)
    description = NetworkDescription(
        model=model, labels=LABELS, size=side, mean=(0.4, 0.5, 0.6), std=(0.1, 0.2, 0.3)
    )
    save_network(make_network(description), folder / "model_weights.pth")
    save_labels(LABELS, folder / "train_labels.json")


@pytest.mark.slow
@pytest.mark.parametrize("model", ["resnet18", "shufflenet_v2_x0_5"])
def test_ten_lines_of_plain_torch_name_a_photograph(model: str, tmp_path: Path) -> None:
    """The label and the probability are those of the network."""
    write_network(model, 32, tmp_path)
    pixels = torch.randint(0, 256, (32, 32, 3), dtype=torch.uint8)
    Image.fromarray(pixels.numpy()).save(tmp_path / "photo.jpg", "PNG")
    network = load_network(tmp_path / "model_weights.pth", LABELS, torch.device("cpu")).eval()
    with torch.no_grad():
        probability, label = network(pixels.permute(2, 0, 1)[None]).softmax(1)[0].max(0)
    assert run_program(PLAIN, tmp_path) == f"{LABELS[label]} {probability:.1%}"


def test_the_ten_lines_need_nothing_of_this_project() -> None:
    assert "imagestore" not in PLAIN


@pytest.mark.parametrize("model", ["colour", "small"])
def test_our_own_models_load_with_this_project(model: str, tmp_path: Path) -> None:
    write_network(model, 16, tmp_path)
    output = run_program(OURS, tmp_path, PYTHONPATH=str(ROOT))
    assert output.startswith(LABELS)
    assert "torch.Size([1, " in output
