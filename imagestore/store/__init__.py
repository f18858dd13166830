"""The image store: reading it, and adding images to it."""
