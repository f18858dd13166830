"""Stores as one tree of files and folders; knows no FUSE."""
