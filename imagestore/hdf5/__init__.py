"""HDF5 files: how they are opened, how datasets are laid out, and a process that may crash on a damaged file.

Begin with `open_hdf5.py` and `datasets.py`. Code that opens files of strangers uses `helper_process.py`: HDF5
may crash on them, and then only the helper dies. `objects.py`, `datasets_as_files.py` and `values_as_text.py`
run in that helper process. Threads may not share the objects of this room.
"""
