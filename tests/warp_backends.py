"""Ask for a backend, and get it wherever it runs: on a machine without a GPU, Triton's interpreter."""

import pytest
import torch

from equicon._views import filled as _filled
from equicon._views import view as _view

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
"""Where Triton runs: without a GPU its interpreter, which conftest asks for."""
EXACT = ("torch", "kornia")
"""Backends of any type and mode."""
backends = pytest.mark.parametrize("backend", [*EXACT, "triton"])


def force(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have views made by a backend; by Triton, those whose images it serves, and by torch the others."""
    if backend != "triton":
        monkeypatch.setenv("EQUICON_BACKEND", backend)
        return
    pytest.importorskip("triton", reason="Triton comes with the CUDA builds of torch")

    def choose(images, matrix, color, mode="bilinear"):
        served = mode == "bilinear" and images.shape[1] == 3 and images.dtype != torch.float64
        return "triton" if served else "torch"

    for module in (_view, _filled):
        monkeypatch.setattr(module, "choose", choose)
