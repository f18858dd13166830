"""train_model.py with every kind of network, weights and augmentation: what it says, writes and resumes."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest
import torch
import torchvision
from torch import nn

from imagestore.networks.first_colour_network import FirstColourNet
from imagestore.networks.second_colour_network import SecondColourNet
from tests.helpers.commands import Run
from tests.helpers.small_stores import make_store
from tests.helpers.training_runs import have_equal_weights, train_here, train_until_check, weights_in

SMALL = ("--epochs", 2, "--size", 32, "-b", 8)
SHAPES = {"rose": (200, 90, 120), "tulip": (190, 80, 110), "iris": (90, 80, 190)}  # names that are no colours


@pytest.fixture
def colours(tmp_path: Path) -> Path:
    """24 images whose labels are colours."""
    return make_store(tmp_path / "colours.h5", 24)


@pytest.fixture
def species(tmp_path: Path) -> Path:
    """24 images whose labels are no colours."""
    return make_store(tmp_path / "species.h5", 24, colours=SHAPES)


def test_auto_takes_the_network_that_suits_the_labels(tmp_path: Path, colours: Path, species: Path, capsys):
    for store, model, why in ((colours, "colour", "names of colours"), (species, "small", "no colours")):
        status, _, messages = train_here(capsys, store, "-o", tmp_path / model, "--epochs", 1)
        assert status == 0
        assert any(f"model: {model}" in line and why in line for line in messages), messages
        assert torch.load(tmp_path / model / "model_weights.pth")["model"] == model


@pytest.mark.parametrize(
    "model",
    [
        "colour",
        "small",
        "mlp",
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in ("resnet18", "squeezenet1_1", "timm/resnet10t")
        ),
    ],
)
def test_each_kind_of_network_trains_and_classifies(
    run: Run, tmp_path: Path, species: Path, model: str, capsys
):
    """classify.py needs no flag, and plain torch loads the weights."""
    pytest.importorskip("timm") if model.startswith("timm/") else None
    status, out, messages = train_here(capsys, species, "-o", tmp_path / "out", "--model", model, *SMALL)
    assert status == 0, messages
    assert "epoch 2/2" in out
    content = torch.load(tmp_path / "out/model_weights.pth", weights_only=True)
    assert (content["model"], content["size"], content["labels"]) == (model, 32, ["iris", "rose", "tulip"])
    done = run("classify.py", species, tmp_path / "out/species_labels.json", "all")
    assert sum(line.startswith(("iris/", "rose/", "tulip/")) for line in done.stdout.splitlines()) == 24
    if model == "resnet18":
        torchvision.models.resnet18(num_classes=3).load_state_dict(content["state_dict"])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("--model", "resnet81"), "no such model; the nearest names are"),
        (("--model", "fasterrcnn_resnet50_fpn"), "gives no label to a picture"),
        (("--model", "inception_v3", "--size", 32), "does not take pictures of 32 pixels; try --size"),
        (("--model", "resnet18", "--weights", "none.pth"), "none.pth: no such file"),
        (("--model", "resnet18", "--weights", "default"), "fetch https://"),
        (("--weights", "default"), "colour has no weights of its own"),
        (("--val", "photos"), "partition photos val.h5 rest.h5 1"),
    ],
)
def test_what_cannot_be_trained_is_one_line(tmp_path, colours, given, message, capsys, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    status, out, messages = train_here(capsys, colours, "-o", tmp_path / "out", *given)
    assert (status, out, len(messages)) == (1, "", 1)
    assert message in messages[0]
    assert list(tmp_path.rglob("*.pth")) == []


def test_labels_that_cannot_be_learned_are_named(tmp_path: Path, capsys) -> None:
    """One label alone; and a label whose images are all held back."""
    options = ("-o", tmp_path / "out", "--epochs", 1, "--size", 8)
    one = make_store(tmp_path / "one.h5", 4, colours={"rose": (200, 30, 30)})
    status, _, messages = train_here(capsys, one, *options, "--model", "mlp")
    assert status == 0
    assert messages[-2].endswith("1 label, on cpu")
    assert messages[-1].startswith("train_model: with one label alone, each answer is right")
    few = make_store(tmp_path / "few.h5", 3)
    status, _, messages = train_here(capsys, few, *options, "--model", "mlp", "--val-fraction", 0.6)
    assert status == 0
    assert messages[-1].startswith("train_model: 2 of the labels have no image to train on (")


# ----- weights of another training -----


@pytest.mark.slow
def test_auto_takes_the_model_of_the_weights(tmp_path: Path, colours: Path, species: Path, capsys) -> None:
    """Of a weights file or a checkpoint, whatever the labels are."""
    assert train_here(capsys, species, "-o", tmp_path / "a", "--model", "mlp", *SMALL)[0] == 0
    for name in ("model_weights.pth", "checkpoint.pth"):
        weights = tmp_path / "a" / name
        status, _, messages = train_here(capsys, colours, "-o", tmp_path / "b", "--weights", weights, *SMALL)
        assert status == 0, messages
        assert messages[0] == f"train_model: model: mlp, for pictures of 32 pixels (the model of {weights})"
        assert any("4 of the model's 6 tensors taken" in line for line in messages), messages


def test_weights_of_other_labels_keep_their_body(tmp_path: Path, species: Path, capsys):
    """A wrapped state dict of a network for 7 labels: the body is taken, the head is new."""
    torch.manual_seed(3)
    other = torchvision.models.resnet18(num_classes=7)
    wrapped = {f"module._orig_mod.{name}": value for name, value in other.state_dict().items()}
    torch.save({"state_dict": wrapped}, tmp_path / "other.pth")
    options = ("--model", "resnet18", "--weights", tmp_path / "other.pth", "--lr", 0)
    status, _, messages = train_here(capsys, species, "-o", tmp_path / "out", *options, *SMALL)
    assert status == 0, messages
    assert any("120 of the model's 122 tensors taken" in line for line in messages), messages
    assert any("the head stays as it was initialised" in line for line in messages)
    assert torch.equal(weights_in(tmp_path / "out")["layer1.0.conv1.weight"], other.layer1[0].conv1.weight)


@pytest.mark.slow
def test_weights_by_other_names_are_taken_in_order(tmp_path: Path, species: Path, capsys):
    mlp = nn.Sequential(nn.Linear(3072, 4), nn.Linear(4, 5))  # another network: it is refused
    torch.save(mlp.state_dict(), tmp_path / "wrong.pth")
    options = ("--model", "squeezenet1_1", *SMALL)
    status, _, messages = train_here(
        capsys, species, "-o", tmp_path / "no", *options, "--weights", tmp_path / "wrong.pth"
    )
    assert (status, len(messages)) == (1, 1)
    assert "wrong.pth" in messages[0]

    state = torchvision.models.squeezenet1_1(num_classes=9).state_dict()
    renamed = {f"layer{i}.{name.rpartition('.')[2]}": value for i, (name, value) in enumerate(state.items())}
    torch.save(renamed, tmp_path / "renamed.pth")
    status, _, messages = train_here(
        capsys, species, "-o", tmp_path / "out", *options, "--weights", tmp_path / "renamed.pth"
    )
    assert status == 0
    assert any("in order: no name fits" in line for line in messages), messages


@pytest.mark.slow
def test_default_weights_are_found_where_torchvision_keeps_them(tmp_path, species, capsys, monkeypatch):
    """With their own normalisation. Nothing is downloaded."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
    weights = torchvision.models.ResNet18_Weights.DEFAULT
    path = tmp_path / "home/hub/checkpoints" / Path(weights.url).name
    path.parent.mkdir(parents=True)
    torch.save(torchvision.models.resnet18().state_dict(), path)
    options = ("--model", "resnet18", "--weights", "default", *SMALL)
    status, _, messages = train_here(capsys, species, "-o", tmp_path / "out", *options)
    assert status == 0, messages
    content = torch.load(tmp_path / "out/model_weights.pth")
    assert content["mean"] == tuple(weights.transforms().mean)
    status, *_ = train_here(capsys, species, "-o", tmp_path / "own", *options, *("--mean", 0, 0.5, 1))
    assert (status, torch.load(tmp_path / "own/model_weights.pth")["mean"]) == (0, (0, 0.5, 1))


