import torch
from torch.testing import assert_close

import equicon as eq
from equicon._views import cpu as _cpu


def test_a_batch_in_parts_is_the_batch(monkeypatch):
    images, size = torch.rand(7, 3, 20, 20), (12, 12)
    g = eq.RandomAffine(180, 0.1, (0.4, 3.0)).sample(7, generator=torch.Generator().manual_seed(0)).affine
    whole = g.warp(images, size)
    monkeypatch.setattr(_cpu, "_AT_A_TIME", 1)
    assert_close(g.warp(images, size), whole, atol=1e-6, rtol=0)
    assert_close(torch.cat([g[i].warp(images[i : i + 1], size) for i in range(7)]), whole, atol=1e-6, rtol=0)
