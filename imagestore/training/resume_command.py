"""The command that resumes a training that was stopped."""

from __future__ import annotations

import argparse

from imagestore.printed_commands import command_line, path_argument, script
from imagestore.processes import cpu_count
from imagestore.training.training_settings import CHECKPOINT_FILE

SWITCHES = ("follow_external", "compile", "deterministic", "tensorboard", "sync_bn")


def resume_command(arguments: argparse.Namespace) -> str:
    """The command that resumes this training. The checkpoint knows the settings, but not the options."""
    output, checkpoint = map(path_argument, (arguments.output, arguments.output / CHECKPOINT_FILE))
    options = ["-o", output, "--resume", checkpoint]
    if arguments.epochs is not None:
        options[2:2] = ["--epochs", arguments.epochs]
    for path in arguments.val:
        options += ["--val", path_argument(path)]
    if arguments.cache is not None:
        options += ["--cache", arguments.cache]
    if arguments.device is not None:
        options += ["--device", arguments.device]
    if arguments.patience:
        options += ["--patience", arguments.patience]
    if arguments.checkpoint_every:
        options += ["--checkpoint-every", arguments.checkpoint_every]
    for name in SWITCHES:
        if getattr(arguments, name):
            options.append(_as_flag(name))
    if arguments.workers != cpu_count():
        options += ["-j", arguments.workers]
    return command_line(*script("train_model.py"), *map(path_argument, arguments.stores), *map(str, options))


def _as_flag(name: str) -> str:
    """The flag whose value has this name."""
    return "--" + name.replace("_", "-")
