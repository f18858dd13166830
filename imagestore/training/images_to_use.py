"""Which images a training trains on, and which it validates with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from imagestore.console import UserError, counted, note, printable
from imagestore.loading.dataset import HDF5Dataset
from imagestore.loading.make_batches import Part
from imagestore.store.labels import TEST, TRAIN, VAL
from imagestore.store.open_stores import open_stores
from imagestore.training.training_settings import RunOptions, TrainingSettings
from imagestore.training.validation_split import choose_parts

LABELS_NAMED = 5  # of those that the training does not know


def choose_images(
    dataset: HDF5Dataset,
    settings: TrainingSettings,
    requested: Mapping[str, Any],
    options: RunOptions,
    is_resumed: bool,
) -> tuple[TrainingSettings, list[Part]]:
    """The images to train on and those to validate with, and the settings that say so.

    They are those of --val, else those below val/, else a share of all. A resumed training knows by a
    `val_fraction` of 0 that it was one of the first two. Raises UserError.
    """
    if options.val:
        settings = replace(settings, val_fraction=0.0)
        training, _ = choose_parts(dataset, 0.0, settings.seed, use_val=True)
        _note_parts(dataset, settings, use_val=False)
        return settings, [Part(dataset, training), images_of_stores(options, dataset.classes)]
    use_val = uses_val(dataset, settings, requested, is_resumed)
    if use_val:
        settings = replace(settings, val_fraction=0.0)
    parts = choose_parts(dataset, settings.val_fraction, settings.seed, use_val)
    _note_parts(dataset, settings, use_val)
    return settings, [Part(dataset, positions) for positions in parts]


def images_of_stores(options: RunOptions, labels: list[str]) -> Part:
    """The images of the stores of --val whose labels are trained. Raises UserError if there is none."""
    stores = open_stores(options.val, options.follow_external)
    dataset = HDF5Dataset(stores, labels=labels)
    for line in dataset.left_out:
        note(f"train_model: {line}")
    positions = np.flatnonzero(dataset.label_numbers >= 0)
    if not len(positions):
        raise UserError(f"--val {options.val[0]}: none of its labels is one of those that are trained")
    if other := len(dataset) - len(positions):
        names = sorted(set().union(*(found.names for found in dataset.labels)) - set(labels))
        named = ", ".join(map(printable, names[:LABELS_NAMED])) + (", …" if names[LABELS_NAMED:] else "")
        note(f"train_model: --val: does not use {counted(other, 'image')} with other labels ({named})")
    return Part(dataset, positions)


def uses_val(
    dataset: HDF5Dataset, settings: TrainingSettings, requested: Mapping[str, Any], is_resumed: bool
) -> bool:
    """Whether the images below val/ are those to validate with: they are, unless --val-fraction is given."""
    if dataset.split is None or not (dataset.split == VAL).any():
        return False
    return settings.val_fraction == 0 if is_resumed else "val_fraction" not in requested


def _note_parts(dataset: HDF5Dataset, settings: TrainingSettings, use_val: bool) -> None:
    """Tell the user what is left out, and which part of a split is used for what."""
    for line in dataset.left_out:
        note(f"train_model: {line}")
    if dataset.split is None:
        return
    in_train, in_val, in_test = (int((dataset.split == part).sum()) for part in (TRAIN, VAL, TEST))
    share = f"validates with {100 * settings.val_fraction:g} % of it"
    unused = [f"{name}/ ({count:,})" for name, count in (("val", in_val), ("test", in_test)) if count]
    unused = unused[use_val:]
    note(
        f"train_model: trains on train/ ({counted(in_train, 'image')}), "
        + (f"validates with val/ ({in_val:,})" if use_val else share)
        + (f"; does not use {' and '.join(unused)}" if unused else "")
    )
