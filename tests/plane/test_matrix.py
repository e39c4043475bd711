import pytest
import torch
from registry import random_affine
from torch.testing import assert_close

from equicon._plane import matrix as _matrix


def test_products_are_torchs():
    a, b, v = torch.randn(5, 3, 4), torch.randn(5, 4, 2), torch.randn(5, 6, 7, 4)
    assert_close(_matrix.matmul(a, b), a @ b)
    assert_close(_matrix.matvec(a, v), torch.einsum("bnk,b...k->b...n", a, v))


def test_products_are_not_rounded_by_autocast():
    a = torch.randn(5, 3, 3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert (a @ a).dtype == torch.bfloat16  # the hazard
        assert_close(_matrix.matmul(a, a), (a.double() @ a.double()).float())


def test_inverse_is_torchs():
    matrix = random_affine(0, 50).matrix
    assert_close(_matrix.inverse_affine(matrix), torch.linalg.inv(matrix))


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_polar_factor_is_that_of_the_singular_values(sign):
    linear = torch.randn(200, 2, 2, dtype=torch.float64)
    linear = linear[torch.linalg.det(linear) * sign > 0.05]
    u, _, vh = torch.linalg.svd(linear)
    assert_close(_matrix.polar_factor(linear), u @ vh)


def test_constants_are_the_numbers_on_every_device():
    values = (0.485, -2.0, 0.0, 1 / 3)
    assert_close(_matrix.constant(values, torch.device("cpu")), torch.tensor(values), atol=0, rtol=0)
    there = _matrix.constant(values, torch.device("meta"), torch.float64)  # stands for all others
    assert (there.device.type, there.shape, there.dtype) == ("meta", (4,), torch.float64)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_rows_are_divided_by_their_norm_but_for_those_of_nothing(dtype):
    z = torch.tensor([[3.0, 4.0], [3e-7, 4e-7], [3e-10, 4e-10], [0.0, 0.0]], dtype=dtype).requires_grad_()
    unit = torch.tensor([[0.6, 0.8], [0.6, 0.8], [0.6, 0.8], [0.0, 0.0]], dtype=dtype)
    found = _matrix.normalize(z)
    assert_close(found, unit, rtol=1e-5, atol=1e-12)
    found.sum().backward()
    assert_close(z.grad[3:], torch.ones(1, 2, dtype=dtype))


def test_rows_of_a_batch_stay_a_batch():
    batch = torch.arange(24).view(4, 3, 2)
    for index, expected in [(1, [1]), (-1, [3]), (slice(1, 3), [1, 2]), ([2, 0], [2, 0]), (torch.tensor(3), [3])]:
        assert _matrix.rows(batch, index).equal(batch[expected])
