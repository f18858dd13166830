"""The processes that train one network together: as torchrun or srun started them, or one alone.

NCCL sums the gradients of GPUs. Gloo does all else: a number that went through a GPU would wait for all the
work that the GPU still has to do. Everything here is the same for one process, without a group.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
from torch import distributed

from imagestore.console import UserError, first_line
from imagestore.networks.device import choose_device
from imagestore.processes import Stop

T = TypeVar("T")
MEETING = timedelta(seconds=120)  # for the last process to start
WAIT = timedelta(minutes=30)  # for the slowest process, such as one that decodes a cache
FIRST_PORT, PORTS = 20_000, 10_000  # for jobs of Slurm, by their number


@dataclass(frozen=True)
class ProcessGroup:
    """The place of this process among those of a training."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0  # among those of its node

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes and speaks."""
        return self.rank == 0

    def sum(self, *numbers: float) -> list[float]:
        """The sums of numbers over all processes."""
        if self.size == 1:
            return list(numbers)
        total = torch.tensor(numbers, dtype=torch.float64)
        distributed.all_reduce(total)
        return total.tolist()

    def share_stop(self, stop: Stop, stopped: float) -> bool:
        """Whether any processes have `stopped`. Then all get the signal of one of them.

        So all leave in the same place, with the same exit status.
        """
        if stopped and self.size > 1:
            stop.signum = next(signum for signum in (stop.signum, *self.gather(stop.signum)) if signum)
        return bool(stopped)

    def align(self, tensors: Iterable[torch.Tensor]) -> None:
        """Give all processes the values that the first one has."""
        if self.size > 1:
            for tensor in tensors:
                distributed.broadcast(tensor, 0)

    def gather(self, value: T) -> list[T]:
        """The values of all processes, in the order of their ranks."""
        values = [value] * self.size
        if self.size > 1:
            distributed.all_gather_object(values, value)
        return values


ALONE = ProcessGroup()


@contextlib.contextmanager
def in_group(device: str | None) -> Iterator[ProcessGroup]:
    """Join the processes that torchrun or srun has started beside this one, and leave them at the end.

    Only the first process speaks, except that each tells its own errors. `device` is the one that the user
    asked for. Raises UserError if they cannot meet, if two would share a GPU, or if another has ended.
    """
    group = place_among_processes(os.environ)
    if group.size == 1:
        yield group
        return
    _meet(group, device)
    try:
        with contextlib.ExitStack() as silent:
            if not group.is_first:
                nowhere = silent.enter_context(open(os.devnull, "w", encoding="utf-8"))
                silent.enter_context(contextlib.redirect_stdout(nowhere))
                silent.enter_context(contextlib.redirect_stderr(nowhere))
            if (gpu := choose_device(device)).type == "cuda":
                _take_gpu(group, gpu)
            yield group
    except (distributed.DistError, RuntimeError) as error:
        if isinstance(error, torch.OutOfMemoryError) or "peer" not in str(error).lower():
            raise
        raise UserError(f"process {group.rank}: another process of this training has ended") from error
    finally:
        distributed.destroy_process_group()


def end_one_of_several(status: int) -> None:
    """End this process at once if it is one of several that trained together.

    DistributedDataParallel keeps threads of Gloo alive (seen with PyTorch 2.14). They may abort a Python that
    is ending: "terminate called without an active exception", once in some dozens of trainings.
    """
    if any(os.environ.get(name, "1") != "1" for name in ("WORLD_SIZE", "SLURM_STEP_NUM_TASKS")):
        with contextlib.suppress(OSError, ValueError):  # a pipe that nobody reads
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


def _meet(group: ProcessGroup, device: str | None) -> None:
    """Raise UserError if the processes cannot meet."""
    uses_gpus = choose_device(device).type == "cuda"
    address, port = meeting_point(os.environ)
    _check_host(address)
    hosts_the_store = group.is_first and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True"
    try:
        store = distributed.TCPStore(
            address, port, group.size, hosts_the_store, timeout=MEETING, wait_for_workers=False
        )
        store.set(f"imagestore/{group.rank}", "here")
        store.wait([f"imagestore/{rank}" for rank in range(group.size)], MEETING)
        backend = "cpu:gloo,cuda:nccl" if uses_gpus else "gloo"
        distributed.init_process_group(
            backend, store=store, rank=group.rank, world_size=group.size, timeout=WAIT
        )
    except (RuntimeError, ValueError, OSError) as error:
        raise UserError(
            f"{group.size} processes were started, but they do not meet at {address}:{port} within "
            f"{MEETING.seconds} s ({first_line(error)}); set MASTER_ADDR and MASTER_PORT, or start one task "
            "(srun --ntasks=1)"
        ) from None


def _take_gpu(group: ProcessGroup, device: torch.device) -> None:
    """Make the GPU of this process the one that "cuda" means. Raises UserError if another process has it."""
    count = torch.cuda.device_count()
    index = group.local_rank % count if device.index is None else device.index
    torch.cuda.set_device(index)
    known_by = getattr(torch.cuda.get_device_properties(index), "uuid", group.rank)  # PyTorch 2.4 or newer
    if len(set(group.gather((socket.gethostname(), str(known_by))))) < group.size:
        raise UserError(
            f"{group.size} processes were started, but some would share a GPU (this node has {count}): start "
            "one process for each GPU, or use --device cpu"
        )


def _check_host(address: str) -> None:
    """Raise UserError if the name of the first process's node is not known: torch would try for minutes."""
    try:
        socket.getaddrinfo(address, None)
    except OSError as error:
        raise UserError(
            f"{address}: this node does not know the node of the first process ({error.strerror}); "
            "set MASTER_ADDR to its address"
        ) from None


