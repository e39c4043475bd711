"""Transforms: distributions over actions, and what is drawn from them."""
