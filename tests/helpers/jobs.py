"""Jobs of a real Slurm: submitting the scripts in jobs/, waiting for them, reading their logs."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.commands import ROOT
from tests.helpers.slurm import Slurm, missing, running_slurm, wait_until

EPOCH = re.compile(r"^epoch (\d+)/", re.MULTILINE)
SITE = """
SITE_OPTIONS=(-p main)
PARTITION_OPTIONS=(-t 10 -c 1)
MERGE_OPTIONS=(-t 10)
TRAIN_OPTIONS=(-t 10 -c 1)
GPU_OPTIONS=(--gres=gpu:1)
CLASSIFY_OPTIONS=(-t 10 -c 2)
SCRATCH=(/dev/shm)
site_environment() {{ export OMP_NUM_THREADS=1; {also}; }}
"""


def slurm_or_skip() -> Iterator[Slurm]:
    """A Slurm for a file of tests. Skips if none can run here; if REQUIRE_SLURM is set, fails instead."""
    reason = missing()
    if reason and os.environ.get("REQUIRE_SLURM"):
        pytest.fail(reason)
    if reason:
        pytest.skip(reason)
    with running_slurm() as slurm:
        yield slurm


def write_site(path: Path, also: str = ":") -> Path:
    """A site file for the two nodes of two CPUs, without GPUs. `also` runs at the beginning of each job."""
    path.write_text(SITE.format(also=also))
    return path


def hooked(hook: Path, lives: str) -> str:
    """Bash for a site file: the Python programs of a job get a hook, see hooks.py.

    `lives` is a condition for the runs of the job in which they do.
    """
    return f"if {lives}; then export PYTHONPATH={shlex.quote(str(hook))}; fi"


def submit(slurm: Slurm, folder: Path, script: str, *arguments: object, **options: object) -> str:
    """Submit a script from the checkout, as its comments say, to run in `folder`."""
    flags = [f"--{name}={value}" for name, value in options.items()]
    return slurm.submit(f"--chdir={folder}", *flags, f"jobs/{script}.sbatch", *arguments, cwd=ROOT)


def pipeline(slurm: Slurm, *arguments: object, cwd: Path) -> subprocess.CompletedProcess:
    """jobs/pipeline.sh as a user runs it."""
    return _run(slurm, "pipeline.sh", arguments, cwd)


def status(slurm: Slurm, folder: Path) -> subprocess.CompletedProcess:
    """jobs/status.sh of a folder."""
    return _run(slurm, "status.sh", [folder], ROOT)


def _run(slurm: Slurm, script: str, arguments: object, cwd: Path) -> subprocess.CompletedProcess:
    words = list(map(str, [ROOT / "jobs" / script, *arguments]))
    return subprocess.run(words, cwd=cwd, env=slurm.environment, capture_output=True, text=True, timeout=180)


def job_numbers(done: subprocess.CompletedProcess) -> dict[str, str]:
    """Step -> number of its job, by what pipeline.sh prints."""
    assert done.returncode == 0, done.stderr
    return dict(re.findall(r"^(partition|merge|train|classify) +(\d+) ", done.stdout, re.MULTILINE))


def logs(folder: Path) -> str:
    """Everything the jobs in a folder wrote."""
    return "\n".join(f"{path.name}:\n{path.read_text()}" for path in sorted(folder.rglob("*.log")))


def wait_for(slurm: Slurm, job: str, state: str, folder: Path) -> None:
    """Wait until every task of a job has come to a state."""
    wait_until(lambda: slurm.states(job) == {state}, lambda: slurm.job(job) + logs(folder))


def wait_for_epoch(slurm: Slurm, job: str, number: int, folder: Path) -> None:
    """Wait until the log of a training has so many epochs; fails if the job ends before."""

    def has_come() -> bool:
        assert not slurm.states(job) & {"FAILED", "COMPLETED", "CANCELLED"}, logs(folder)
        return len(EPOCH.findall(logs(folder))) >= number

    wait_until(has_come, lambda: slurm.job(job) + logs(folder))
