import numpy as np
import pytest
import torch

from equicon.hands import Hand, SyntheticHands, pose_errors
from equicon.metrics import auc, procrustes_align


@pytest.fixture(scope="module")
def hand() -> Hand:
    return SyntheticHands(6, size=64, seed=1).render(range(6))


def test_errors_agree_with_a_loop(hand):
    generator = torch.Generator().manual_seed(2)
    joints = hand.xyz + 0.01 * torch.randn(hand.xyz.shape, generator=generator)
    got = pose_errors(joints, hand.xyz, hand.K)
    aligned = procrustes_align(joints.double(), hand.xyz.double()).numpy()
    found, true, K = (value.double().numpy() for value in (joints, hand.xyz, hand.K))
    px, mm, epe_mm, pa_mm = [], [], [], []
    for i in range(len(found)):
        for j in range(21):
            at = [(K[i] @ p)[:2] / (K[i] @ p)[2] for p in (found[i, j], true[i, j])]
            px.append(np.linalg.norm(at[0] - at[1]))
            mm.append(1000 * np.linalg.norm((found[i, j] - found[i, 0]) - (true[i, j] - true[i, 0])))
            epe_mm.append(1000 * np.linalg.norm(found[i, j] - true[i, j]))
            pa_mm.append(1000 * np.linalg.norm(aligned[i, j] - true[i, j]))
    expected = [float(np.mean(values)) for values in (px, mm, epe_mm, pa_mm)]
    assert list(got[:4]) == pytest.approx(expected, rel=1e-5)
    assert got.auc == pytest.approx(float(auc(joints.double(), hand.xyz.double())))
    assert got.pa_auc == pytest.approx(float(auc(torch.from_numpy(aligned), hand.xyz.double())))
    assert got.pa_mm < got.mm
    assert got.auc < got.pa_auc < 1


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"joints": torch.zeros(6, 20, 3)}, ValueError, r"joints: expected a tensor of shape \(N, 21, 3\)"),
        ({"xyz": torch.zeros(6, 21, 3).int()}, TypeError, "xyz: expected a floating type"),
        ({"xyz": torch.zeros(5, 21, 3)}, ValueError, "xyz: expected a batch of 6, like joints, got a batch of 5"),
        ({"K": torch.eye(3)}, ValueError, r"K: expected a tensor of shape \(N, 3, 3\)"),
        ({"K": torch.eye(3)[None]}, ValueError, "K: expected a batch of 6, like joints, got a batch of 1"),
    ],
)
def test_wrong_arguments_are_named(hand, change, error, message):
    with pytest.raises(error, match=message):
        pose_errors(**{"joints": hand.xyz, "xyz": hand.xyz, "K": hand.K} | change)
