import pytest
import torch

pytest.importorskip("torchvision", reason="the examples need torchvision")

from equicon.hands import Hand, PoseErrors, SyntheticHands, pose_crop, pose_errors, pose_target
from equicon.recipes import SCRATCH, TUNED, Models, format_errors, mean_pose


def targets(hands: Hand):
    crop = pose_crop(hands, 48)
    return [pose_target(hands, crop.warp(hands.image, (48, 48)), crop)]


def test_the_mean_of_hands_that_are_alike_is_each_of_them():
    hand = SyntheticHands(num_samples=1, size=64).render([0])
    alike = Hand(*(value.expand(4, *value.shape[1:]) for value in hand))
    torch.testing.assert_close(mean_pose(targets(alike)), alike.xyz.double(), atol=1e-5, rtol=1e-5)
    nearer = alike._replace(xyz=alike.xyz * torch.tensor([1.0, 1.0, 2.0, 2.0])[:, None, None])  # and twice as large
    torch.testing.assert_close(mean_pose(targets(nearer)), nearer.xyz.double(), atol=1e-5, rtol=1e-5)


def test_the_mean_looks_at_no_image_and_in_a_loop_it_is_the_same():
    hands = SyntheticHands(num_samples=12, size=64, seed=3).render(range(12))
    (target,) = targets(hands)
    found = mean_pose([target])
    assert torch.equal(found, mean_pose([target._replace(images=target.images * 0)]))
    parts = [type(target)(*(value[part] for value in target)) for part in (slice(5), slice(5, None))]
    torch.testing.assert_close(mean_pose(parts), found)
    shape = sum(xyz - xyz[0] for xyz in target.xyz.double()) / 12
    xy = sum(xy[0] for xy in target.xy.double()) / 12
    far = sum(xyz[0, 2] / K[0, 0] for xyz, K in zip(target.xyz.double(), target.K.double(), strict=True)) / 12
    for i in range(12):
        K, scale = target.K[i].double(), target.scale[i].double()
        palm = torch.linalg.inv(K) @ torch.tensor([*xy, 1.0], dtype=torch.float64) * far * K[0, 0]
        joints = (palm + shape) * scale
        torch.testing.assert_close(found[i, 1:], joints[1:], atol=1e-6, rtol=1e-6)
        torch.testing.assert_close(found[i, 0], 2 * joints[0] - joints[9], atol=1e-6, rtol=1e-6)
    assert pose_errors(found, hands.xyz, hands.K).px < 20


def test_errors_stand_in_columns():
    rows = {"ours": PoseErrors(1.23, 20.0, 300.0, 4.56, 0.5, 0.6), "mean pose": PoseErrors(10, 100, 1000, 30, 0, 0)}
    title, first, second = format_errors(rows).splitlines()
    assert [each.strip() for each in title.split("  ")][-4:] == [
        "2D [px]",
        "from the wrist [mm]",
        "aligned (PA) [mm]",
        "EPE [mm]",
    ]
    assert first.split() == ["ours", "1.2", "20.0", "4.6", "300.0"]
    assert second.split() == ["mean", "pose", "10.0", "100.0", "30.0", "1000.0"]
    assert len(title) == len(first) == len(second)


def test_the_model_from_scratch_is_neither_frozen_nor_slowed():
    models = Models("quarter_resnet18", "none", True, freeze_blocks=2)
    tuned, scratch = models.by_name[TUNED], models.by_name[SCRATCH]
    assert not tuned.encoder.conv1.weight.requires_grad
    assert scratch.encoder.conv1.weight.requires_grad
    times = {id(p): group["times"] for group in models.groups(0.0, layer_decay=0.5) for p in group["params"]}
    assert times[id(tuned.encoder.layer4[0].conv1.weight)] == 0.5
    assert id(tuned.encoder.conv1.weight) not in times
    assert times[id(scratch.encoder.conv1.weight)] == 1.0
    assert {times[id(p)] for model in models for p in model.refine.parameters()} == {10.0}


def test_each_model_is_clipped_by_itself():
    models = Models("quarter_resnet18", "none", True)
    for model, size in zip(models, (1.0, 1e-4), strict=True):
        for parameter in model.parameters():
            parameter.grad = torch.full_like(parameter, size)
    small = models.by_name[SCRATCH].head.bias.grad.clone()
    before = [p.grad.clone() for p in models.parameters()]
    models.clip_gradients(0.0)
    assert all(torch.equal(p.grad, old) for p, old in zip(models.parameters(), before, strict=True))
    models.clip_gradients(1.0)
    norm = torch.cat([p.grad.flatten() for p in models.by_name[TUNED].parameters()]).norm()
    torch.testing.assert_close(norm, torch.tensor(1.0), rtol=2e-3, atol=0)
    assert torch.equal(models.by_name[SCRATCH].head.bias.grad, small)
