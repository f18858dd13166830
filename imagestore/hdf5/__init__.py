"""HDF5 files: opening them, their datasets, and a helper process that may crash."""
