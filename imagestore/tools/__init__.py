"""Using a store without a mount: pack, unpack, ls, cat and verify."""
