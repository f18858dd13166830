"""The batch scripts in jobs/, run by a real Slurm: array job and merge, a training that is requeued."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import h5py
import pytest

from tests.helpers.commands import ROOT, missing_for_fuse
from tests.helpers.hooks import write_hook
from tests.helpers.jobs import (
    EPOCH,
    hooked,
    logs,
    slurm_or_skip,
    submit,
    wait_for,
    wait_for_epoch,
    write_site,
)
from tests.helpers.slurm import Slurm, wait_until
from tests.helpers.small_stores import make_store
from tests.helpers.training_runs import train_here, weights_in

SCRIPTS = sorted((ROOT / "jobs").rglob("*.s*h"))

pytestmark = pytest.mark.timeout(600)  # a requeued job waits, and a machine may be busy


@pytest.fixture(scope="module")
def slurm() -> Iterator[Slurm]:
    """A Slurm for this file."""
    yield from slurm_or_skip()


def images(path: Path) -> list[str]:
    """The names of a store's images, without their labels."""
    names: list[str] = []
    with h5py.File(path) as store:
        store.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
    return [name.split("/", 1)[1] for name in names]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_scripts_are_clean(script: Path) -> None:
    subprocess.run(["bash", "-n", script], check=True, timeout=120)
    if shutil.which("shellcheck"):
        found = subprocess.run(["shellcheck", script], capture_output=True, text=True, timeout=120)
        assert found.stdout == ""


@pytest.mark.parametrize(("script", "message"), [("partition", "give an archive"), ("look", "give a store")])
def test_without_arguments_they_say_what_they_need(script: str, message: str) -> None:
    path = ROOT / f"jobs/{script}.sbatch"
    done = subprocess.run(["bash", path], capture_output=True, text=True, timeout=120)
    assert done.returncode == 2
    assert message in done.stderr


@pytest.mark.slow
def test_merge_waits_for_an_array_job_of_partition(slurm: Slurm, sample: Path, tmp_path: Path) -> None:
    array = submit(slurm, tmp_path, "partition", sample, 0.7, "--seed", 1, array="1-2")
    merge = submit(slurm, tmp_path, "merge", dependency=f"afterok:{array}")
    wait_for(slurm, merge, "COMPLETED", tmp_path)
    assert slurm.states(array) == {"COMPLETED"}
    parts = [images(tmp_path / f"{part}-{task}.h5") for part in ("train", "test") for task in (1, 2)]
    assert all(parts)
    wholes = [images(tmp_path / f"{part}.h5") for part in ("train", "test")]
    assert sorted(wholes[0]) == sorted(parts[0] + parts[1])
    assert sorted(wholes[1]) == sorted(parts[2] + parts[3])
    assert len(set(wholes[0] + wholes[1])) == len(wholes[0] + wholes[1]) == 60


@pytest.mark.slow
def test_a_job_sees_its_store_as_a_folder(slurm: Slurm, sample_store: Path, tmp_path: Path) -> None:
    if reason := missing_for_fuse("mfusepy") and missing_for_fuse("fusepy"):
        pytest.skip(reason)
    count = "from pathlib import Path; print(sum(path.is_file() for path in Path('{}').rglob('*')), 'files')"
    job = submit(slurm, tmp_path, "look", sample_store, "python3", "-c", count)
    wait_for(slurm, job, "COMPLETED", tmp_path)
    assert "60 files" in logs(tmp_path)
    assert f"mnt-{job}" not in Path("/proc/self/mounts").read_text()


@pytest.mark.slow
def test_a_warned_training_is_requeued_and_goes_on(slurm: Slurm, tmp_path: Path) -> None:
    """Only the batch shell gets USR1, as before a time limit. No epoch is lost or done twice."""
    store = make_store(tmp_path / "train.h5", 60)
    arguments = ("train", store, "--epochs", 100_000, "--val-fraction", 0)
    job = submit(slurm, tmp_path, *arguments)
    wait_for_epoch(slurm, job, 3, tmp_path)
    slurm("scancel", "--batch", "--signal=USR1", job)
    wait_for(slurm, job, "PENDING", tmp_path)
    assert (tmp_path / "checkpoint.pth").is_file()
    assert (tmp_path / "model_weights.pth").is_file()
    assert "goes back into the queue" in logs(tmp_path)

    before = len(EPOCH.findall(logs(tmp_path)))
    wait_for_epoch(slurm, job, before + 1, tmp_path)
    assert "Restarts=1" in slurm.job(job)
    slurm("scancel", job)
    wait_for(slurm, job, "CANCELLED", tmp_path)
    epochs = list(map(int, EPOCH.findall(logs(tmp_path))))
    assert epochs == list(range(1, len(epochs) + 1))


