"""jobs/pipeline.sh and jobs/status.sh: from an archive to a classified result, by a real Slurm."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.draw_flowers import draw
from imagestore.store.reader import ImageStore
from tests.helpers.archives import pack, write
from tests.helpers.commands import ROOT, Run, environment
from tests.helpers.hooks import write_hook
from tests.helpers.jobs import (
    EPOCH,
    hooked,
    job_numbers,
    logs,
    pipeline,
    slurm_or_skip,
    status,
    wait_for,
    write_site,
)
from tests.helpers.ports import free_ports
from tests.helpers.slurm import Slurm
from tests.helpers.small_stores import COLOURS, picture
from tests.helpers.stored_images import archive_images
from tests.helpers.training_runs import have_equal_weights

PIPELINE, STATUS = ROOT / "jobs/pipeline.sh", ROOT / "jobs/status.sh"
TRAIN = ("--epochs", "16", "-b", "8", "-j", "1")
# Slurm warns a training, as before its time limit. The training waits until the signal has arrived.
WARN = """
    def note(*arguments):
        came.append(True)
        handler(*arguments)

    came, handler = [], signal.getsignal(signal.SIGUSR1)
    signal.signal(signal.SIGUSR1, note)
    subprocess.run(["scancel", "--batch", "--signal=USR1", os.environ["SLURM_JOB_ID"]], check=True)
    while not came:
        time.sleep(0.01)
    signal.signal(signal.SIGUSR1, handler)
