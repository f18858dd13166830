"""Which place a process has among others, and where they meet."""

from __future__ import annotations

import pytest

from imagestore.console import UserError
from imagestore.training.process_group import (
    ALONE,
    ProcessGroup,
    _check_host,
    first_of_nodes,
    meeting_point,
    place_among_processes,
)

TORCHRUN = {"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1"}
SRUN = {"SLURM_PROCID": "2", "SLURM_STEP_NUM_TASKS": "3", "SLURM_LOCALID": "0", "SLURM_JOB_ID": "77"}


def test_torchrun_and_srun_tell_the_place() -> None:
    assert place_among_processes(TORCHRUN) == ProcessGroup(3, 4, 1)
    assert place_among_processes(SRUN) == ProcessGroup(2, 3, 0)
    assert place_among_processes(TORCHRUN | SRUN) == ProcessGroup(3, 4, 1)


def test_a_batch_script_is_one_process() -> None:
    """Slurm tells a batch script how many tasks the job may start; it has started none of them."""
    assert place_among_processes({"SLURM_NTASKS": "8", "SLURM_PROCID": "0", "SLURM_JOB_ID": "7"}) == ALONE
    assert place_among_processes({}) == ALONE


@pytest.mark.parametrize("odd", [{"RANK": "x"}, {"RANK": "4"}, {"WORLD_SIZE": "0"}])
def test_odd_numbers_are_one_line(odd: dict[str, str]) -> None:
    with pytest.raises(UserError):
        place_among_processes(TORCHRUN | odd)


@pytest.mark.parametrize(
    ("nodes", "first"),
    [
        ("n1", "n1"),
        ("n1,n2", "n1"),
        ("gpu-[03-07,9]", "gpu-03"),
        ("gpu-[03-07,9],login1", "gpu-03"),
        ("login1,gpu-[03-07]", "login1"),
        ("rack[2,4]-ib", "rack2-ib"),
        ("", ""),
    ],
)
def test_the_first_node_of_a_list(nodes: str, first: str) -> None:
    assert first_of_nodes(nodes) == first


def test_the_address_comes_from_the_environment_first() -> None:
    assert meeting_point(SRUN | {"MASTER_ADDR": "a", "MASTER_PORT": "1"}) == ("a", 1)
    with pytest.raises(UserError, match="MASTER_PORT"):
        meeting_point({"MASTER_PORT": "x"})


def test_slurm_tells_where_to_meet() -> None:
    """The first node by its name, or by the address of the node that started the step if it has none."""
    nodes = {"SLURM_STEP_NODELIST": "localhost,n2", "SLURM_STEP_NUM_NODES": "2"}
    launcher = {"SLURM_LAUNCH_NODE_IPADDR": "10.0.0.5"}
    address, port = meeting_point(SRUN | nodes | launcher)
    assert address == "localhost"
    assert port == meeting_point(SRUN)[1] != meeting_point(SRUN | {"SLURM_JOB_ID": "78"})[1]
    unknown = nodes | {"SLURM_STEP_NODELIST": "no-such-node-anywhere.invalid,n2"}
    assert meeting_point(SRUN | unknown | launcher)[0] == "10.0.0.5"


def test_one_process_needs_no_group() -> None:
    assert ALONE.sum(1, 2.5) == [1, 2.5]
    assert ALONE.gather("x") == ["x"]
    assert ALONE.is_first


def test_a_host_that_is_not_known_is_told_at_once() -> None:
    with pytest.raises(UserError, match=r"no\.such\.host\.invalid: this node does not know .* MASTER_ADDR"):
        _check_host("no.such.host.invalid")
    _check_host("127.0.0.1")


def test_a_size_without_a_rank_is_told_at_once() -> None:
    """One process alone needs no rank."""
    with pytest.raises(UserError, match="WORLD_SIZE is set, but RANK is not"):
        place_among_processes({"WORLD_SIZE": "2"})
    assert place_among_processes({"WORLD_SIZE": "1"}).size == 1
