"""--weights FILE: begin from the weights of another training.

The tensors of the file are taken by their names. If those are the names of another program, but number, order
and shapes are the model's, they are taken in order. A head for other labels stays as it was initialised.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from imagestore.console import UserError, counted, printable
from imagestore.networks.description import TIMM
from imagestore.networks.first_colour_network import OLD_VALUES
from imagestore.networks.image_network import ImageNetwork
from imagestore.networks.labels_file import labels_crc32
from imagestore.networks.read_tensors import TensorFile, read_tensors
from imagestore.networks.tensor_files import UNEXPECTED_CONTENT

NAMES_SHOWN = 3
STEPS = "n_averaged"  # of torch's AveragedModel, beside the averages
COUNTERS = "num_batches_tracked"  # of BatchNorm; older files do not have them, and nothing depends on them
KINDS = {"weight", "bias", "running_mean", "running_var"}  # the last parts of names that many programs share
# Names that torchvision's own files still have, and those of today.
OLD_NAMES = (
    (r"(denselayer\d+\.(?:norm|relu|conv))\.(\d)\.", r"\1\2."),
    (r"\.mlp\.linear_1\.", ".mlp.0."),
    (r"\.mlp\.linear_2\.", ".mlp.3."),
)


def take_weights(network: ImageNetwork, path: Path) -> list[str]:
    """Copy the weights in a file into a network, as far as they fit. The lines say what was taken, what not.

    Raises UserError if the file cannot be read, or if less than half of the network's body is in it. Then
    the network is unchanged.
    """
    file = read_tensors(path)
    own, head = network.model.state_dict(), head_names(network)
    theirs, is_by_name = by_the_names_of_the_model(network, own, file, head)
    fitting = {name: tensor for name, tensor in theirs.items() if fits(tensor, own.get(name))}
    takes_head = head <= fitting.keys() and may_be_for(network.description.labels, file)
    taken = {
        name: _as(own[name], tensor, file)
        for name, tensor in fitting.items()
        if takes_head or name not in head
    }
    if not all(bool(tensor.isfinite().all()) for tensor in taken.values()):
        raise UserError(f"{path}: some weights are not finite numbers")
    with torch.no_grad():
        for name, tensor in taken.items():
            own[name].copy_(tensor)
    how = "" if is_by_name else ", in order: no name fits, but number, order and shapes do"
    return [printable(line) for line in report(file, how, own, head, theirs, taken)]


def head_names(network: ImageNetwork) -> set[str]:
    """The names of the head's weights in the state dict of the model."""
    of_head = set(map(id, network.head_parameters()))
    return {name for name, weights in network.model.named_parameters() if id(weights) in of_head}


def may_be_for(labels: Sequence[str], file: TensorFile) -> bool:
    """False if the file says that it was trained on other labels: by their names, or by a checksum."""
    checksum = file.tensors.get("labels_crc32")  # in weights of our earlier versions
    if checksum is not None and checksum.numel() == 1:
        return int(checksum) == labels_crc32(labels)
    return file.labels in (None, tuple(labels))


def fits(tensor: Tensor, own: Tensor | None) -> bool:
    """Whether a tensor can be copied into the model's own of this name, if there is one."""
    return own is not None and tensor.shape == own.shape


def _as(own: Tensor, tensor: Tensor, file: TensorFile) -> Tensor:
    """A tensor of the file with the dtype of the model's own. Raises UserError for rounded weights."""
    if own.is_floating_point() and not tensor.is_floating_point():
        raise UserError(
            f"{file.path}: holds whole numbers in place of weights, as after quantization; give the weights "
            "of the plain model"
        )
    return tensor.to(own.dtype)


def by_the_names_of_the_model(
    network: ImageNetwork, own: Mapping[str, Tensor], file: TensorFile, head: set[str]
) -> tuple[dict[str, Tensor], bool]:
    """The tensors of a file by the model's names, and whether the file has these names. Raises UserError."""
    body = [name for name in own if name not in head and not name.endswith(COUNTERS)]
    count = 0
    for tensors in (file.tensors, *without_prefix(file.tensors, body)):
        renamed = with_todays_names(network, tensors)
        count = max(count, sum(name in renamed and fits(renamed[name], own[name]) for name in body))
        if 2 * count >= len(body):
            return renamed, True
    if in_order := take_in_order(own, file.tensors, head):
        return in_order, False
    model = network.description.model
    first = [f"{name} {_shape(tensor)}" for name, tensor in file.tensors.items()]
    raise UserError(
        f"{file.path}: only {count} of the {len(body)} tensors of {model} are in it: is it of another model? "
        f"Then name that with --model. It holds {_few(first)}"
    )


