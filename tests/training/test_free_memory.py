"""How much memory a process may still use: control groups of both versions, made of plain files."""

from __future__ import annotations

import os
from pathlib import Path

from imagestore.training.free_memory import available_memory, left_by_control_groups


def make_group(folder: Path, **contents: object) -> None:
    """Make a control group's folder; `memory_max=5` makes its file memory.max."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (folder / name.replace("_", ".", 1)).write_text(f"{content}\n")


def test_all_groups_around_a_process_limit_its_memory(tmp_path: Path) -> None:
    """Slurm limits the job, some folders above the process. Siblings and missing folders do not count."""
    job = tmp_path / "system.slice/slurmstepd.scope/job_7"
    make_group(tmp_path / "system.slice", memory_max=9000, memory_current=2000)
    make_group(job, memory_max=5000, memory_current=1500)
    make_group(job / "step_0/user", memory_max="max", memory_current=1400)
    make_group(tmp_path / "system.slice/slurmstepd.scope/job_8", memory_max=10, memory_current=9)
    step = "0::/system.slice/slurmstepd.scope/job_7/step_0/user\n"
    assert sorted(left_by_control_groups(step, tmp_path)) == [3500, 7000]
    assert list(left_by_control_groups("0::/seen/from/outside\n", job)) == [3500]
    assert list(left_by_control_groups("0::/\n", tmp_path)) == []


def test_memory_in_control_groups_of_version_1(tmp_path: Path) -> None:
    """Only the memory controller counts. Version 2 may be mounted beside it, without its files."""
    job = tmp_path / "memory/slurm/uid_1/job_7"
    make_group(tmp_path / "memory", memory_limit_in_bytes=2**63 - 4096, memory_usage_in_bytes=4096)
    make_group(job, memory_limit_in_bytes=800, memory_usage_in_bytes=300)
    make_group(tmp_path / "cpu/slurm/uid_1/job_7", memory_limit_in_bytes=3, memory_usage_in_bytes=1)
    groups = "9:cpu,cpuacct:/slurm/uid_1/job_7\n5:memory:/slurm/uid_1/job_7\n1:name=systemd:/a:b\n0::/\n"
    assert sorted(left_by_control_groups(groups, tmp_path)) == [500, 2**63 - 8192]


def test_this_machine_has_some_memory_available() -> None:
    assert 0 < available_memory() <= os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
