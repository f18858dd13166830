"""HDF5 behind a process boundary: a crash or silence costs one question, and no process is left behind."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest

from imagestore.hdf5 import held_files, helper_process, objects
from imagestore.hdf5.entry import DAMAGED, Entry
from imagestore.hdf5.helper_process import ENTRIES_AT_ONCE, HelperProcess
from imagestore.processes import ENDING
from tests.helpers.commands import ROOT, environment
from tests.helpers.errors import assert_eio
from tests.helpers.held_images import padded, picture
from tests.helpers.odd_stores import make_damaged, make_odd, some_bytes

DATASET = b"files/gzip.jpg"
SECONDS_TO_WAIT = 120


@contextlib.contextmanager
def helper_for(path: Path) -> Iterator[HelperProcess]:
    with path.open("rb") as file:
        helper = HelperProcess(path, file.fileno())
        yield helper
        helper.close()


@pytest.fixture
def helper(tmp_path) -> Iterator[HelperProcess]:
    """A helper for a file with every kind of object; it has answered a question."""
    path = tmp_path / "odd.h5"
    make_odd(path)
    with helper_for(path) as helper:
        assert helper.entry(b"").kind == "group"
        yield helper


def has_ended(pid: int) -> bool:
    """Whether a process is gone, or a zombie that nobody has waited for."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def wait_until(is_true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS_TO_WAIT
    while not is_true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


# ----- questions -----


def test_questions_are_answered(helper):
    assert helper.read(DATASET, 0, 5000) == some_bytes(1)
    assert helper.read(DATASET, 4990, 100) == some_bytes(1)[4990:]
    assert helper.attributes(b"")["half"] == b"0.5"
    assert [entry.name for entry in helper.entries(b"shadow")] == [b"x", b"x.npy"]
    assert helper.entry(DATASET).size == 5000


@pytest.mark.parametrize("size", [0, 1, ENTRIES_AT_ONCE - 1, ENTRIES_AT_ONCE, ENTRIES_AT_ONCE + 1, 2000])
def test_a_long_listing_arrives_whole(tmp_path, size):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        group = file.create_group("label")
        for i in range(size):
            group[f"{i:04d}"] = h5py.SoftLink("/")
    with helper_for(tmp_path / "a.h5") as helper:
        names = [entry.name for entry in helper.entries(b"label")]
        assert names == [b"%04d" % i for i in range(size)]
        assert helper.entry(b"label").kind == "group"


def test_an_error_of_hdf5_is_an_errno_and_the_process_lives(tmp_path):
    path = tmp_path / "damaged.h5"
    make_damaged(path, ["label/good"], ["label/bad"])
    with helper_for(path) as helper:
        pid = helper.entry(b"label") and helper._pid
        for question in (
            lambda: helper.read(b"label/bad", 0, 10),
            lambda: helper.attributes(b"none"),
            lambda: helper.entry(b"none"),
            lambda: list(helper.entries(b"label/good")),
        ):
            assert_eio(question)
        assert helper.read(b"label/good", 0, 5000) == some_bytes(1)
        assert helper._pid == pid


def test_a_file_that_is_not_hdf5_is_an_error_with_its_name(tmp_path):
    path = tmp_path / "text.h5"
    path.write_text("no HDF5")
    with helper_for(path) as helper:
        for _ in range(2):
            assert_eio(lambda: helper.entry(b""))
        with pytest.raises(OSError) as raised:
            helper.entry(b"")
    assert raised.value.filename == str(path)


def test_a_file_replaced_before_the_first_question_is_read(tmp_path):
    path = tmp_path / "odd.h5"
    make_odd(path)
    with helper_for(path) as helper:
        (tmp_path / "other").write_text("no HDF5")
        (tmp_path / "other").replace(path)
        assert helper.read(DATASET, 0, 5000) == some_bytes(1)


# ----- crashes and silence -----


def test_a_crash_of_hdf5_costs_one_question(helper):
    os.kill(helper._pid, signal.SIGKILL)
    assert_eio(lambda: helper.read(DATASET, 0, 5000))
    assert helper.read(DATASET, 0, 5000) == some_bytes(1)


