"""Views of images: interpolation, colour, and the backends that make them."""
