"""Networks that tell the labels of images, and their files: weights and labels."""
