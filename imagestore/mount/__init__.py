"""Mounting a tree of files with FUSE."""
