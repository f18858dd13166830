"""The sides that a network's square pictures may have. Imports nothing."""

SMALLEST_SIDE, LARGEST_SIDE = 2, 4096  # pixels; half of the side is trained on, which is at least one pixel
