"""Settings of the whole suite."""

import os

import pytest
import torch
from hypothesis import settings

# How long a test takes never fails it, and what passed here passes there.
settings.register_profile("equicon", deadline=None, derandomize=True)
settings.load_profile("equicon")

# Where there is no GPU, Triton's interpreter runs the kernels. It is asked for before they are defined.
if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"

# Workers of pytest-xdist have a core each: more threads than cores are many times slower.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def precision():
    """Leave the precision of products as it was, whatever a test, or what it runs, chooses."""
    backends = torch.backends.cuda.matmul, torch.backends.cudnn
    before = [backend.allow_tf32 for backend in backends], torch.get_float32_matmul_precision()
    yield
    for backend, value in zip(backends, before[0], strict=True):
        backend.allow_tf32 = value
    torch.set_float32_matmul_precision(before[1])