def test_silence_costs_one_question(helper, monkeypatch):
    silent = helper._pid
    os.kill(silent, signal.SIGSTOP)
    monkeypatch.setattr(helper_process, "SECONDS_TO_ANSWER", 0.3)
    with pytest.raises(OSError, match="has not answered for 0 s"):
        helper.read(DATASET, 0, 5000)
    monkeypatch.undo()
    assert helper.read(DATASET, 0, 5000) == some_bytes(1)
    assert has_ended(silent)


def stop_at(monkeypatch, names: set[bytes], stop: Callable[[], object]) -> None:
    """Let the helper's next processes call `stop` when they come to links of these names."""
    entry_of_link = objects.Objects._entry_of_link

    def entry_or_stop(
        self: objects.Objects, group: h5py.h5g.GroupID, name: bytes, link_type: int
    ) -> Entry | None:
        if name in names:
            stop()
        return entry_of_link(self, group, name, link_type)

    monkeypatch.setattr(objects.Objects, "_entry_of_link", entry_or_stop)


def make_links(path: Path, count: int) -> None:
    with h5py.File(path, "w") as file:
        for i in range(count):
            file[f"label/{i:04d}"] = h5py.SoftLink("/")


@pytest.mark.parametrize(
    ("number", "lost"), [(signal.SIGKILL, {b"0000", b"0700", b"1199"}), (signal.SIGSTOP, {b"0700"})]
)
def test_a_link_that_costs_the_helper_costs_only_itself(tmp_path, monkeypatch, number, lost):
    monkeypatch.setattr(helper_process, "SECONDS_TO_ANSWER", 8.0)  # a busy helper takes a step in 2 s
    make_links(tmp_path / "a.h5", 1200)
    stop_at(monkeypatch, lost, lambda: os.kill(os.getpid(), number))
    with helper_for(tmp_path / "a.h5") as helper:
        entries = list(helper.entries(b"label"))
        assert [entry.name for entry in entries] == [b"%04d" % i for i in range(1200)]
        assert {entry.name for entry in entries if entry.kind == DAMAGED} == lost


def test_a_group_of_which_many_links_are_lost_is_damaged(tmp_path, monkeypatch):
    make_links(tmp_path / "a.h5", 40)
    stop_at(monkeypatch, {b"%04d" % i for i in range(40)}, lambda: os.kill(os.getpid(), signal.SIGKILL))
    with helper_for(tmp_path / "a.h5") as helper:
        assert_eio(lambda: list(helper.entries(b"label")))
        assert helper.entry(b"label").kind == "group"


class Working:
    """The pipe to a helper that takes as long as it may for each of `count` steps; then it answers or not."""

    def __init__(self, steps: helper_process.Steps, count: int, answers: bool) -> None:
        self.steps, self.left, self.answers = steps, count, answers
        self.seconds = 0.0  # that it was waited for

    def poll(self, seconds: float) -> bool:
        self.seconds += seconds
        if self.left:
            self.left -= 1
            self.steps.set(self.left)
            return False
        return self.answers


@pytest.mark.parametrize("count", [0, 1, 20])
def test_an_answer_has_time_as_long_as_it_goes_on(tmp_path, count):
    """The first step has SECONDS_TO_ANSWER, and each one after it a share of them."""
    helper = HelperProcess(tmp_path, -1)
    most = helper_process.SECONDS_TO_ANSWER
    for answers in (True, False):
        helper._steps.set(helper_process.Steps.NONE)
        working = Working(helper._steps, count, answers)
        with contextlib.nullcontext() if answers else pytest.raises(TimeoutError, match="has not answered"):
            helper._wait_for_answer(working)
        assert working.seconds == most + count * most / helper_process.STEPS_IN_THAT_TIME


def test_each_block_of_elements_is_a_step(tmp_path, monkeypatch):
    monkeypatch.setattr(held_files, "BLOCK", 1)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["rows"] = padded([picture(0)] * 20)
    with helper_for(tmp_path / "a.h5") as helper:
        assert len(helper.element_files(b"rows").size) == 20
        assert helper._steps.get() == 19


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_listing_that_breaks_off_is_an_error(helper, monkeypatch, number):
    os.kill(helper._pid, number)
    with monkeypatch.context() as impatient:
        impatient.setattr(helper_process, "SECONDS_TO_ANSWER", 0.3)
        assert_eio(lambda: list(helper.entries(b"files")))
    assert len(list(helper.entries(b"files"))) > 5


