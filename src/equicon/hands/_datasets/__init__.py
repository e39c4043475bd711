"""Readers and writers of FreiHAND and YouTube3DHands."""
