import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from equicon.hands import project


def draw(seed: int, *batch: int, points: int = 5) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    xyz = torch.rand(*batch, points, 3, generator=generator, dtype=torch.float64) * 2 - 1
    xyz[..., 2] += 2.5
    K = torch.eye(3, dtype=torch.float64).repeat(*batch, 1, 1)
    K[..., :2, :] = torch.rand(*batch, 2, 3, generator=generator, dtype=torch.float64) * 300
    return xyz, K


@given(seed=st.integers(0, 2**32), batch=st.lists(st.integers(1, 3), max_size=2))
def test_project_equals_a_loop(seed, batch):
    xyz, K = draw(seed, *batch)
    xy = project(xyz, K)
    assert xy.shape == (*batch, 5, 2)
    for points, k, pixels in zip(xyz.view(-1, 5, 3), K.view(-1, 3, 3), xy.view(-1, 5, 2), strict=True):
        for point, pixel in zip(points, pixels, strict=True):
            p = k @ point
            torch.testing.assert_close(pixel, p[:2] / p[2])


@given(seed=st.integers(0, 2**32), scale=st.floats(0.1, 10.0))
def test_a_ray_has_one_pixel(seed, scale):
    xyz, K = draw(seed)
    torch.testing.assert_close(project(scale * xyz, K), project(xyz, K))


def test_one_camera_serves_many_hands():
    xyz, _ = draw(0, 4)
    _, K = draw(1)
    torch.testing.assert_close(project(xyz, K), project(xyz, K.expand(4, 3, 3)))


def test_a_point_alone_and_in_a_batch_has_the_same_pixel():
    xyz, K = (value.float() for value in draw(0, 300, points=21))
    together = project(xyz, K)
    assert all(torch.equal(project(xyz[i], K[i]), together[i]) for i in range(300))


def test_gradients_reach_points_and_camera():
    xyz, K = draw(0, 2, points=3)
    upper, last = K[:, :2].clone().requires_grad_(), K[:, 2:]  # of another last row it is no camera
    call = lambda xyz, upper: project(xyz, torch.cat([upper, last], 1))  # noqa: E731
    assert torch.autograd.gradcheck(call, (xyz.requires_grad_(), upper))


def test_project_agrees_with_opencv():
    cv2 = pytest.importorskip("cv2")
    xyz, K = draw(0)
    K[0, 1] = K[1, 0] = 0.0  # OpenCV knows no skew
    expected, _ = cv2.projectPoints(xyz.numpy(), np.zeros(3), np.zeros(3), K.numpy(), None)
    np.testing.assert_allclose(project(xyz, K).numpy(), expected[:, 0], rtol=1e-9)


@pytest.mark.parametrize(
    ("xyz", "K", "error", "message"),
    [
        ([[0.0, 0.0, 1.0]], torch.eye(3), TypeError, r"xyz: expected a tensor \(\.\.\., N, 3\), got list"),
        (torch.ones(21, 2), torch.eye(3), ValueError, r"xyz: expected a tensor of shape .* got .*\(21, 2\)"),
        (torch.ones(3), torch.eye(3), ValueError, r"xyz: expected .* got .*\(3,\).*xyz\[None\]"),
        (torch.ones(21, 3, dtype=torch.long), torch.eye(3), TypeError, r"xyz: expected a floating type, got .*int64"),
        (torch.ones(21, 3), torch.eye(4), ValueError, r"K: expected a tensor of shape .* got .*\(4, 4\)"),
        (torch.ones(21, 3), torch.eye(3).long(), TypeError, r"K: expected a floating type, got .*int64"),
        (torch.ones(21, 3), torch.zeros(3, 3), ValueError, r"K: expected a last row of \(0, 0, 1\)"),
        (torch.ones(21, 3), torch.diag(torch.tensor([1.0, 0.0, 1.0])), ValueError, "K: expected an invertible matrix"),
        (torch.ones(21, 3), torch.eye(3) * torch.nan, ValueError, "K: expected finite numbers"),
    ],
)
def test_wrong_arguments_are_named(xyz, K, error, message):
    with pytest.raises(error, match=message):
        project(xyz, K)
