"""Archives of many small images as one labelled HDF5 file: each folder is a room, see the README's Layout."""
