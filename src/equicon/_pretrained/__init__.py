"""Encoders that come with the package, and files to share your own."""
