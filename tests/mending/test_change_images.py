"""Corrections in any order, with later runs between them, against a model."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.helpers.mended_stores import BY_FOLDER, PHOTOS, heuristic, labels_of, mend

IN_ARCHIVE = {name: name.split("/")[1] for name, _ in PHOTOS}
members = st.lists(st.sampled_from(list(IN_ARCHIVE)), min_size=1, max_size=4, unique=True)
labels = st.sampled_from(["red", "blue", "rose", "lily of the valley"])
steps = st.lists(
    st.tuples(st.just("mv"), members, labels)
    | st.tuples(st.just("rm"), members, st.none())
    | st.tuples(st.just("rename-label"), labels, labels)
    | st.tuples(st.sampled_from(["sort", "merge", "merge new"]), st.none(), st.none()),
    min_size=2,
    max_size=7,
)


@pytest.mark.slow
@settings(max_examples=12)
@given(steps)
def test_any_sequence_gives_what_the_model_has(made, steps):
    with tempfile.TemporaryDirectory(dir=made) as folder:
        store, old, model = Path(folder) / "s.h5", made / "all.h5", dict(IN_ARCHIVE)
        shutil.copy(old, store)
        for step in steps:
            run_step(step, store, old, model)
            assert labels_of(store) == model, step
        assert mend("verify", store).status == 0


def run_step(step: tuple, store: Path, old: Path, model: dict[str, str]) -> None:
    """Do one step to the store and to the model: member -> group of its label."""
    command, first, label = step
    if command in ("mv", "rm"):
        there = [member for member in first if member in model]
        if there:
            assert mend(command, store, *there, *([f"{label}/"] if label else [])).status == 0
        for member in there:
            model.pop(member)
            if label:
                model[member] = label
    elif command == "rename-label":
        status = mend(command, store, first, label).status
        assert status == (0 if first in model.values() else 1)
        model |= {member: label for member, group in model.items() if group == first}
    elif command == "sort":
        heuristic("sort", "a.tar", store, 12, 5, *BY_FOLDER)
    else:
        output = store.with_name("m.h5")
        if command == "merge":  # into the old store
            shutil.copy(old, output)
        done = heuristic("merge", output, old, store)
        assert done.status == (0 if model else 1)
        if model:
            shutil.move(output, store)
        output.unlink(missing_ok=True)
