"""Image stores as one tree of folders, files and symbolic links. This room knows nothing of FUSE.

Begin with `open_tree.open_tree` and `tree.Tree`. A tree reads from one `source.Source` for each store: an
IndexedSource if the store's index is complete, otherwise an Hdf5Source. `shown_names` turns link names into
shown names. A tree is not thread-safe. It stays usable after a fork.
"""