"""

pytestmark = pytest.mark.timeout(600)  # several jobs, one after the other


@pytest.fixture(scope="module")
def slurm() -> Iterator[Slurm]:
    """A Slurm for this file."""
    yield from slurm_or_skip()


def typed(*arguments: object, cwd: Path) -> subprocess.CompletedProcess:
    """pipeline.sh where there need not be a Slurm."""
    words = list(map(str, [PIPELINE, *arguments]))
    return subprocess.run(words, cwd=cwd, capture_output=True, text=True, timeout=120)


# ----- the command line -----


def test_help_lists_every_option() -> None:
    for script in (PIPELINE, STATUS):
        text = subprocess.run(
            [script, "--help"], capture_output=True, text=True, check=True, timeout=120
        ).stdout
        options = re.findall(r"^ +(?:-\w \| )?(--[a-z-]+)\)", script.read_text(), re.MULTILINE)
        assert options and [option for option in options if option not in text] == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give an archive"),
        (["a.tgz", "--tasks", "0"], "--tasks 0: a whole number"),
        (["a.tgz", "--tasks"], "--tasks needs a value"),
        (["a.tgz", "--fraction", "2"], "--fraction 2"),
        (["a.tgz", "--fraction=0.0"], "--fraction 0.0"),
        (["a.tgz", "--train", "--epochs '3"], "a quote is missing"),
        (["a.tgz", "--no-such"], "unknown option --no-such"),
        (["a.tgz", ""], "an argument is empty"),
    ],
)
def test_wrong_arguments_are_one_line(tmp_path: Path, arguments: list[str], message: str) -> None:
    (tmp_path / "a.tgz").touch()
    done = typed(*arguments, cwd=tmp_path)
    assert done.returncode == 2 and message in done.stderr.splitlines()[-1]


def test_a_missing_archive_or_site_is_told_first(tmp_path: Path) -> None:
    done = typed("no.tgz", "--dry-run", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (1, "pipeline.sh: error: no.tgz: no such file\n")
    (tmp_path / "a.tgz").touch()
    assert "no-site.sh: no such file" in typed("a.tgz", "--site", "no-site.sh", cwd=tmp_path).stderr
    assert "has not worked here" in subprocess.run([STATUS, tmp_path], capture_output=True, text=True).stderr


def test_a_dry_run_prints_lines_for_a_shell(tmp_path: Path) -> None:
    """They are run with a program `sbatch` that shows its words."""
    folder = tmp_path / "it's [my] folder"
    folder.mkdir()
    site = write_site(folder / "site.sh")
    options = (
        "--tasks=3",
        "--gpus",
        "--nodes",
        2,
        "--processes",
        4,
        "--site",
        site,
        "--no-merge",
        "--dry-run",
    )
    done = typed("a {0..9}.tar", *options, "--train", "--val 'b c.h5'", "--", "-p", "x y", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert [path.name for path in folder.iterdir()] == ["site.sh"]
    show = tmp_path / "bin/sbatch"
    show.parent.mkdir()
    show.write_text(
        '#!/bin/sh\nprintf "%s|" "$OUT" "$SHARDS" "$SITE" "$@" >> "$SHOWN"; echo >> "$SHOWN"; echo 7\n'
    )
    show.chmod(0o755)
    paths = {"PATH": f"{show.parent}:{os.environ['PATH']}", "SHOWN": str(tmp_path / "shown")}
    subprocess.run(["bash", "-ec", done.stdout], env=environment(paths), check=True, timeout=120)
    lines = [line.split("|")[:-1] for line in (tmp_path / "shown").read_text().splitlines()]
    assert [line[0] for line in lines] == [str(folder / "a -results")] * 3
    partition, train, classify = lines
    assert partition[1:3] == ["3", str(site)] and "--array=1,2,3" in partition and "x y" in partition
    assert partition[-3:] == ["jobs/partition.sbatch", str(folder / "a {0..9}.tar"), "0.8"]
    assert not any(word.startswith("--dependency") for word in partition)
    for wanted in ("--nodes=2", "--ntasks-per-node=4", "--gres=gpu:1", "--dependency=afterok:7"):
        assert wanted in train
    escaped = str(folder).replace("[", "[[]")
    assert train[-4:] == ["jobs/train.sbatch", f"{escaped}/a -results/train-*.h5", "--val", "b c.h5"]
    assert classify[-1] == f"{escaped}/a -results/test-*.h5"


def test_without_images_to_test_nothing_is_classified(tmp_path: Path) -> None:
    (tmp_path / "a.tgz").touch()
    done = typed("a.tgz", "--fraction", "1.0", "--dry-run", cwd=tmp_path)
    assert done.stdout.count("sbatch --parsable") == 3 and "classify is left out" in done.stderr


@pytest.mark.parametrize("example", sorted((ROOT / "jobs/sites").glob("*.sh")), ids=lambda path: path.stem)
def test_the_examples_of_sites_are_complete(tmp_path: Path, example: Path) -> None:
    (tmp_path / "a.tgz").touch()
    done = typed("a.tgz", "--site", example, "--dry-run", cwd=tmp_path)
    assert done.returncode == 0 and done.stdout.count("sbatch --parsable") == 4
    names = re.findall(r"^(\w+)(?:=|\(\))", (ROOT / "jobs/site.sh").read_text(), re.MULTILINE)
    assert [name for name in names if not re.search(rf"^{name}[=(]", example.read_text(), re.MULTILINE)] == []


def test_options_of_the_site_stand_in_one_place() -> None:
    """No job file names a partition, an account, a time limit or a module."""
    for script in (ROOT / "jobs").glob("*.sbatch"):
        directives = re.findall(r"^#SBATCH (--[a-z-]+)", script.read_text(), re.MULTILINE)
        assert not set(directives) & {"--partition", "--account", "--time", "--qos", "--mem", "--mem-per-cpu"}


# ----- the whole way -----


def contents(*stores: Path) -> dict[bytes, tuple]:
    """Member -> label, bytes, checksum and palette of all images of some stores."""
    images = {}
    for path in stores:
        with ImageStore(path) as store:
            for i in range(len(store)):
                palette = store.palette(i)
                label = store.labels[store.index.label_of(i)]
                colours = None if palette is None else palette.tolist()
                images[store.index.member(i)] = (label, store.read(i), int(store.index.crc32[i]), colours)
    return images


def train_undisturbed(store: Path, output: Path) -> None:
    """Two processes on this machine, as long as the job but without a break."""
    command = list(map(str, [sys.executable, ROOT / "train_model.py", store, "-o", output, *TRAIN]))
    [port] = free_ports(1)
    both = {
        "WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "OMP_NUM_THREADS": "1",
    }
    places = [{**both, "RANK": rank, "LOCAL_RANK": rank} for rank in "01"]
    started = [subprocess.Popen(command, env=environment(place), stderr=subprocess.DEVNULL,
                                stdout=subprocess.DEVNULL) for place in places]  # fmt: skip
    assert [process.wait(timeout=300) for process in started] == [0, 0]


@pytest.mark.slow
def test_killed_and_requeued_jobs_end_as_undisturbed_ones(slurm: Slurm, run: Run, tmp_path: Path) -> None:
    """One task of the array is killed before it publishes; the training on two nodes is warned midway."""
    archive = draw(tmp_path / "flowers of may.tgz", count=120, seed=5, size=240)
    first_life = "[[ ${SLURM_ARRAY_TASK_ID-} == 1 && ! ${SLURM_RESTART_COUNT-} ]]"
    kill = hooked(write_hook(tmp_path / "kill", "os.rename", ".train-1.h5."), first_life)
    warn = write_hook(tmp_path / "warn", "os.rename", ".checkpoint.pth.", WARN, number=4)
    warn_once = hooked(warn, "[[ $SLURM_JOB_NAME == train && ! ${SLURM_RESTART_COUNT-} ]]")
    site = write_site(tmp_path / "site.sh", f"{kill}; {warn_once}")
    flags = ("--nodes", 2, "--site", site, "--train", shlex.join(TRAIN))
    call = (archive.name, "-o", "re sults", "--tasks", 2, *flags)
    jobs = job_numbers(pipeline(slurm, *call, cwd=tmp_path))
    assert list(jobs) == ["partition", "merge", "train", "classify"]
    out = tmp_path / "re sults"
    run("colourHeuristic.py", "partition", archive, "train.h5", "test.h5", 0.8)
    train_undisturbed(tmp_path / "train.h5", tmp_path)
    for step in ("train", "classify"):
        wait_for(slurm, jobs[step], "COMPLETED", out)

    log = logs(out)
    assert "partition: not finished (status 137)" in log and "taken over from an interrupted run" in log
    assert "train: not finished (status 1)" in log and "copied 1 store" in log
    assert "Restarts=1" in slurm.job(jobs["train"])
    assert list(map(int, EPOCH.findall(log))) == list(range(1, 17))
    assert contents(out / "train.h5") == contents(tmp_path / "train.h5")
    assert contents(out / "test.h5") == contents(tmp_path / "test.h5")
    assert have_equal_weights(out, tmp_path)
    answers = run("classify.py", "test.h5", "train_labels.json", "all", "--csv", "a.csv").stdout
    table, same_table = (path.read_text().splitlines() for path in (out / "answers.csv", tmp_path / "a.csv"))
    assert sorted(table) == sorted(same_table)
    accuracy = re.findall(".*accuracy.*", (out / "report.txt").read_text())
    assert len(accuracy) == 2 and accuracy == re.findall(".*accuracy.*", answers)
    assert not list(Path("/dev/shm").glob(f"imagestore-*/{jobs['train']}-n*"))

    told = status(slurm, out)
    assert (
        told.returncode == 0
        and told.stdout.count(" done ") == 3
        and "2 of 2 tasks done, 120 images" in told.stdout
    )
    again = pipeline(slurm, *call, cwd=tmp_path)
    assert again.returncode == 0 and again.stdout.count(" done ") == 4 and job_numbers(again) == {}
    other = job_numbers(pipeline(slurm, *call, "--classify", "--top-k 2", cwd=tmp_path))
    assert list(other) == ["classify"]
    wait_for(slurm, other["classify"], "COMPLETED", out)
    changed = pipeline(slurm, *call[:-1], "--epochs 3", cwd=tmp_path)
    assert changed.returncode == 1 and "train was begun with other settings" in changed.stderr


@pytest.mark.slow
def test_a_failed_task_ends_the_chain_and_is_shown(slurm: Slurm, run: Run, sample, tmp_path) -> None:
    """All tasks fail by a missing table; with it, the same call goes on. Shards train as one store."""
    site = write_site(tmp_path / "site.sh")
    call = (sample, "-o", "out", "--tasks", 2, "--site", site, "--no-merge", "--no-scratch")
    flags = ("--train", "--epochs 2 -j 1", "--partition", "--split split.csv")
    jobs = job_numbers(pipeline(slurm, *call, *flags[:1], "--epochs 9", *flags[2:], cwd=tmp_path))
    wait_for(slurm, jobs["classify"], "CANCELLED", tmp_path)
    assert slurm.states(jobs["partition"]) == {"FAILED"}
    told = status(slurm, tmp_path / "out")
    assert told.returncode == 1 and "partition-1" in told.stdout and "split.csv" in told.stdout
    assert "cancelled before it began" in told.stdout
    parts = [f"{name},{'train' if i % 5 else 'test'}\n" for i, name in enumerate(archive_images(sample))]
    (tmp_path / "split.csv").write_text("name,split\n" + "".join(parts))
    jobs = job_numbers(pipeline(slurm, *call, *flags, cwd=tmp_path))
    for step in ("train", "classify"):
        wait_for(slurm, jobs[step], "COMPLETED", tmp_path)
    assert "accuracy" in status(slurm, tmp_path / "out").stdout
    run("colourHeuristic.py", "partition", sample, "train.h5", "test.h5", 0.8, "--split", "split.csv")
    one_thread = {"OMP_NUM_THREADS": "1"}
    run("train_model.py", "train.h5", "-o", "one", "--epochs", 2, "-j", 1, env=one_thread, timeout=120)
    assert have_equal_weights(tmp_path / "one", tmp_path / "out")
    refused = pipeline(slurm, *call, "--fraction", "0.5", *flags, cwd=tmp_path)
    assert refused.returncode == 1 and "partition was begun with other settings" in refused.stderr


@pytest.mark.slow
def test_tasks_may_take_whole_archives(slurm: Slurm, run: Run, tmp_path: Path) -> None:
    """Three archives, given as a range, by two tasks, with a label from each folder."""
    folder = tmp_path / "my shards"
    for number in range(3):
        for label, colour in COLOURS.items():
            image = tmp_path / f"{number}/{label}/p{number}.jpg"
            image.parent.mkdir(parents=True, exist_ok=True)
            image.write_bytes(picture(colour, number))
        folder.mkdir(exist_ok=True)
        write(folder / f"s-{number}.tar", pack_folder(tmp_path / str(number)))
    call = (f"{folder}/s-{{0..2}}.tar", "-o", "out", "--tasks", 2, "--by-archive", "--fraction", 1)
    options = ("--site", write_site(tmp_path / "site.sh"), "--partition", "--labels folder")
    jobs = job_numbers(pipeline(slurm, *call, *options, "--train", "--epochs 1", cwd=tmp_path))
    wait_for(slurm, jobs["merge"], "COMPLETED", tmp_path)
    slurm("scancel", jobs["train"])
    run("colourHeuristic.py", "partition", call[0], "train.h5", "test.h5", 1, "--labels", "folder")
    assert contents(tmp_path / "out/train.h5") == contents(tmp_path / "train.h5")
    assert len(contents(tmp_path / "out/train-2.h5")) == 3
    script = [ROOT / "jobs/archives_of_task.py", "1", "4", folder / "s-*.tar"]
    done = subprocess.run([sys.executable, *script], capture_output=True, text=True, timeout=120)
    assert done.stderr == "archives_of_task: error: 4 tasks cannot share 3 archives: give fewer --tasks\n"


def pack_folder(folder: Path) -> bytes:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return pack((str(path.relative_to(folder)), path.read_bytes()) for path in paths)


@pytest.mark.slow
def test_a_second_call_waits_until_the_first_has_ended(slurm: Slurm, sample: Path, tmp_path: Path) -> None:
    call = (sample, "-o", "out", "--tasks", 3, "--site", write_site(tmp_path / "site.sh"))
    jobs = job_numbers(pipeline(slurm, *call, "--", "--hold", cwd=tmp_path))
    assert "PENDING (JobHeldUser)" in status(slurm, tmp_path / "out").stdout
    second = pipeline(slurm, *call, cwd=tmp_path)
    assert second.returncode == 1 and f"'scancel {' '.join(jobs.values())}'" in second.stderr
    slurm("scancel", *jobs.values())
    third = job_numbers(pipeline(slurm, *call, "--", "--hold", cwd=tmp_path))
    slurm("scancel", *third.values())
    assert list(third) == list(jobs) and not set(third.values()) & set(jobs.values())

    holder = tmp_path / "out/pipeline/lock/holder"
    holder.parent.mkdir()
    host = subprocess.run(["hostname"], capture_output=True, text=True, check=True).stdout.strip()
    holder.write_text(f"{host} {os.getpid()}\n")
    at_once = pipeline(slurm, *call, cwd=tmp_path)
    assert at_once.returncode == 1 and "another call of pipeline.sh works here" in at_once.stderr
    holder.write_text(f"{host} 4194305\n")  # more than Linux's largest process number
    slurm("scancel", *job_numbers(pipeline(slurm, *call, "--", "--hold", cwd=tmp_path)).values())
    assert not holder.parent.exists()


@pytest.mark.slow
def test_a_refused_job_leaves_nothing_in_the_queue(slurm: Slurm, sample: Path, tmp_path: Path) -> None:
    site = write_site(tmp_path / "site.sh")
    site.write_text(site.read_text().replace("TRAIN_OPTIONS=(", "TRAIN_OPTIONS=(-p nowhere "))
    done = pipeline(slurm, sample, "-o", "out", "--site", site, "--", "--hold", cwd=tmp_path)
    assert done.returncode == 1
    assert "invalid partition" in done.stderr
    assert "Slurm refuses the job train" in done.stderr.splitlines()[-1]
    assert slurm("squeue", "--noheader", "--states=PENDING,RUNNING") == ""
