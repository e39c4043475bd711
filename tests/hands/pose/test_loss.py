import pytest
import torch

from equicon.hands import Hand, Pose, PoseTarget, SyntheticHands, pose_crop, pose_errors, pose_loss, pose_target

SIZE = 48


@pytest.fixture(scope="module")
def hand() -> Hand:
    return SyntheticHands(6, size=64, seed=1).render(range(6))


def views_of(hand: Hand, size: tuple[int, int] = (SIZE, SIZE)) -> PoseTarget:
    g = pose_crop(hand, SIZE)
    return pose_target(hand, g.warp(hand.image, size), g)


def perfect(target: PoseTarget) -> Pose:
    depth = target.xyz[..., 2]
    return Pose(target.xy, depth - depth[:, :1], depth[:, 0], target.xyz)


def spoiled(pose: Pose, seed: int = 0) -> Pose:
    generator = torch.Generator().manual_seed(seed)
    return Pose(*(value + torch.randn(value.shape, generator=generator) for value in pose))


def test_a_perfect_prediction_costs_nothing_and_is_the_hand(hand):
    target = views_of(hand)
    pose = perfect(target)
    assert [loss.item() for loss in pose_loss(pose, target, (10.0, 1.0, 0.2)).values()] == [0, 0, 0]
    errors = pose_errors(pose.joints(target.scale), hand.xyz, hand.K)
    assert max(errors[:4]) < 1e-3
    assert min(errors[4:]) > 0.99  # all but the threshold 0


def loss_by_loop(pose: Pose, target: PoseTarget, weights: tuple[float, float, float]) -> list[float]:
    sums, counts = [0.0, 0.0, 0.0], [0, 0, 0]
    for i in range(len(pose.xy)):
        for j in range(21):
            height, width = target.images.shape[-2:]
            miss_2d = [(pose.xy[i, j, k] - target.xy[i, j, k]) / (min(height, width) / 2) for k in range(2)]
            miss_depth = [pose.depth[i, j] - (target.xyz[i, j, 2] - target.xyz[i, 0, 2])]
            miss_3d = [pose.xyz[i, j, k] - target.xyz[i, j, k] for k in range(3)]
            for which, misses in enumerate((miss_2d, miss_depth, miss_3d)):
                sums[which] += sum(abs(float(miss)) for miss in misses)
                counts[which] += len(misses)
    return [weight * total / count for weight, total, count in zip(weights, sums, counts, strict=True)]


@pytest.mark.parametrize("size", [(SIZE, SIZE), (40, 56)])
def test_the_loss_agrees_with_a_loop(hand, size):
    target = views_of(hand, size)
    pose, weights = spoiled(perfect(target)), (10.0, 3.0, 0.2)
    got = pose_loss(pose, target, weights)
    assert list(got) == ["2D", "depth", "3D"]
    assert [loss.item() for loss in got.values()] == pytest.approx(loss_by_loop(pose, target, weights), rel=1e-5)


@pytest.mark.parametrize(
    ("weights", "error", "message"),
    [
        ((1.0, 1.0), ValueError, "weights: expected 3 numbers, of 2D, depth, 3D, got 2"),
        ((1.0, -1.0, 1.0), ValueError, "weights: expected a number of at least 0, got float -1.0"),
        ((1.0, "1", 1.0), TypeError, "weights: expected a number, got str '1'"),
    ],
)
def test_wrong_weights_are_named(hand, weights, error, message):
    target = views_of(hand)
    with pytest.raises(error, match=message):
        pose_loss(perfect(target), target, weights)


def test_a_prediction_of_other_hands_is_named(hand):
    target = views_of(hand)
    with pytest.raises(ValueError, match="pose: expected a batch of 6, like target, got a batch of 1"):
        pose_loss(Pose(*(value[:1] for value in perfect(target))), target, (1.0, 1.0, 1.0))
