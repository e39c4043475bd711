import pytest
import torch

from equicon.keypoints import KeypointPrediction, KeypointTarget, gaussians, keypoint_loss, soft_argmax

SIZE = (64, 64)


def predicted(xy: torch.Tensor) -> KeypointPrediction:
    heatmaps = gaussians(xy, (16, 16), SIZE)
    return KeypointPrediction(soft_argmax(heatmaps, SIZE), torch.ones(xy.shape[:2]), heatmaps)


def wanted(xy: torch.Tensor, visible: torch.Tensor) -> KeypointTarget:
    return KeypointTarget(torch.zeros(len(xy), 3, *SIZE), xy, visible)


@pytest.fixture
def xy():
    return 20 + 24 * torch.rand(3, 5, 2, generator=torch.Generator().manual_seed(0))


def test_it_is_zero_for_the_truth_and_grows_with_the_distance(xy):
    visible = torch.full((3, 5), 2)
    values = []
    for miss in (0.0, 1.0, 2.0, 4.0, 8.0):
        parts = keypoint_loss(predicted(xy + miss), wanted(xy, visible))
        assert parts["2D"] == pytest.approx(miss * 2**0.5 / 32, abs=1e-3)
        values.append(float(parts["shape"]))
    assert values[0] < 1e-5
    assert values == sorted(values)
    assert values[-1] < 0.6932  # log 2


def test_it_equals_a_loop(xy):
    visible = (torch.rand(3, 5, generator=torch.Generator().manual_seed(1)) > 0.4) * 2
    found, target = predicted(xy + torch.randn(3, 5, 2)), wanted(xy, visible)
    parts = keypoint_loss(found, target, shape_weight=0.5)
    far, apart, count = 0.0, 0.0, 0
    true = gaussians(xy, (16, 16), SIZE)
    for b in range(3):
        for k in range(5):
            if visible[b, k]:
                count += 1
                far += float(torch.dist(found.xy[b, k], xy[b, k])) / 32
                p, q = found.heatmaps[b, k].double(), true[b, k].double()
                m = (p + q) / 2
                kl = [float(torch.where(v > 0, v * (v / m).log(), 0.0).sum()) for v in (p, q)]
                apart += sum(kl) / 2
    assert float(parts["2D"]) == pytest.approx(far / count, rel=1e-4)
    assert float(parts["shape"]) == pytest.approx(0.5 * apart / count, rel=1e-4)


def test_a_keypoint_without_a_label_has_no_influence_whatever_its_coordinates_are(xy):
    visible = torch.full((3, 5), 2)
    visible[:, 1] = 0
    logits = torch.randn(3, 5, 16, 16, requires_grad=True)
    values = []
    for unknown in (0.0, 1e6, float("nan")):
        heatmaps = logits.flatten(2).softmax(-1).unflatten(2, (16, 16))
        found = KeypointPrediction(soft_argmax(heatmaps, SIZE), torch.ones(3, 5), heatmaps)
        xy[:, 1] = unknown
        loss = sum(keypoint_loss(found, wanted(xy, visible)).values())
        (gradient,) = torch.autograd.grad(loss, logits)
        assert gradient.isfinite().all()
        assert (gradient[:, 1] == 0).all()
        assert (gradient[:, 0] != 0).any()
        values.append(float(loss.detach()))
    assert values[0] == values[1] == values[2]


def test_without_any_label_it_is_zero_and_has_a_gradient_of_zero(xy):
    found = xy.clone().requires_grad_()
    parts = keypoint_loss(KeypointPrediction(found, torch.ones(3, 5), None), wanted(xy, torch.zeros(3, 5).long()))
    assert list(parts) == ["2D"]
    (gradient,) = torch.autograd.grad(parts["2D"], found)
    assert parts["2D"] == 0
    assert (gradient == 0).all()


def test_its_gradient_at_the_truth_is_finite(xy):
    found = xy.clone().requires_grad_()
    loss = keypoint_loss(KeypointPrediction(found, torch.ones(3, 5), None), wanted(xy, torch.full((3, 5), 1)))["2D"]
    (gradient,) = torch.autograd.grad(loss, found)
    assert gradient.isfinite().all()


def test_bad_input_is_named(xy):
    visible = torch.full((3, 5), 2)
    with pytest.raises(ValueError, match=r"shape_weight: expected a number of at least 0"):
        keypoint_loss(predicted(xy), wanted(xy, visible), shape_weight=-1.0)
    with pytest.raises(ValueError, match=r"target.xy: expected .*\(B, 5, 2\)"):
        keypoint_loss(predicted(xy), wanted(xy[:, :4], visible[:, :4]))
    with pytest.raises(ValueError, match=r"prediction"):
        keypoint_loss(predicted(xy[:2]), wanted(xy, visible))
    with pytest.raises(TypeError, match=r"target.visible: expected whole numbers"):
        keypoint_loss(predicted(xy), wanted(xy, visible.float()))
    with pytest.raises(ValueError, match=r"target.visible: expected the shape"):
        keypoint_loss(predicted(xy), wanted(xy, visible[:, :4]))
