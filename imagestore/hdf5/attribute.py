"""An attribute of an HDF5 object with its value. This module does not import h5py."""

from __future__ import annotations

import json
from typing import NamedTuple


class Attribute(NamedTuple):
    """An attribute; `error` says why its value cannot be read, and is empty otherwise."""

    name: str
    text: bytes = b""  # of a text as it is, of another value as JSON
    json: bytes = b""  # in ASCII
    error: str = ""

    def json_name(self) -> str:
        """The name as JSON, in ASCII."""
        return json.dumps(self.name)