# ----- a frozen body -----


@pytest.mark.slow
def test_a_frozen_body_stays_and_its_features_are_kept(tmp_path: Path, species: Path, capsys):
    """The second training finds the features; a stopped one goes on where it was."""
    torch.save(torchvision.models.resnet18(num_classes=7).state_dict(), tmp_path / "w.pth")
    options = ("--model", "resnet18", "--weights", tmp_path / "w.pth", "--freeze", *SMALL)
    out = tmp_path / "out"
    assert train_here(capsys, species, "-o", out, *options)[0] == 0
    features = max((out / "features").iterdir(), key=lambda path: path.stat().st_size)  # of two parts
    assert features.stat().st_size % (512 * 4) == 0
    before, content = features.stat().st_mtime_ns, torch.load(tmp_path / "w.pth")
    trained = weights_in(out)
    assert all(torch.equal(trained[name], value) for name, value in content.items() if "fc." not in name)

    with features.open("r+b") as file:
        file.truncate(5 * 512 * 4 + 7)  # as if it had been killed within the sixth image
    first = weights_in(out)
    status, _, messages = train_here(capsys, species, "-o", out, *options)
    assert status == 0
    assert any("found 5 of" in line for line in messages), messages
    assert features.stat().st_mtime_ns != before
    assert all(torch.equal(first[name], value) for name, value in weights_in(out).items())


