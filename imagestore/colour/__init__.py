"""Colours: from pixels to a palette, and from a palette to a label."""
