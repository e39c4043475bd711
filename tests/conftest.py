"""Settings of the whole suite."""

from hypothesis import settings

# Machines are noisy: how long a test takes never fails it.
settings.register_profile("equicon", deadline=None)
settings.load_profile("equicon")
