"""How a run ended, what it left out, and what the user reads about it."""

from __future__ import annotations

import errno
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from isal.isal_zlib import crc32

from imagestore.archive.passed_over import PassedOver
from imagestore.archive.protocol import WrongImages
from imagestore.console import UserError
from imagestore.files.disk_room import DiskFull
from imagestore.labelling.run_report import (
    Ending,
    RunReport,
    decide_ending,
    discarding_wrong_images,
    finish,
    noting_errors,
)
from imagestore.processes import Stop
from imagestore.store.record import ImageRecord
from imagestore.store.writer import StoreWriter

ARCHIVE = Path("a.tgz")


@pytest.fixture
def report() -> RunReport:
    """The report of a run that did what it was asked to do."""
    return RunReport(ARCHIVE, Stop())


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[StoreWriter]:
    """A writer of a store without images."""
    with StoreWriter(tmp_path / "empty.h5") as writer:
        yield writer


@pytest.fixture
def grown(tmp_path: Path) -> Iterator[StoreWriter]:
    """A writer of a store that has two images of two labels; one of the images is new."""
    path = tmp_path / "grown.h5"
    with StoreWriter(path) as writer:
        add_image(writer, b"red")
        writer.publish()
    with StoreWriter(path) as writer:
        add_image(writer, b"blue")
        yield writer


@pytest.fixture
def unchanged(tmp_path: Path) -> Iterator[StoreWriter]:
    """A writer of a store that has an image, but no new one."""
    path = tmp_path / "unchanged.h5"
    with StoreWriter(path) as writer:
        add_image(writer, b"red")
        writer.publish()
    with StoreWriter(path) as writer:
        yield writer


def add_image(writer: StoreWriter, label: bytes) -> None:
    name = label + b".jpg"
    writer.add(ImageRecord(label=label, name=name, member=name, size=5, crc32=crc32(b"bytes")), b"bytes")


# ----- how a run ended -----


def test_a_complete_run_succeeds(report, grown, unchanged):
    assert decide_ending(report, [grown]) == Ending(0)
    assert decide_ending(report, [unchanged]) == Ending(0), "there may be nothing new"


@pytest.mark.parametrize(
    ("signum", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGUSR1, 1)]
)
@pytest.mark.parametrize("writer", ["grown", "unchanged", "empty"])
def test_a_stopped_run_has_the_status_of_its_signal(report, request, writer, signum, status):
    report.stop.signum = signum
    ending = decide_ending(report, [request.getfixturevalue(writer)])
    assert ending.status == status and not ending.without_result
    assert ending.message.startswith(f"stopped by {signal.Signals(signum).name}; ")
    assert ending.message.endswith("run the same command again to go on")


def test_an_error_after_some_images_keeps_these(report, grown):
    report.error = "a.tgz breaks off"
    ending = decide_ending(report, [grown])
    assert (ending.status, ending.without_result) == (1, False)
    assert ending.message.startswith("a.tgz breaks off; ")
    assert ending.message.endswith("run the same command again to go on")


@pytest.mark.parametrize("writer", ["unchanged", "empty"])
def test_an_error_before_any_new_image_is_the_only_message(report, request, writer):
    report.error = "a.tgz breaks off"
    ending = decide_ending(report, [request.getfixturevalue(writer)])
    assert ending == Ending(1, "a.tgz breaks off", without_result=True)
    report.stop.signum = signal.SIGTERM
    assert decide_ending(report, [request.getfixturevalue(writer)]) == ending


def test_a_signal_matters_more_than_an_error(report, grown):
    report.error, report.stop.signum = "a.tgz breaks off", signal.SIGTERM
    assert decide_ending(report, [grown]).status == 143


def test_one_new_image_in_any_store_is_a_result(report, grown, empty):
    report.error = "a.tgz breaks off"
    assert not decide_ending(report, [empty, grown]).without_result


def test_an_archive_without_images_is_an_error(report, empty):
    assert decide_ending(report, [empty]) == Ending(1, "a.tgz: holds no image", without_result=True)
    report.undecodable.append("a.jpg (broken)")
    ending = decide_ending(report, [empty])
    assert ending == Ending(1, "a.tgz: holds no image that can be decoded", without_result=True)


