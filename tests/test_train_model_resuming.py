"""train_model.py --resume: a frozen body, other images to validate with, and weights that are not finite."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers.full_disks import mounted_tmpfs
from tests.helpers.small_stores import make_store
from tests.helpers.training_runs import have_equal_weights, train_here, train_until_check, weights_in

SHAPES = {"rose": (200, 90, 120), "tulip": (190, 80, 110), "iris": (90, 80, 190)}  # names that are no colours
MLP = ("--model", "mlp", "--size", 8, "-b", 8)


@pytest.fixture
def species(tmp_path: Path) -> Path:
    """24 images whose labels are no colours."""
    return make_store(tmp_path / "species.h5", 24, colours=SHAPES)


@pytest.fixture
def frozen(species: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> tuple[object, ...]:
    """The flags of a training whose body is frozen."""
    assert train_here(capsys, species, "-o", tmp_path / "start", *MLP, "--epochs", 1)[0] == 0
    return (*MLP, "--weights", tmp_path / "start/model_weights.pth", "--freeze")


def test_a_training_goes_on_behind_its_frozen_part(species: Path, frozen, tmp_path: Path) -> None:
    """Wherever it was stopped: before the head, between the head and the first step, or later."""
    options = (*frozen, "--unfreeze-after", 1, "--epochs", 3)
    assert train_until_check(species, tmp_path / "whole", 10_000, *options) == 0
    stopped_behind_head = 0
    for checks in range(2, 9):
        folder = tmp_path / str(checks)
        assert train_until_check(species, folder, checks, *options) == 143
        if not (folder / "checkpoint.pth").exists():
            continue
        stopped_behind_head += 1
        resume = ("--resume", folder / "checkpoint.pth", "--epochs", 3)
        assert train_until_check(species, folder, 10_000, *resume) == 0
        assert have_equal_weights(tmp_path / "whole", folder)
    assert stopped_behind_head > 1


def test_a_head_trained_alone_is_complete(species: Path, frozen, tmp_path: Path, capsys) -> None:
    """Its loss has one minimum, so further epochs change nothing; nor do they thaw the body."""
    out = tmp_path / "out"
    assert train_here(capsys, species, "-o", out, *frozen, "--epochs", 2)[0] == 0
    before = {name: value.clone() for name, value in weights_in(out).items()}
    resume = ("--resume", out / "checkpoint.pth", "--epochs", 5)
    status, output, messages = train_here(capsys, species, "-o", out, *resume)
    assert status == 0, messages
    assert "epoch" not in output
    assert "validation: accuracy" in output
    assert all(bool((value == before[name]).all()) for name, value in weights_in(out).items())


def test_a_resume_needs_its_images_to_validate_with(species: Path, tmp_path: Path, capsys) -> None:
    """Else the best epoch is not known, and its weights would be lost."""
    other = make_store(tmp_path / "other.h5", 9, colours=SHAPES)
    out = tmp_path / "out"
    assert train_here(capsys, species, "-o", out, *MLP, "--epochs", 2, "--val", other)[0] == 0
    before = (out / "model_weights.pth").read_bytes()
    resume = ("--resume", out / "checkpoint.pth", "--epochs", 3)
    for given in ((), ("--val", species)):
        status, _, messages = train_here(capsys, species, "-o", out, *resume, *given)
        assert (status, (out / "model_weights.pth").read_bytes() == before) == (1, True)
        assert "made with other images to validate with: give the same --val" in messages[-1]
    assert train_here(capsys, species, "-o", out, *resume, "--val", other)[0] == 0


def test_a_resume_needs_its_normalisation(species: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "out"
    assert train_here(capsys, species, "-o", out, *MLP, "--epochs", 1, "--mean", 0.1, 0.2, 0.3)[0] == 0
    resume = ("--resume", out / "checkpoint.pth", "--epochs", 2)
    status, _, messages = train_here(capsys, species, "-o", out, *resume, "--mean", 0.3, 0.2, 0.1)
    assert status == 1
    assert "--mean: the checkpoint was made with 0.1 0.2 0.3: leave --mean out" in messages[-1]
    assert train_here(capsys, species, "-o", out, *resume, "--mean", 0.1, 0.2, 0.3)[0] == 0


def test_weights_that_are_not_finite_are_not_kept(species: Path, tmp_path: Path, capsys) -> None:
    """The checkpoint and the weights of the epochs before stay."""
    out = tmp_path / "out"
    assert train_here(capsys, species, "-o", out, *MLP, "--epochs", 2)[0] == 0
    kept = {path.name: path.read_bytes() for path in out.glob("*.pth")}
    status, _, messages = train_here(capsys, species, "-o", out, *MLP, "--epochs", 2, "--lr", 1e15)
    assert status == 1
    assert messages[-1].endswith("choose a smaller --lr than 1e+15")
    assert not any("wrote a checkpoint" in line for line in messages)
    assert {path.name: path.read_bytes() for path in out.glob("*.pth")} == kept


def test_a_full_disk_in_the_middle_loses_nothing(species: Path, tmp_path: Path, capsys) -> None:
    """Weights and checkpoint of the epoch before are whole, and the last lines say how to go on."""
    out = tmp_path / "out"
    out.mkdir()
    with mounted_tmpfs(out, "size=1900k"):  # holds the weights and one checkpoint of 1 MB, but not two
        status, output, messages = train_here(capsys, species, "-o", out, *MLP, "--epochs", 3)
        assert (status, output.count("epoch ")) == (1, 2)
        assert messages[-1].startswith("train_model: error: No space left on device")
        checkpoint = out / "checkpoint.pth"
        assert messages[-2].endswith(f"after 3 steps is whole: go on from it with --resume {checkpoint}")
        assert not [path for path in out.iterdir() if path.name.startswith(".")]
        resume = ("--resume", checkpoint, "--epochs", 3)
        assert train_here(capsys, species, "-o", tmp_path / "elsewhere", *resume)[0] == 0
    assert train_here(capsys, species, "-o", tmp_path / "whole", *MLP, "--epochs", 3)[0] == 0
    assert have_equal_weights(tmp_path / "elsewhere", tmp_path / "whole")


@pytest.mark.slow
def test_a_missing_compiler_is_one_line(species: Path, tmp_path: Path, capsys, monkeypatch) -> None:
    """Of torch.compile, which asks for one on processors."""
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("torch._inductor.config.cpp.cxx", (None, "none-such"))
    status, _, messages = train_here(capsys, species, "-o", tmp_path / "out", *MLP, "--compile")
    assert status == 1
    assert "--compile: torch.compile cannot compile this network here (" in messages[-1]
