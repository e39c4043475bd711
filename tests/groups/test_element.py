import pytest
import torch

import equicon as eq
from equicon._groups.element import check_element


def test_what_is_no_element_is_told_how_to_become_one():
    class Half:
        device = identity = cat = __len__ = __getitem__ = inverse = None

    action = eq.RandomRotation(45).sample(2)
    for value, fix in [
        (
            torch.eye(3)[None],
            r"Wrap a pixel matrix with Affine.from_pixels\(matrix, source, view\), a unit-frame",
        ),
        (action, r"Take the element of the Action: action\.affine\.$"),
        (Half(), r"It lacks __matmul__, to\.$"),
    ]:
        with pytest.raises(TypeError, match=f"g: expected a group element, such as an equicon.Affine, got .*{fix}"):
            check_element("g", value)
    assert check_element("g", action.affine) is action.affine
