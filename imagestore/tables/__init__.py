"""Files whose rows are images, as archives: Parquet, JSON Lines, MATLAB, and HDF5 with bytes or pixels.

row_archive.py is the archive. The modules whose names end in _rows.py say how the rows of a file are read.
hdf5_archive.py finds out which rows an HDF5 file has, and mat_archive.py those of other MATLAB files.
"""
