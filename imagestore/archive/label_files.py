"""The label in a file of its own, which may be coded as WebDataset does: text, JSON, NumPy or pickle.

The last suffix names the code, as in `0001.cls.npy`. See webdataset's writer.py and autodecode.py,
https://github.com/webdataset/webdataset.
"""

from __future__ import annotations

import contextlib
import io
import json
import pickle
import re

from imagestore import stored_names

TEXTS, JSONS, ARRAYS, PICKLES = ("txt", "text"), ("json", "jsn"), ("npy",), ("pyd", "pickle", "pkl")
CODES = (*TEXTS, *JSONS, *ARRAYS, *PICKLES)
PRINTED_NUMBER = re.compile(r"(?:(?:tensor|array)\(\[?|\[)\s*(-?\d+)\s*(?:\]?(?:, d\w+=[^()]*)?\)|\])")
LARGEST_CODED = 1 << 20  # bytes of an array or a pickle; a larger one is no label
LARGEST_ALONE = 4096  # bytes of an array whose name does not say that it is a label
SAFE_NAMES = {  # what a pickle may name: numbers of NumPy
    ("numpy", "dtype"),
    ("numpy.core.multiarray", "scalar"),
    ("numpy._core.multiarray", "scalar"),
}
ERRORS_OF_PICKLE = (
    *(pickle.UnpicklingError, EOFError, ValueError, LookupError, TypeError, AttributeError),
    *(ImportError, OverflowError, MemoryError),
)


def code_of(extension: str) -> str:
    """The code that the last suffix names, of a name behind its first dot; "" for plain text."""
    last = extension.rpartition(".")[2]
    return last if last in CODES else ""


def label_in_file(data: bytes, code: str) -> object:
    """The number or the text in a file; None if it holds something else. One-hot arrays are numbers."""
    if code in JSONS:
        return _value_of_json(data)
    if code in ARRAYS:
        return _value_of_array(data)
    return _value_of_pickle(data) if code in PICKLES else _line_of(data)


def number_or_text_in_array(data: bytes) -> object:
    """A whole number or a text that an array holds alone; None if it holds something else."""
    array = _array_in(data)
    is_one = array is not None and array.ndim == 0 and array.dtype.kind in "iuSU"
    return array.item() if is_one else None


def _line_of(data: bytes) -> str | None:
    """One line of text. Numbers may be as Python prints them: `tensor(3)`, `[3]`."""
    lines = stored_names.decode(data.removeprefix(b"\xef\xbb\xbf").strip(b" \t\r\n\0")).splitlines()
    if len(lines) != 1:
        return None
    printed = PRINTED_NUMBER.fullmatch(lines[0])
    return printed[1] if printed else lines[0]


def _value_of_json(data: bytes) -> object:
    with contextlib.suppress(ValueError, RecursionError):
        value = json.loads(data)
        return value if isinstance(value, (str, int, float)) else None
    return None


def _value_of_array(data: bytes) -> object:
    """The only value, or the place of the single 1 among zeros."""
    array = _array_in(data)
    if array is None or not array.size:
        return None
    if array.size == 1:
        return array.item()
    is_row = array.dtype.kind in "iufb" and array.size == max(array.shape)
    is_one_hot = is_row and ((array == 0) | (array == 1)).all() and array.sum() == 1
    return int(array.argmax()) if is_one_hot else None


def _array_in(data: bytes) -> object:
    """The array in a file of NumPy; None if it is none."""
    import numpy as np

    with contextlib.suppress(ValueError, EOFError, TypeError, SyntaxError, OverflowError, MemoryError):
        return np.lib.format.read_array(io.BytesIO(data), allow_pickle=False)
    return None


def _value_of_pickle(data: bytes) -> object:
    with contextlib.suppress(*ERRORS_OF_PICKLE):
        value = _PlainUnpickler(io.BytesIO(data)).load()
        return value.item() if hasattr(value, "item") else value
    return None


class _PlainUnpickler(pickle.Unpickler):
    """Reads numbers and texts. Any pickle may run code: one that names anything else is refused."""

    def find_class(self, module: str, name: str) -> object:
        if (module, name) not in SAFE_NAMES:
            raise pickle.UnpicklingError(f"{module}.{name}")
        return super().find_class(module, name)
