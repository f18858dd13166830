"""Labels and the names of the groups that stand for them.

A label is any text; the name of an HDF5 group is not. `AC/DC` would be two groups, and "" and "." are none.
Such a label is escaped, as in an address of the web: the group of `AC/DC` is `AC%2FDC`. Other labels are the
names of their groups. A group of a stranger's file is only taken for an escaped label if this module would
have made its name.
"""

from __future__ import annotations

import re

EMPTY = "%empty"  # stands for the label ""
ESCAPES = {"%": "%25", "/": "%2F", "\0": "%00"}
WHOLE_LABELS = {"": EMPTY, ".": "%2E", "..": "%2E%2E"}
LOOKS_ESCAPED = re.compile(r"%(25|2F|00|2E|empty)")


def group_name(label: str) -> str:
    """The name of the group that holds the images of a label."""
    if label in WHOLE_LABELS:
        return WHOLE_LABELS[label]
    if not _needs_escapes(label):
        return label
    return re.sub(r"[%/\0]", lambda found: ESCAPES[found[0]], label)


def path_in_group(path: str) -> str:
    """The path in a store of `AC/DC/1.jpg`, whose folder is a label: `AC%2FDC/1.jpg`."""
    label, slash, name = path.strip("/").rpartition("/")
    return f"{group_name(label)}/{name}" if slash else name


def label_of_group(name: str) -> str:
    """The label that a group's name stands for: the inverse of `group_name`."""
    if not LOOKS_ESCAPED.search(name):
        return name
    for label, whole_name in WHOLE_LABELS.items():
        if name == whole_name:
            return label
    label = re.sub(r"%(25|2F|00)", lambda found: chr(int(found[1], 16)), name)
    return label if group_name(label) == name else name


def _needs_escapes(label: str) -> bool:
    return "/" in label or "\0" in label or LOOKS_ESCAPED.search(label) is not None
