import math
import re

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from equicon._plane.matrix import inverse_affine
from equicon._plane.values import check_affine_values, check_intrinsics, check_upright, has_inverse, is_affine

powers = st.floats(-44, 38)


def matrices(a: float, b: float, c: float, d: float, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.tensor([[[a, b, 0.0], [c, d, 0.0], [0.0, 0.0, 1.0]]], dtype=dtype)


@settings(max_examples=300)
@given(powers, st.floats(-6, 6), st.floats(0, 2 * math.pi), st.booleans())
def test_what_has_an_inverse_is_undone_by_it_and_what_is_near_1_has_one(power, ratio, angle, mirrored):
    size, across = 10**power, 10**ratio * (-1 if mirrored else 1)
    cos, sin = math.cos(angle), math.sin(angle)
    matrix = matrices(size * cos, size * across * sin, -size * sin, size * across * cos)
    if has_inverse(matrix)[0]:
        undone = inverse_affine(matrix).double() @ matrix.double()
        scale = max(abs(across), 1 / abs(across))
        assert float((undone - torch.eye(3, dtype=torch.float64)).abs().max()) < 2e-3 + 1e-6 * scale
    else:
        assert not (-12 < power < 12) or abs(ratio) > 2


@given(st.floats(0.1, 3), st.floats(0.1, 3), st.floats(0.1, 3))
def test_what_is_singular_has_none_however_its_products_are_rounded(a, b, factor):
    singular = matrices(a, b, factor * a, factor * b, torch.float64).float()
    exact = singular.double()
    determinant = float(exact[0, 0, 0] * exact[0, 1, 1] - exact[0, 0, 1] * exact[0, 1, 0])
    rounded = float(singular[0, 0, 0] * singular[0, 1, 1] - singular[0, 0, 1] * singular[0, 1, 0])
    assume(determinant == 0 or abs(rounded / determinant - 1) > 1e-3)
    assert not has_inverse(singular)[0]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_types_keep_to_themselves(dtype):
    small = matrices(1e-30, 0.0, 0.0, 1e-30, dtype)
    assert bool(has_inverse(small)[0]) == (dtype == torch.float64)
    assert bool(has_inverse(matrices(0.5, 0.25, -0.25, 0.5, dtype))[0])
    assert bool(is_affine(small)[0])
    with pytest.raises(ValueError, match=r"m: expected an invertible matrix, got .* at index 0"):
        check_affine_values("m", 0 * small + torch.tensor([[0.0, 0, 0], [0, 0, 0], [0, 0, 1]], dtype=dtype))


def test_values_are_looked_at_on_the_host_alone():
    wrong = torch.zeros(2, 3, 3)
    check_affine_values("m", wrong.to("meta"))
    check_intrinsics("K", wrong.to("meta"))
    torch.vmap(lambda m: (check_affine_values("m", m), m)[1])(wrong[None])
    for grad in (False, True):
        with pytest.raises(ValueError, match=r"m: expected a last row of \(0, 0, 1\)"):
            check_affine_values("m", wrong.clone().requires_grad_(grad))
    check_affine_values("m", wrong[:0])


def test_the_error_says_which_type_must_hold_the_inverse():
    with pytest.raises(ValueError, match=r"at index 0\. Its inverse must fit in float32, too\."):
        check_affine_values("m", matrices(1e-30, 0.0, 0.0, 1e-30))
    with pytest.raises(ValueError, match="m: expected finite numbers"):
        check_affine_values("m", matrices(math.inf, 0.0, 0.0, 1.0))


@pytest.mark.parametrize("index", [(1,), (1, 2), (0, 1, 2)])
def test_a_box_that_is_turned_is_named_by_all_its_indices(index):
    boxes = torch.tensor([1.0, 2.0, 1.0, 5.0]).repeat(*(3,) * len(index), 1)
    boxes[..., 0, :] = torch.nan
    check_upright("boxes", boxes)
    for axis in (0, 1):
        wrong = boxes.clone()
        wrong[(*index, axis)] = 9.0
        with pytest.raises(ValueError, match=re.escape(f"at index {list(index)}. If these are")):
            check_upright("boxes", wrong)
    check_upright("boxes", boxes.new_zeros(0, 4))