def test_unreadable_images_make_the_run_fail(report, grown, empty):
    report.unreadable += ["a"] * 1234
    for writer in (grown, empty):
        ending = decide_ending(report, [writer])
        assert (ending.status, ending.without_result) == (1, False)
        assert ending.message.startswith("1,234 images could not be read")


def test_undecodable_images_do_not_make_the_run_fail(report, grown):
    report.undecodable.append("a.jpg (broken)")
    assert decide_ending(report, [grown]) == Ending(0)


# ----- errors in a run -----


def raise_error(error: Exception) -> None:
    raise error


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (UserError("a.tgz breaks off"), "a.tgz breaks off"),
        (DiskFull("s.h5"), "s.h5: the disk is full"),
        (OSError(errno.EIO, "Input/output error", "b.tgz"), "b.tgz: Input/output error"),
        (OSError(errno.EIO, "Input/output error"), "a.tgz: Input/output error"),
        (OSError("odd"), "a.tgz: odd"),
    ],
)
def test_an_error_is_noted_in_one_line(report, grown, error, line):
    with noting_errors(report):
        raise_error(error)
    assert report.error == line
    assert len(grown) == 2, "finished images stay"


def test_wrong_images_are_discarded_from_all_stores(report, grown, empty):
    add_image(empty, b"green")
    with noting_errors(report), discarding_wrong_images([grown, empty]):
        raise_error(WrongImages("some images are wrong"))
    assert report.error == "some images are wrong"
    assert (len(grown), len(empty)) == (1, 0)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ValueError("a bug")])
def test_other_exceptions_pass(report, grown, error):
    with pytest.raises(type(error)), noting_errors(report), discarding_wrong_images([grown]):
        raise_error(error)
    assert not report.error


# ----- what the user reads -----


def test_stores_are_listed_on_standard_output(report, grown, unchanged, capsys):
    assert finish(report, [grown, unchanged]) == 0
    output = capsys.readouterr()
    assert output.out == (
        "grown.h5: 2 images under 2 labels (1 new)\nunchanged.h5: 1 image under 1 label (0 new)\n"
    )
    assert output.err == ""


def test_images_that_are_not_new_or_missing_are_noted(report, grown, capsys):
    report.already_stored = 1500
    report.undecodable += [f"{i}.jpg (broken)" for i in range(6)]
    report.unreadable += ["damaged: red/a.jpg"]
    assert finish(report, [grown], PassedOver({"folders": 3, "links": 2, "hidden": 0})) == 1
    lines = capsys.readouterr().err.splitlines()
    assert "1,500" in lines[0]
    assert "links (2)" in lines[1] and "folders" not in lines[1] and "hidden" not in lines[1]
    assert "6 images: 0.jpg (broken)" in lines[2] and "4.jpg" in lines[2] and "5.jpg" not in lines[2]
    assert lines[2].endswith("1 more")
    assert lines[3].endswith("1 image: damaged: red/a.jpg")
    assert lines[4].startswith("colourHeuristic: error: 1 image")
    assert len(lines) == 5


def test_recovered_images_are_noted(report, tmp_path, capsys):
    path = tmp_path / "s.h5"
    with StoreWriter(path) as killed:
        add_image(killed, b"red")
    with StoreWriter(path) as writer:
        finish(report, [writer])
    output = capsys.readouterr()
    assert "(1 new)" in output.out
    assert output.err.startswith("taken over from an interrupted run: 1 image")


@pytest.mark.parametrize(
    "prepare",
    [
        lambda report: setattr(report, "error", "a.tgz breaks off"),
        lambda report: None,
    ],
    ids=["an error", "no image"],
)
def test_a_run_without_result_raises_and_prints_nothing(
    report: RunReport, empty: StoreWriter, capsys: pytest.CaptureFixture, prepare: Callable[[RunReport], None]
):
    prepare(report)
    with pytest.raises(UserError, match=r"a\.tgz"):
        finish(report, [empty], PassedOver({"links": 2}))
    assert capsys.readouterr() == ("", "")


def test_the_reason_of_an_early_end_comes_last(report, grown, capsys):
    report.stop.signum = signal.SIGTERM
    report.already_stored = 1
    assert finish(report, [grown]) == 143
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1].startswith("colourHeuristic: error: stopped by SIGTERM; ")
