"""Averages of predictions over several views of a picture."""
