"""The 2.5D model of the paper: lifting, two passes, released weights."""