def test_each_link_of_a_listing_is_a_step(tmp_path):
    make_links(tmp_path / "a.h5", 100)
    with helper_for(tmp_path / "a.h5") as helper:
        assert len(list(helper.entries(b"label"))) == 100
        assert helper._steps.get() == 99


# ----- answers and questions stay together -----


@pytest.fixture
def long_listing(tmp_path) -> Iterator[HelperProcess]:
    """A helper for a file whose group /label takes several batches; /x has the byte 7."""
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = np.array([7], np.uint8)
        for i in range(3 * ENTRIES_AT_ONCE):
            file[f"label/{i}"] = h5py.SoftLink("/")
    with helper_for(tmp_path / "a.h5") as helper:
        yield helper


def test_the_rest_of_a_listing_is_no_other_answer(long_listing):
    entries = long_listing.entries(b"label")
    next(entries)
    entries.close()
    assert long_listing.read(b"x", 0, 1) == b"\7"


def test_the_answer_to_an_interrupted_question_is_dropped(helper, monkeypatch):
    """The interrupt comes when the helper has the question, and before it answers."""

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    def interrupt_the_parent(*_: object) -> bytes:
        os.kill(os.getppid(), signal.SIGALRM)
        time.sleep(0.1)
        return b"an answer"

    helper.close()
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
            patched.setattr(objects.Objects, "read", interrupt_the_parent)
            helper.read(DATASET, 0, 5000)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert helper.read(b"files/empty.jpg", 0, 5000) == b""


def test_a_listing_ends_with_an_error_if_the_helper_is_closed(long_listing):
    entries = long_listing.entries(b"label")
    next(entries)
    long_listing.close()
    assert_eio(lambda: list(entries))


# ----- the process -----


def test_closing_ends_the_process_and_a_question_starts_another(helper):
    pid = helper._pid
    helper.close()
    helper.close()
    assert not Path(f"/proc/{pid}").exists()
    assert helper.entry(DATASET).size == 5000
    assert helper._pid != pid


def test_after_a_fork_each_process_has_its_own_helper(helper):
    pid = os.fork()
    if pid == 0:
        parents_helper = helper._pid
        right = helper.read(DATASET, 0, 5000) == some_bytes(1) and helper._pid != parents_helper
        helper.close()
        os._exit(0 if right and not has_ended(parents_helper) else 1)
    before = helper._pid
    for _ in range(50):  # at the same time
        assert helper.read(DATASET, 0, 5000) == some_bytes(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert helper.read(DATASET, 0, 5000) == some_bytes(1)
    assert helper._pid == before


def test_closing_in_a_child_leaves_the_helper_of_the_parent(helper):
    pid = os.fork()
    if pid == 0:
        helper.close()
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert helper.read(DATASET, 0, 5000) == some_bytes(1)


def test_the_helper_has_only_the_file_and_the_pipe(helper, tmp_path):
    """A pipe or a lock that it inherits would stay open as long as it lives."""
    helper.close()
    with (tmp_path / "other file").open("w"):
        helper.entry(b"")
        folder = Path(f"/proc/{helper._pid}/fd")
        targets = {int(link.name): os.readlink(link) for link in folder.iterdir()}
    assert {targets.pop(number) for number in (0, 1, 2)} == {os.devnull}
    file, pipe = sorted(set(targets.values()))  # HDF5 opens the file once more
    assert file == str(tmp_path / "odd.h5") and pipe.startswith("socket:")


@pytest.mark.parametrize("number", ENDING)
def test_signals_for_the_parent_do_not_end_the_helper(helper, number):
    pid = helper._pid
    os.kill(pid, number)
    assert helper.read(DATASET, 0, 5000) == some_bytes(1)
    assert helper._pid == pid


def test_the_helper_ends_with_its_parent(helper):
    program = """
import sys, time
from pathlib import Path
from imagestore.hdf5.helper_process import HelperProcess
with open(sys.argv[1], "rb") as file:
    helper = HelperProcess(Path(sys.argv[1]), file.fileno())
    helper.entry(b"")
    print(helper._pid, flush=True)
    time.sleep(60)
"""
    with subprocess.Popen(
        [sys.executable, "-c", program, helper.path], stdout=subprocess.PIPE, text=True,
        env=environment({"PYTHONPATH": str(ROOT)}),
    ) as process:  # fmt: skip
        pid = int(process.stdout.readline())
        assert not has_ended(pid)
        process.kill()
    wait_until(lambda: has_ended(pid))
