"""Rendered hands with exact joints."""
