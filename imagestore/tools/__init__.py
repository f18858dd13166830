"""What `h5vfs.py` does without a mount: `pack`, `unpack`, `ls`, `cat`, `attrs` and `verify`.

Each command is the function of its name in the file of its name, and returns the exit status. Begin with
`pack.py`: it walks over a folder (`copy_walk.py`) and writes an HDF5 file (`packed_file.py`). `unpack.py`
walks over stores in the same way and writes a folder (`folder_writer.py`). `unpack_images.py` writes a data
set of another format. Paths in a store are those that a mount shows. `run_on_copies.py` is for jobs: it runs
a program on copies of stores on a fast disk.
"""
