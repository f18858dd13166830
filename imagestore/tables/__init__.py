"""Files whose rows are images, as archives: Parquet, JSON Lines, and HDF5 with images as bytes or as pixels.

row_archive.py is the archive. parquet_rows.py, json_rows.py, pixel_rows.py, table_rows.py and store_rows.py say
how the rows of a file are read. hdf5_archive.py finds out which rows an HDF5 file has.
"""
