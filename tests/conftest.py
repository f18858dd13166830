"""Fixtures of all tests: the commands as a user runs them, and files to run them on.

The files are real: photographs if $FLOWERS_TGZ names an archive of them, else drawn pictures. Nothing here
replaces h5py, FUSE, torch or Slurm.

Every run of the tests draws the same numbers, and has no limit that a busy machine could miss. With
`--hypothesis-profile=random`, hypothesis looks for other examples.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as train_model.py has it, before torch is imported

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, settings

from demo.draw_flowers import draw, jpeg
from tests.helpers.command_servers import CommandServers
from tests.helpers.commands import ROOT, Run, environment, missing_for_fuse

checks = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
settings.register_profile("random", deadline=None, suppress_health_check=checks)
settings.register_profile("same", settings.get_profile("random"), derandomize=True, database=None)
settings.load_profile("same")


@pytest.fixture(autouse=True)
def _same_random_numbers() -> None:
    """What a test draws does not depend on the tests that ran before it in its process."""
    random.seed(1)
    if torch := sys.modules.get("torch"):
        torch.manual_seed(1)


@pytest.fixture(scope="session")
def command_servers() -> Iterator[CommandServers]:
    """What starts the commands of `run`."""
    with CommandServers() as servers:
        yield servers


@pytest.fixture
def run(command_servers: CommandServers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a script of the checkout as a user does: `run("colourHeuristic.py", "sort", …)`.

    Each test has its own cache folder. No command may ever show a traceback; `check=True` also
    asserts exit status 0. `env` entries are added to the environment (None removes one).
    """
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def run_script(
        script: str,
        *args: object,
        timeout: float = 180,
        check: bool = True,
        env: dict[str, str | None] | None = None,
        cwd: Path | None = None,
        input: str | None = None,
    ) -> subprocess.CompletedProcess:
        command = [str(ROOT / script), *map(str, args)]
        done = command_servers.run(command, environment(env), cwd or tmp_path, input, timeout)
        assert "Traceback" not in done.stderr, done.stderr
        assert not check or done.returncode == 0, f"{command} exited {done.returncode}\n{done.stderr}"
        return done

    return run_script


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A drawn archive of 60 small pictures: quick to label."""
    return draw(tmp_path_factory.mktemp("sample") / "sample.tgz", count=60, seed=7, size=160)


@pytest.fixture(scope="session")
def flowers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The photographs of $FLOWERS_TGZ if it is set, else 150 drawn pictures of their size."""
    given = os.environ.get("FLOWERS_TGZ")
    if given:
        return Path(given).resolve(strict=True)
    return draw(tmp_path_factory.mktemp("flowers") / "flowers.tgz", count=150, seed=3, size=500)


@pytest.fixture(scope="session")
def sample_store(sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All 60 pictures of `sample` in one store, made by `sort`. Copy it before changing it."""
    folder = tmp_path_factory.mktemp("store")
    store = folder / "sample.h5"
    command = [sys.executable, str(ROOT / "colourHeuristic.py"), "sort", str(sample), str(store), "60", "10"]
    cache = environment({"XDG_CACHE_HOME": str(folder / "cache")})
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=cache)
    assert done.returncode == 0, done.stderr
    return store


@pytest.fixture
def old_store(_old_store: Path, tmp_path: Path) -> Path:
    """A copy of a store as older tools write it: no attributes, odd labels, any layout, deeper groups."""
    return Path(shutil.copy(_old_store, tmp_path / "old.h5"))


@pytest.fixture(scope="session")
def _old_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("old") / "old.h5"
    layouts: list[dict] = [{}, {"chunks": (1000,)}, {"chunks": True, "compression": "gzip"}]
    with h5py.File(path, "w") as file:
        for i in range(36):
            label = ("d._red", "l._blue", "green")[i % 3]
            folder = "deeper/" if i % 12 == 0 else ""
            pixels = np.frombuffer(jpeg(i, seed=11, size=96), np.uint8)
            layout = layouts[i // 3 % len(layouts)]
            file.create_dataset(f"{label}/{folder}image_{i:04d}.jpg", data=pixels, **layout)
    return path


@pytest.fixture(
    params=["fusepy 1", "mfusepy 2", pytest.param("mfusepy 1", marks=pytest.mark.slow)],
    ids=["fusepy", "mfusepy", "mfusepy-one-process"],
)
def fuse_library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Mount with fusepy on libfuse 2, then with libfuse 3 and two processes; among the slow tests with one.

    Skips if that library is missing. If REQUIRE_FUSE is set, as in CI, the test fails instead.
    """
    library, processes = request.param.split()
    missing = missing_for_fuse(library)
    if missing and os.environ.get("REQUIRE_FUSE"):
        pytest.fail(missing)
    if missing:
        pytest.skip(missing)
    monkeypatch.setenv("IMAGESTORE_FUSE", library)
    monkeypatch.setenv("IMAGESTORE_PROCESSES", processes)
    return library
