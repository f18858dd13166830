"""The tensors in a file of any trainer: torch's own format or safetensors. No code in the file is run."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from imagestore.console import UserError
from imagestore.networks.plain_values import plain_values

# The weights in the files of other trainers. Means over several steps come first: they tell labels better.
PARTS = (
    "state_dict_ema",
    "model_ema",
    "ema_state_dict",
    "ema",
    "average",  # in our own checkpoints
    "state_dict",
    "model",
    "model_state_dict",
    "network",
    "net",
    "weights",
)
PREFIXES = ("module.", "_orig_mod.")  # of DataParallel, and of torch.compile
LFS_POINTER = b"version https://git-lfs"


@dataclass(frozen=True)
class TensorFile:
    """The tensors of a file by their names, without the prefixes of wrappers."""

    path: Path
    tensors: dict[str, Tensor]
    part: str = ""  # of the file that holds them; empty if they are all of it
    labels: tuple[str, ...] | None = None  # that the file says it was trained on


def read_tensors(path: Path) -> TensorFile:
    """The tensors in a file. Raises UserError."""
    start = _start_of(path)
    if start.startswith(LFS_POINTER):
        raise UserError(f"{path}: not the weights, but where Git LFS keeps them: git lfs pull")
    content = _load_safetensors(path) if start[8:9] == b"{" else _load_torch(path)
    part, found = _find_tensors(content)
    tensors = {
        _without_prefixes(str(name)): value for name, value in found.items() if isinstance(value, Tensor)
    }
    if not tensors:
        raise UserError(f"{path}: holds no tensors by name; give the state dict of a model")
    if any(map(_is_odd, tensors.values())):
        raise UserError(
            f"{path}: holds quantized or sparse tensors, complex ones, or some without values (meta); "
            "give the weights of the plain model"
        )
    return TensorFile(path, tensors, part, _labels_in(content))


def _start_of(path: Path) -> bytes:
    """The first bytes of a file. Raises UserError."""
    try:
        with path.open("rb") as file:
            return file.read(len(LFS_POINTER))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None


def _load_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        from safetensors import SafetensorError
        from safetensors.torch import load_file
    except ModuleNotFoundError:
        raise UserError(
            f"{path}: a safetensors file, and the package is not installed: pip install safetensors"
        ) from None
    try:
        return load_file(path)
    except (SafetensorError, ValueError, KeyError) as error:
        raise UserError(f"{path}: a damaged safetensors file ({error})") from None


def _load_torch(path: Path) -> object:
    with warnings.catch_warnings(), plain_values():
        warnings.simplefilter("ignore")  # torch warns of what it then refuses
        try:
            return torch.load(path, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError as error:
            raise UserError(f"{path}: {_why_refused(error)}") from None
        except Exception as error:  # zip and torch have exceptions of their own for a damaged file
            if "TorchScript" in str(error):
                raise UserError(f"{path}: a TorchScript program; give the state dict of its model") from None
            raise UserError(
                f"{path}: not a file that torch can load, or a damaged one ({type(error).__name__})"
            ) from None


def _why_refused(error: pickle.UnpicklingError) -> str:
    if "GLOBAL" in str(error) or ("Unsupported" in str(error) and "class" in str(error)):
        return "holds Python objects, which could run code: save the state_dict() of the model in its place"
    return "not a file that torch can load, or a damaged one"


def _find_tensors(content: object) -> tuple[str, Mapping[Any, Any]]:
    """The part of a file that holds tensors by name, and its name; empty if there is none."""
    if not isinstance(content, Mapping):
        return "", {}
    is_state_dict = any(isinstance(value, Tensor) for value in content.values())
    for part in PARTS if is_state_dict else (*PARTS, *content):  # a checkpoint may hold other tensors, too
        inner, found = _find_tensors(content.get(part))
        if found:
            return f"{part}.{inner}" if inner else str(part), found
    return "", content if is_state_dict else {}


def _is_odd(tensor: Tensor) -> bool:
    """Whether a tensor is none of plain numbers."""
    return tensor.is_quantized or tensor.layout != torch.strided or tensor.is_complex() or tensor.is_meta


def _labels_in(content: object) -> tuple[str, ...] | None:
    """The labels in one of our own files; None if there are none."""
    labels = content.get("labels") if isinstance(content, Mapping) else None
    is_list = isinstance(labels, list) and all(isinstance(label, str) for label in labels)
    return tuple(labels) if is_list else None


def _without_prefixes(name: str) -> str:
    name = name.replace("._orig_mod.", ".")  # of a part of the model
    while name.startswith(PREFIXES):
        name = name.partition(".")[2]
    return name
