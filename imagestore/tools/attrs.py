"""Print the attributes of an object of a store, of any length: a mount shows those of up to 64 KiB."""

from __future__ import annotations

import sys
from pathlib import Path

from imagestore.console import FAILED, note, printable
from imagestore.hdf5.helper_process import HelperProcess
from imagestore.tools.resolve_path import resolve_argument
from imagestore.vfs.open_tree import open_tree


def attrs(store: str | Path, path: str = "/", as_json: bool = False, follow_external: bool = False) -> int:
    """Print a line for each attribute of the group or dataset at a path; return the exit status.

    The line is "name = value": text as it is, with control characters escaped, and other values as JSON. With
    `as_json`, one JSON object is printed. Attributes that HDF5 cannot read are named on standard error, and
    the status is then 1. `follow_external` is that of open_tree. Raises UserError if there is no such path,
    OSError if the object is damaged.
    """
    with open_tree([store], follow_external=follow_external) as tree:
        _, node = resolve_argument(tree, path)
        file = tree.sources[node.source].file
        helper = HelperProcess(file.path, file.fd, follow_external)
        try:
            attributes = helper.typed_attributes(tree.hdf5_path(node))
        finally:
            helper.close()
    readable = [attribute for attribute in attributes if not attribute.error]
    if as_json:
        members = (f"{attribute.json_name()}: {attribute.json.decode()}" for attribute in readable)
        print(f"{{{', '.join(members)}}}")
    else:
        for attribute in readable:
            print(f"{printable(attribute.name)} = {printable(attribute.text)}")
    sys.stdout.flush()
    for attribute in attributes:
        if attribute.error:
            note(f"h5vfs: {printable(attribute.name)}: cannot be read ({attribute.error})")
    return FAILED if len(readable) < len(attributes) else 0