@pytest.mark.slow
def test_a_preempted_training_goes_on_too(slurm: Slurm, tmp_path: Path) -> None:
    """Slurm sends SIGTERM before a preemption, and the job still runs then: nobody has cancelled it."""
    store = make_store(tmp_path / "train.h5", 60)
    job = submit(slurm, tmp_path, "train", store, "--epochs", 100_000, "--val-fraction", 0)
    wait_for_epoch(slurm, job, 2, tmp_path)
    slurm("scancel", "--batch", "--signal=TERM", job)
    wait_for(slurm, job, "PENDING", tmp_path)
    slurm("scancel", job)
    wait_for(slurm, job, "CANCELLED", tmp_path)


@pytest.mark.slow
def test_two_runs_without_progress_are_the_end(slurm: Slurm, sample: Path, tmp_path: Path) -> None:
    """A program that is always killed at its start is tried once more, and not for ever."""
    kill = write_hook(tmp_path / "hook", "open", ".train-1.h5.")
    site = write_site(tmp_path / "site.sh", hooked(kill, "true"))
    slurm = Slurm({**slurm.environment, "SITE": str(site)})
    job = submit(slurm, tmp_path, "partition", sample, 0.7, array="1-1")
    wait_for(slurm, job, "FAILED", tmp_path)
    assert "Restarts=1" in slurm.job(job)
    assert logs(tmp_path).count("goes back into the queue") == 1
    assert "status 137, twice without progress" in logs(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("signal", ["", "TERM"])
def test_each_node_has_a_mount_until_the_end(slurm: Slurm, sample_store, tmp_path, signal) -> None:
    if reason := missing_for_fuse("mfusepy") and missing_for_fuse("fusepy"):
        pytest.skip(reason)
    count = "ls {}/* | grep -c jpg; " + ("sleep 300" if signal else "true")
    job = submit(slurm, tmp_path, "look", sample_store, "bash", "-c", count, nodes=2)
    wait_until(lambda: logs(tmp_path).count("60\n") == 2, lambda: logs(tmp_path))
    if signal:
        assert Path("/proc/self/mounts").read_text().count(f"mnt-{job}") == 2
        slurm("scancel", "--batch", f"--signal={signal}", job)
    wait_for(slurm, job, "FAILED" if signal else "COMPLETED", tmp_path)
    assert f"mnt-{job}" not in Path("/proc/self/mounts").read_text()


@pytest.mark.slow
def test_tasks_of_srun_train_together(slurm: Slurm, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """Two tasks on two nodes, whose names do not resolve, train as one process with twice the batch."""
    store = make_store(tmp_path / "train.h5", 60)
    common = ["--epochs", "3", "--size", "16", "-j", "1"]
    train = [sys.executable, ROOT / "train_model.py", store, "-o", tmp_path / "two", "-b", "8", *common]
    command = shlex.join(["srun", "--ntasks=2", *map(str, train)])
    flags = ("--nodes=2", "--ntasks=2", f"--output={tmp_path}/two.log")
    job = slurm.submit(*flags, f"--wrap={command}", cwd=tmp_path)
    wait_for(slurm, job, "COMPLETED", tmp_path)
    assert "by 2 processes: 16 images in a step" in logs(tmp_path)
    assert EPOCH.findall(logs(tmp_path)) == ["1", "2", "3"]  # one of them speaks
    assert train_here(capsys, store, "-o", tmp_path / "one", "-b", 16, *common)[0] == 0
    one, two = weights_in(tmp_path / "one"), weights_in(tmp_path / "two")
    assert all((one[name] - two[name]).abs().max() < 1e-5 for name in one)


@pytest.mark.slow
def test_a_failed_training_is_not_requeued(slurm: Slurm, tmp_path: Path) -> None:
    job = submit(slurm, tmp_path, "train", tmp_path / "missing.h5")
    wait_for(slurm, job, "FAILED", tmp_path)
    assert "Restarts=0" in slurm.job(job)
    assert "missing.h5: no such file" in logs(tmp_path)