def test_a_frozen_body_obeys_what_concerns_its_head(tmp_path: Path, species: Path, capsys) -> None:
    """Rare labels count as they shall; what changes nothing is named."""
    mlp = ("--model", "mlp", "--size", 8)
    assert train_here(capsys, species, "-o", tmp_path / "a", *mlp, "--epochs", 1)[0] == 0
    uneven = (species, make_store(tmp_path / "roses.h5", 9, 50, {"rose": SHAPES["rose"]}))
    options = (*mlp, "--weights", tmp_path / "a/model_weights.pth", "--freeze")
    heads = {}
    for given in ((), ("--balance", "weights"), ("--balance", "sampling"), ("--logit-adjust", 1)):
        assert train_here(capsys, *uneven, "-o", tmp_path / "b", *options, *given)[0] == 0
        heads[given[-1:]] = weights_in(tmp_path / "b")["head.bias"]
    assert torch.equal(heads[("weights",)], heads[("sampling",)])
    assert not torch.equal(heads[()], heads[("weights",)])
    assert not torch.equal(heads[()], heads[(1,)])
    idle = ("--lr", 1, "--ema", "-b", 8, "--epochs", 3, "--cache", "ram")
    _, _, messages = train_here(capsys, *uneven, "-o", tmp_path / "b", *options, *idle)
    named = "--batch-size, --lr, --ema, --epochs, --cache change nothing with --freeze without"
    assert any(named in line for line in messages), messages


@pytest.mark.slow
def test_an_unfrozen_body_learns_after_the_head(tmp_path: Path, species: Path, capsys):
    torch.save(torchvision.models.resnet18(num_classes=7).state_dict(), tmp_path / "w.pth")
    options = ("--model", "resnet18", "--weights", tmp_path / "w.pth", "--freeze", "--unfreeze-after", 1)
    status, out, _ = train_here(capsys, species, "-o", tmp_path / "out", *options, *SMALL, "--epochs", 3)
    assert status == 0
    assert [line.split()[1] for line in out.splitlines() if line.startswith("epoch")] == ["1/3", "2/3", "3/3"]
    rows = list(csv.DictReader((tmp_path / "out/metrics.csv").open()))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    before, last = torch.load(tmp_path / "w.pth"), torch.load(tmp_path / "out/checkpoint.pth")["model"]
    changed = {name for name, value in before.items() if not torch.equal(last[name], value)}
    assert "conv1.weight" in changed
    assert not any("running_" in name for name in changed)  # the head was trained for these statistics


# ----- settings -----


@pytest.mark.slow
@pytest.mark.parametrize(
    ("augment", "balance"),
    [("none", "weights"), ("flip", "sampling"), ("standard", "none"), ("strong", "weights")],
)
def test_every_augmentation_and_balance_trains(tmp_path, species, augment, balance, capsys):
    options = ("--model", "small", "--augment", augment, "--balance", balance, "--ema", "--grad-accum", 2)
    status, out, messages = train_here(capsys, species, "-o", tmp_path, *options, *SMALL)
    assert status == 0, messages
    assert "epoch 2/2" in out
    report = json.loads((tmp_path / "report.json").read_text())
    assert (report["settings"]["augment"], report["settings"]["balance"]) == (augment, balance)


