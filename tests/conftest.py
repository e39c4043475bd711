"""Settings of the whole suite."""

from hypothesis import settings

# How long a test takes never fails it, and what passed here passes there.
settings.register_profile("equicon", deadline=None, derandomize=True)
settings.load_profile("equicon")
