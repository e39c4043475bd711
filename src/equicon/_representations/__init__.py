"""Representations: how a group element acts on an embedding."""
