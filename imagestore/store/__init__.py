"""The image store: one HDF5 file with many small images, each under its label.

Begin with `reader.py` (ImageStore) and `writer.py` (StoreWriter). `record.py` and `index.py` hold the facts
about images. With `partial_file.py`, `journal.py` and `working_files.py`, images are added so that no kill
loses any. Threads and forked processes may share an ImageStore for reading. A StoreWriter belongs to one
thread.
"""