def place_among_processes(environment: Mapping[str, str]) -> ProcessGroup:
    """What torchrun says (WORLD_SIZE), else what srun says of its step. Raises UserError."""
    if "WORLD_SIZE" in environment:
        names = ("RANK", "WORLD_SIZE", "LOCAL_RANK")
    elif "SLURM_STEP_NUM_TASKS" in environment:  # set by srun; a batch script alone does not have it
        names = ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID")
    else:
        return ALONE
    if names[0] not in environment and environment[names[1]] != "1":
        raise UserError(f"{names[1]} is set, but {names[0]} is not: start the processes with torchrun")
    try:
        rank, size, local_rank = (int(environment.get(name, "0")) for name in names)
    except ValueError:
        raise UserError(f"{', '.join(names)}: not the numbers of processes") from None
    if not 0 <= rank < size:
        raise UserError(f"{names[0]}={rank} is not below {names[1]}={size}")
    return ProcessGroup(rank, size, local_rank)


def meeting_point(environment: Mapping[str, str]) -> tuple[str, int]:
    """The address and the port of the first process: MASTER_ADDR and MASTER_PORT, else as Slurm tells them.

    Raises UserError.
    """
    try:
        job = sum(int(environment.get(name) or 0) for name in ("SLURM_JOB_ID", "SLURM_STEP_ID"))
        port = int(environment.get("MASTER_PORT") or FIRST_PORT + job % PORTS)
    except ValueError:
        raise UserError("MASTER_PORT, SLURM_JOB_ID or SLURM_STEP_ID is no number") from None
    return environment.get("MASTER_ADDR") or _first_host(environment), port


def _first_host(environment: Mapping[str, str]) -> str:
    """The first node of the step, if its name resolves; else the address of the node that started it."""
    name = first_of_nodes(environment.get("SLURM_STEP_NODELIST", ""))
    if environment.get("SLURM_STEP_NUM_NODES") == "1":
        return "127.0.0.1"
    try:
        socket.getaddrinfo(name or "", None)
    except OSError:
        return environment.get("SLURM_LAUNCH_NODE_IPADDR", "127.0.0.1")
    return name or environment.get("SLURM_LAUNCH_NODE_IPADDR", "127.0.0.1")


def first_of_nodes(nodes: str) -> str:
    """The first node of Slurm's list, such as `gpu-[03-07,9],login1`."""
    name, bracket, rest = nodes.partition("[")
    if not bracket or "," in name:
        return name.partition(",")[0]
    inside, _, behind = rest.partition("]")
    return name + inside.split(",")[0].split("-")[0] + behind.partition(",")[0]
