"""A tree of image stores as a read-only FUSE file system.

Begin with `mount`: it mounts in the background, in the foreground, or for the length of one command. `server`
is the process that serves a mount, and `requests` translates between libfuse and the tree. `mount_table`
lists mounts and unmounts them. The room vfs alone decides how a store looks as a file system.
"""
