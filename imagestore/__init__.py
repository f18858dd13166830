"""Archives of many small images as one labelled HDF5 file: each folder is a room, see docs/layout.md."""

TYPE_CHECKING = False  # as type checkers know it; typing itself would take time at each start
if TYPE_CHECKING:
    from imagestore.loading.dataset import HDF5Dataset as HDF5Dataset
    from imagestore.store.reader import ImageStore as ImageStore
    from imagestore.vfs.fsspec_filesystem import ImageStoreFileSystem as ImageStoreFileSystem

MODULES = {
    "HDF5Dataset": "imagestore.loading.dataset",
    "ImageStore": "imagestore.store.reader",
    "ImageStoreFileSystem": "imagestore.vfs.fsspec_filesystem",
}


def __getattr__(name: str) -> object:
    """The classes of MODULES, loaded when asked for: torch is slow to load."""
    if name not in MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(MODULES[name]), name)