def test_validation_images_may_come_from_another_store(tmp_path: Path, species: Path, capsys):
    """Images of labels that are not trained are counted and named."""
    other = make_store(tmp_path / "other.h5", 12, colours={**SHAPES, "oak": (20, 90, 20)})
    status, _, messages = train_here(capsys, species, "-o", tmp_path / "out", "--val", other, *SMALL)
    assert status == 0, messages
    assert any("24 images to train on, 9 to validate with" in line for line in messages), messages
    assert any("does not use 3 images with other labels (oak)" in line for line in messages)
    colours = make_store(tmp_path / "colours.h5", 12)
    status, _, messages = train_here(capsys, species, "-o", tmp_path / "no", "--val", colours)
    assert status == 1
    assert "none of its labels is one of those that are trained" in messages[-1]


def test_images_in_both_stores_are_counted(tmp_path: Path, species: Path, capsys) -> None:
    """A network knows the images that it is trained on, so they tell nothing of new ones."""
    options = ("-o", tmp_path / "out", "--model", "mlp", "--size", 8, "--epochs", 1)
    other = make_store(tmp_path / "other.h5", 6, 100, SHAPES)
    _, _, messages = train_here(capsys, species, *options, "--val", other, "--val", species)
    assert any("--val: 24 of the images to validate with are trained on, too" in line for line in messages)
    _, _, messages = train_here(capsys, species, *options, "--val", other)
    assert not any("trained on, too" in line for line in messages)


def test_the_weights_are_those_of_the_best_epoch(run: Run, tmp_path: Path, species: Path, capsys):
    """A network that gets worse later keeps its best weights; the checkpoint has the last ones."""
    options = ("--model", "mlp", "--size", 8, "--epochs", 12, "--lr", 0.3, "-b", 4, "--val", species)
    assert train_here(capsys, species, "-o", tmp_path / "out", *options)[0] == 0
    rows = list(csv.DictReader((tmp_path / "out/metrics.csv").open()))
    best = max(float(row["val_accuracy"]) for row in rows)
    done = run("classify.py", species, tmp_path / "out/species_labels.json", "all")
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("accuracy ")]
    assert abs(float(line.split()[1]) - 100 * best) < 0.06
    report = json.loads((tmp_path / "out/report.json").read_text())
    assert float(rows[report["training"]["best_epoch"] - 1]["val_accuracy"]) == best


def test_patience_ends_a_training(tmp_path: Path, species: Path, capsys):
    options = ("--model", "mlp", "--lr", 0, "--epochs", 30, "--patience", 3, "--size", 8)
    status, out, _ = train_here(capsys, species, "-o", tmp_path, *options)
    assert status == 0
    assert sum(line.startswith("epoch") for line in out.splitlines()) == 4
    assert "best epoch: 1 of 4; none was better in 3 epochs, so it ended" in out.splitlines()


@pytest.mark.parametrize("cache", [pytest.param("none", marks=pytest.mark.slow), "ram"])
def test_a_stopped_network_goes_on_bit_for_bit(tmp_path: Path, species: Path, cache: str):
    """With BatchNorm, random crops, an average of the weights and balanced sampling."""
    drawn = ("--augment", "strong", "--ema", 0.9, "--balance", "sampling")
    options = ("--model", "small", *drawn, "--cache", cache, *SMALL, "--epochs", 3)
    assert train_until_check(species, tmp_path / "whole", 10_000, *options) == 0
    assert train_until_check(species, tmp_path / "stopped", 12, *options) == 143
    resume = ("--resume", tmp_path / "stopped/checkpoint.pth", "--epochs", 3)
    assert train_until_check(species, tmp_path / "stopped", 10_000, *resume) == 0
    assert have_equal_weights(tmp_path / "whole", tmp_path / "stopped")
    for folder in ("whole", "stopped"):
        rows = list(csv.DictReader((tmp_path / folder / "metrics.csv").open()))
        assert [row["epoch"] for row in rows] == ["1", "2", "3"]


