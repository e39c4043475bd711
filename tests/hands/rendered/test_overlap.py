import pytest
import torch

from equicon.hands._rendered.overlap import overlap


def straight(*base: float, step: tuple[float, float, float]) -> torch.Tensor:
    """Lay three bones along a line: (4, 3)."""
    return torch.tensor(base).double() + torch.arange(4.0).double()[:, None] * torch.tensor(step).double()


FINGERS = torch.stack([straight(0.03 - 0.02 * k, 0.09, 0.0, step=(0.0, 0.03, 0.0)) for k in range(4)])[None]


@pytest.mark.parametrize(
    ("height", "deep"),
    [(0.0, 0.0170), (0.010, 0.0070), (0.05, -0.03)],
)
def test_a_thumb_across_the_fingers(height, deep):
    thumb = straight(0.05, 0.12, height, step=(-0.02, 0.0, 0.0))
    assert overlap(thumb[None, None], FINGERS).item() == pytest.approx(deep, abs=0.003)


def test_a_thumb_in_the_palm_and_one_beside_it():
    inside, beside = (
        straight(0.03, 0.02, 0.0, step=(-0.01, 0.015, 0.0)),
        straight(0.06, 0.02, 0.0, step=(0.02, 0.02, 0.0)),
    )
    depth = overlap(torch.stack([inside, beside])[None], FINGERS)
    assert depth.shape == (1, 2)
    assert depth[0, 0] > 0.01
    assert depth[0, 1] < -0.01