def without_prefix(tensors: Mapping[str, Tensor], body: Sequence[str]) -> Iterator[dict[str, Tensor]]:
    """The tensors without each prefix (`model.`, `backbone.`) that the body's first tensor has in the file.

    Trainers such as Lightning keep the model as a part of a larger one. Its other tensors keep their names.
    """
    for prefix in dict.fromkeys(name[: -len(body[0])] for name in tensors if name.endswith(f".{body[0]}")):
        inner = {name: tensor for name, tensor in tensors.items() if name.startswith(prefix)}
        others = {name: tensor for name, tensor in tensors.items() if name not in inner}
        yield others | {name.removeprefix(prefix): tensor for name, tensor in inner.items()}


def with_todays_names(network: ImageNetwork, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors by the names of today's torchvision or timm, with positions for this size of pictures."""
    description, model = network.description, network.model
    renamed = {_todays_name(name): tensor for name, tensor in tensors.items()}
    try:
        if description.model.startswith(TIMM):
            rename = getattr(sys.modules[type(model).__module__], "checkpoint_filter_fn", None)
            return dict(rename(dict(renamed), model)) if rename else renamed
        if description.model.startswith("vit_"):
            from torchvision.models.vision_transformer import interpolate_embeddings

            return dict(interpolate_embeddings(description.size, model.patch_size, dict(renamed)))
    except UNEXPECTED_CONTENT:  # these functions expect the tensors of their model
        return renamed
    return renamed


def take_in_order(
    own: Mapping[str, Tensor], tensors: Mapping[str, Tensor], head: set[str]
) -> dict[str, Tensor]:
    """The tensors by the model's names, if number, order and shapes are the model's; else empty.

    The head may have another shape, or be missing.
    """
    names, theirs = list(own), list(tensors)
    if len(names) != len(theirs):  # files of old versions of torch have no counters
        names, theirs = _without_counters(names), _without_counters(theirs)
    if len(theirs) == len(names) - len(head):
        names = [name for name in names if name not in head]
    pairs = list(zip(names, theirs, strict=False))
    is_same = len(names) == len(theirs) and all(
        _are_alike(name, other) and (name in head or fits(tensors[other], own[name])) for name, other in pairs
    )
    return {name: tensors[other] for name, other in pairs} if is_same else {}


def _without_counters(names: Iterable[str]) -> list[str]:
    return [name for name in names if not name.endswith(COUNTERS)]


def _are_alike(name: str, other: str) -> bool:
    """False if one name is that of a weight, and the other that of a bias, or the like."""
    kinds = {name.rpartition(".")[2], other.rpartition(".")[2]}
    return len(kinds) == 1 or not kinds <= KINDS


def report(
    file: TensorFile, how: str, own: Mapping[str, Tensor], head: set[str],
    theirs: Mapping[str, Tensor], taken: Mapping[str, Tensor],
) -> list[str]:  # fmt: skip
    """The lines for the user: what was taken, and `how`; the head; what is missing; what is not used."""
    part = f" ({file.part})" if file.part else ""
    all_names = [name for name in own if name in taken or not name.endswith(COUNTERS)]
    tensors = counted(len(all_names), "tensor")
    lines = [f"{file.path}{part}: {len(taken):,} of the model's {tensors} taken{how}"]
    if not head.isdisjoint(taken):
        lines.append("the head is that of the file, too")
    else:
        lines.append(f"the head stays as it was initialised: {_why_not_the_head(own, head, theirs)}")
    left = [name for name in all_names if name not in taken and name not in head]
    if missing := [name for name in left if name not in theirs]:
        lines.append(f"not in the file, so as initialised: {_few(missing)}")
    if reshaped := [name for name in left if name in theirs]:
        lines.append(f"of another shape in the file, so as initialised: {_few(reshaped)}")
    known = {*taken, *head, *reshaped, *OLD_VALUES, STEPS}
    if unused := [name for name in theirs if name not in known]:
        lines.append(f"in the file, but not used: {_few(unused)}")
    return lines


def _why_not_the_head(own: Mapping[str, Tensor], head: set[str], theirs: Mapping[str, Tensor]) -> str:
    other = next((theirs[name] for name in head if name in theirs), None)
    if other is None:
        return "the file has none"
    name = next(name for name in head if name in theirs)
    if fits(other, own[name]):
        return "the file is for other labels"
    return f"it has {counted(len(own[name]), 'label')}, and that of the file {len(other):,}"


def _todays_name(name: str) -> str:
    for old, new in OLD_NAMES:
        name = re.sub(old, new, name)
    return name


def _few(names: Iterable[str]) -> str:
    """Such as "a, b, c and 12 more"."""
    names = list(names)
    more = f" and {len(names) - NAMES_SHOWN:,} more" if len(names) > NAMES_SHOWN else ""
    return ", ".join(names[:NAMES_SHOWN]) + more


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "(one number)"
