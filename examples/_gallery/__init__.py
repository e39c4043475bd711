"""What ``gallery.py`` draws, and how."""
