"""Encoders that come with the package, and files for those of others."""
