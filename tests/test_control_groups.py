"""Control groups of both versions, made of plain files."""

from __future__ import annotations

from pathlib import Path

from imagestore.control_groups import cpu_quotas, memory_left


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
    assert sorted(memory_left(step, tmp_path)) == [3500, 7000]
    assert list(memory_left("0::/seen/from/outside\n", job)) == [3500]
    assert list(memory_left("0::/\n", tmp_path)) == []


def test_memory_in_control_groups_of_version_1(tmp_path: Path) -> None:
    """Only the memory controller counts. Version 2 may be mounted beside it, without its files."""
    job = tmp_path / "memory/slurm/uid_1/job_7"
    make_group(tmp_path / "memory", memory_limit_in_bytes=2**63 - 4096, memory_usage_in_bytes=4096)
    make_group(job, memory_limit_in_bytes=800, memory_usage_in_bytes=300)
    make_group(tmp_path / "cpu/slurm/uid_1/job_7", memory_limit_in_bytes=3, memory_usage_in_bytes=1)
    groups = "9:cpu,cpuacct:/slurm/uid_1/job_7\n5:memory:/slurm/uid_1/job_7\n1:name=systemd:/a:b\n0::/\n"
    assert sorted(memory_left(groups, tmp_path)) == [500, 2**63 - 8192]


def test_all_groups_around_a_process_limit_its_processors(tmp_path: Path) -> None:
    """The quota is microseconds in each period; 150 ms of 100 ms are two CPUs."""
    make_group(tmp_path / "job", cpu_max="150000 100000")
    make_group(tmp_path / "job/step", cpu_max="max 100000")
    make_group(tmp_path / "other", cpu_max="1000 100000")
    assert list(cpu_quotas("0::/job/step\n", tmp_path)) == [2]


def test_processors_in_control_groups_of_version_1(tmp_path: Path) -> None:
    make_group(tmp_path / "cpu/job", cpu_cfs_quota_us=300_000, cpu_cfs_period_us=100_000)
    make_group(tmp_path / "cpu", cpu_cfs_quota_us=-1, cpu_cfs_period_us=100_000)
    groups = "3:cpu,cpuacct:/job\n4:cpuset:/other\n0::/\n"
    assert list(cpu_quotas(groups, tmp_path)) == [3]
