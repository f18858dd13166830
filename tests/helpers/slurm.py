"""A real Slurm on this machine: a controller and two nodes of two CPUs each, in a folder of its own.

All of it is private, munge's key and socket too: a Slurm that already runs here is not touched.
Needs root, and the packages slurmctld, slurmd, slurm-client and munge.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.helpers.commands import ROOT
from tests.helpers.ports import FIRST, free_ports

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "scontrol", "scancel", "squeue")
NODES = ("n1", "n2")
PATIENCE = 250.0  # seconds to wait for a change
PATIENCE_AT_THE_END = 20.0  # seconds for the daemons to end by themselves

CONFIGURATION = """
ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
SlurmUser=root
SlurmdUser=root
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
SlurmdSpoolDir={folder}/%n
StateSaveLocation={folder}/state
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/%n.log
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=1
FirstJobId={first_job}
ReturnToService=2
MessageTimeout=60
TCPTimeout=30
BatchStartTimeout=60
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
KillWait=5
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=2 RealMemory=8000
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=2 RealMemory=8000
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def missing() -> str:
    """The reason why Slurm cannot run on this machine, or an empty string."""
    if os.geteuid() != 0:
        return "Slurm's daemons need root"
    not_installed = [program for program in PROGRAMS if shutil.which(program) is None]
    return (
        f"not installed: {', '.join(not_installed)} (apt install slurmctld slurmd slurm-client munge)"
        if not_installed
        else ""
    )


@dataclass(frozen=True)
class Slurm:
    """A running Slurm; its commands and jobs find it through `environment`."""

    environment: dict[str, str]

    def __call__(self, *command: object, cwd: Path | None = None) -> str:
        """Run one of Slurm's commands; its output. It must succeed."""
        done = subprocess.run(
            list(map(str, command)),
            env=self.environment,
            cwd=cwd,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, f"{command}: {done.stderr}"
        return done.stdout.strip()

    def submit(self, *arguments: object, cwd: Path) -> str:
        """`sbatch` from `cwd`; the number of the job."""
        return self("sbatch", "--parsable", *arguments, cwd=cwd)

    def job(self, number: str) -> str:
        """The controller's description of a job, or of each task of an array."""
        return self("scontrol", "show", "job", number)

    def states(self, number: str) -> set[str]:
        """The states of a job's tasks."""
        return set(re.findall(r"JobState=(\w+)", self.job(number)))

    def wait_until_idle(self) -> None:
        """Wait until no node has a job."""
        nodes = ("scontrol", "show", "nodes")
        wait_until(lambda: self(*nodes).count("State=IDLE ") == len(NODES), lambda: self(*nodes))


def wait_until(is_true: Callable[[], object], describe: Callable[[], str]) -> None:
    """Wait until `is_true()`; after PATIENCE fail with the text of `describe()`."""
    deadline = time.monotonic() + PATIENCE
    while not is_true():
        assert time.monotonic() < deadline, describe()
        time.sleep(0.1)


@contextlib.contextmanager
def running_slurm() -> Iterator[Slurm]:
    """Start Slurm and end it. If the tests are killed, a guard process ends Slurm."""
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))  # a short path: it must fit into the name of a socket
    folder.chmod(0o755)  # munge wants everybody to reach its socket
    guard = [sys.executable, "-m", __name__, str(folder)]
    with subprocess.Popen(guard, cwd=ROOT, stdin=subprocess.PIPE, start_new_session=True):
        yield _started(folder)


def _started(folder: Path) -> Slurm:
    (folder / "state").mkdir()
    (folder / "munge.key").write_bytes(os.urandom(128))
    (folder / "munge.key").chmod(0o400)
    configuration = folder / "slurm.conf"
    ports, host = free_ports(3), socket.gethostname().split(".")[0]
    # Names in /tmp and /dev/shm, and ports of trainings, have the job's number: each Slurm has others.
    first_job = ports[0] - FIRST + 1
    text = CONFIGURATION.format(host=host, ports=ports, first_job=first_job, folder=folder)
    configuration.write_text(text)
    # Jobs inherit this PATH: its python3 is the interpreter that runs the tests.
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    slurm = Slurm({**os.environ, "SLURM_CONF": str(configuration), "PATH": path})
    files = {"key-file": "munge.key", "socket": "munge.socket", "pid-file": "munged.pid",
             "log-file": "munged.log", "seed-file": "munged.seed"}  # fmt: skip
    slurm("munged", "--force", *(f"--{option}={folder / name}" for option, name in files.items()))
    slurm("slurmctld", "-f", configuration)
    for node in NODES:
        (folder / node).mkdir()
        slurm("slurmd", "-N", node, "-f", configuration)
    slurm.wait_until_idle()
    return slurm


def _pids(folder: Path) -> list[int]:
    """The ids of the daemons that still run, by their pid files."""
    pids = []
    for pid_file in folder.glob("*.pid"):
        with contextlib.suppress(OSError, ValueError):
            pid = int(pid_file.read_text())
            os.kill(pid, 0)
            pids.append(pid)
    return pids


def _end(folder: Path) -> None:
    """Cancel every job, then end each daemon: first with SIGTERM, then with SIGKILL."""
    _cancel_jobs({**os.environ, "SLURM_CONF": str(folder / "slurm.conf")})
    for kind in (signal.SIGTERM, signal.SIGKILL):
        for pid in _pids(folder):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, kind)
        deadline = time.monotonic() + PATIENCE_AT_THE_END
        while _pids(folder) and time.monotonic() < deadline:
            time.sleep(0.1)
    shutil.rmtree(folder, ignore_errors=True)


def _cancel_jobs(environment: dict[str, str]) -> None:
    """Cancel all jobs and wait until their processes have ended: they would outlive the daemons."""
    deadline = time.monotonic() + PATIENCE_AT_THE_END
    with contextlib.suppress(subprocess.SubprocessError):  # without a controller there are no jobs
        options = {"env": environment, "check": True, "capture_output": True, "timeout": PATIENCE_AT_THE_END}
        subprocess.run(["scancel", "--user=root"], **options)
        while subprocess.run(["squeue", "--noheader"], **options).stdout and time.monotonic() < deadline:
            time.sleep(0.1)


if __name__ == "__main__":  # the guard
    sys.stdin.read()
    _end(Path(sys.argv[1]))
