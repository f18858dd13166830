"""Archives of images: opening them, streaming their members, fetching single ones."""
