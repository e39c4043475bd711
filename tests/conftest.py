"""Settings of the whole suite."""

import os

import torch
from hypothesis import settings

# How long a test takes never fails it, and what passed here passes there.
settings.register_profile("equicon", deadline=None, derandomize=True)
settings.load_profile("equicon")

# Where there is no GPU, Triton's interpreter runs the kernels. It is asked for before they are defined.
if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"
