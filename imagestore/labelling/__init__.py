"""From archives to stores: the commands sort, partition and merge."""