@pytest.mark.slow
def test_a_resume_needs_the_cache_that_it_had(tmp_path: Path, species: Path, capsys):
    """Crops of cached pictures have other pixels than crops of decoded ones."""
    options = ("--model", "small", "--augment", "standard", *SMALL)
    assert train_here(capsys, species, "-o", tmp_path / "out", *options, "--cache", "none")[0] == 0
    resume = ("--resume", tmp_path / "out/checkpoint.pth", "--epochs", 3)
    status, _, messages = train_here(capsys, species, "-o", tmp_path / "out", *resume, "--cache", "ram")
    assert status == 1
    assert "trained with --cache none" in messages[-1]
    assert "use --cache none" in messages[-1]
    assert train_here(capsys, species, "-o", tmp_path / "out", *resume)[0] == 0


@pytest.mark.slow
def test_the_best_weights_come_along_to_another_folder(tmp_path: Path, species: Path, capsys):
    """And if they are missing, the best epoch is looked for anew."""
    options = ("--model", "mlp", "--size", 8)
    assert train_here(capsys, species, "-o", tmp_path / "a", *options, "--epochs", 2)[0] == 0
    for folder, is_there in (("b", True), ("c", False)):
        shutil.copytree(tmp_path / "a", tmp_path / f"from-{folder}")
        if not is_there:
            (tmp_path / f"from-{folder}/model_weights.pth").unlink()
        resume = ("--resume", tmp_path / f"from-{folder}/checkpoint.pth", "--epochs", 2)
        status, _, messages = train_here(capsys, species, "-o", tmp_path / folder, *resume)
        assert status == 0
        assert any("is missing, so the best epoch" in line for line in messages) is not is_there
        assert (tmp_path / folder / "model_weights.pth").is_file()


def test_a_checkpoint_of_the_first_version_goes_on(tmp_path: Path, colours: Path, capsys):
    """It had no network, no average and no cache."""
    network = FirstColourNet(3)
    optimizer = torch.optim.AdamW(network.parameters(), 3e-3)
    network(torch.zeros((2, 3, 8, 8), dtype=torch.uint8)).sum().backward()
    optimizer.step()
    settings = {"size": 8, "val_fraction": 0.1, "batch_size": 8, "lr": 3e-3, "weight_decay": 0.01,
                "label_smoothing": 0.05, "seed": 0}  # fmt: skip
    state = {**network.state_dict(), "side": torch.tensor(8), "labels_crc32": torch.tensor(0)}
    checkpoint = {
        "settings": settings, "labels": ["blue", "green", "red"], "images": 22, "step": 9,
        "score": (0.0, 0, 0), "model": state, "optimizer": optimizer.state_dict(),
    }  # fmt: skip
    torch.save(checkpoint, tmp_path / "old.pth")
    resume = ("--resume", tmp_path / "old.pth", "--epochs", 4)
    status, out, messages = train_here(capsys, colours, "-o", tmp_path / "out", *resume)
    assert status == 0, messages
    assert [line.split()[1] for line in out.splitlines() if line.startswith("epoch")] == ["4/4"]


def test_a_checkpoint_of_the_second_colour_network_goes_on(tmp_path: Path, colours: Path, capsys):
    """It knew its network, but not that another one would come. The weights say which it is."""
    assert train_here(capsys, colours, "-o", tmp_path / "a", "--size", 8, "--epochs", 1)[0] == 0
    checkpoint = torch.load(tmp_path / "a/checkpoint.pth")
    network = SecondColourNet(3)
    optimizer = torch.optim.AdamW(network.parameters(), 3e-3)
    network(torch.zeros((2, 3, 8, 8), dtype=torch.uint8)).sum().backward()
    optimizer.step()
    average = {f"module.model.{name}": value for name, value in network.state_dict().items()}
    kept = {
        name: value for name, value in checkpoint["average"].items() if not name.startswith("module.model.")
    }
    new = {"model": network.state_dict(), "optimizer": optimizer.state_dict(), "average": {**kept, **average}}
    torch.save({**checkpoint, **new}, tmp_path / "old.pth")
    resume = ("--resume", tmp_path / "old.pth", "--epochs", 2)
    status, out, messages = train_here(capsys, colours, "-o", tmp_path / "out", *resume)
    assert status == 0, messages
    assert [line.split()[1] for line in out.splitlines() if line.startswith("epoch")] == ["2/2"]
    assert "crowd_scale" not in torch.load(tmp_path / "out/model_weights.pth")["state_dict"]
