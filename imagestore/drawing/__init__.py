"""Pictures for people, drawn by Pillow alone: texts, thumbnails, contact sheets, and windows or files."""
