"""A tree of image stores as a read-only FUSE file system.

Begin with `mount`: it mounts in the background, in the foreground, or for the length of one command. `server`
is the process that serves a mount, `serve` chooses the interface of libfuse. There are two, and each has a
session, which mounts, and requests, which translate between libfuse and the tree: `low_level_session` and
`low_level_requests` for libfuse 3, `high_level_session` and `requests` for libfuse 2. `mount_table` lists
mounts and unmounts them. The room vfs alone decides how a store looks as a file system.
"""
