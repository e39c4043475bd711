import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import strategies as st
from torch import Tensor, nn

import equicon as eq
from equicon import load_weights
from equicon.hands import Pose, Pose25D, lift, palm_from_wrist, project, read_pose25d, wrist_from_palm

GOLDEN = Path(__file__).parents[2] / "data" / "peclr_official_pose_head.npz"
seeds = st.integers(0, 2**31 - 1)


@pytest.fixture(scope="module")
def golden() -> dict[str, Tensor]:
    with np.load(GOLDEN) as data:
        return {name: torch.from_numpy(np.asarray(data[name])) for name in data.files}


def hands(seed: int, count: int = 4) -> tuple[Tensor, Tensor, Tensor]:
    """Draw hands (B, 21, 3) with a bone of length 1 that is not seen from its end, roots (B,) and cameras."""
    generator = torch.Generator().manual_seed(seed)
    xyz = torch.randn(count, 21, 3, dtype=torch.float64, generator=generator)
    bone = torch.randn(count, 3, dtype=torch.float64, generator=generator)
    bone[:, :2] += bone[:, :2].sign()
    xyz[:, 10] = xyz[:, 9] + bone / bone.norm(dim=-1, keepdim=True)
    root = 8 + 20 * torch.rand(count, dtype=torch.float64, generator=generator)
    K = torch.eye(3, dtype=torch.float64).repeat(count, 1, 1)
    K[:, 0, 0], K[:, 1, 1] = 300 + 300 * torch.rand(2, count, dtype=torch.float64, generator=generator)
    K[:, :2, 2] = 100 + 30 * torch.rand(count, 2, dtype=torch.float64, generator=generator)
    xyz[..., 2] += (root - xyz[:, 0, 2])[:, None]
    return xyz, root, K


def model_of(golden: dict[str, Tensor], tmp_path: Path) -> Pose25D:
    """Make a file of a released model whose backbone gives the golden head's output, and read it."""
    state = {name: value for name, value in golden.items() if name.startswith("zroot_ref")}
    state |= {"backend_model.fc.weight": torch.eye(64), "backend_model.fc.bias": torch.zeros(64)}
    torch.save({"state_dict": state}, tmp_path / "released.pt")
    model = Pose25D(Features(), width=64).eval()
    load_weights(model, read_pose25d(tmp_path / "released.pt"), "released.pt")
    return model


class Features(nn.Module):
    """Stands for an encoder: the first numbers of an image are its features."""

    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(1)[:, :64]


def images_of(features: Tensor, size: tuple[int, int] = (224, 224)) -> Tensor:
    images = torch.zeros(len(features), 3, *size, dtype=features.dtype)
    images.view(len(features), -1)[:, :64] = features
    return images


def test_the_released_head_is_the_official_program_s(golden, tmp_path):
    model = model_of(golden, tmp_path)
    with torch.inference_mode():
        pose = model(images_of(golden["head_output"]), golden["K"])
    places = golden["freihand_to_ait"].argsort()
    near = {"atol": 1e-4, "rtol": 0}
    torch.testing.assert_close(pose.xy, golden["kp2d"][:, places], **near)
    torch.testing.assert_close(pose.depth, golden["zrel"][:, places, 0], **near)
    torch.testing.assert_close(pose.xyz, golden["kp3d"][:, places], **near)
    torch.testing.assert_close(pose.xyz[:, 0, 2], pose.root)
    torch.testing.assert_close(pose.joints(golden["scale_m"]).double(), golden["leaderboard_xyz_m"], atol=1e-5, rtol=0)
    one = model(images_of(golden["head_output"][:1]), golden["K"][:1])
    torch.testing.assert_close(one.xyz, pose.xyz[:1])


def test_a_new_model_starts_at_the_closed_form():
    xyz, _, K = hands(5)
    xyz = palm_from_wrist(xyz)
    depth = xyz[..., 2] - xyz[:, :1, 2]
    size = (96, 128)
    K = eq.Affine.identity(4, dtype=torch.float64).intrinsics(K, (224, 224), size)
    units = (2 * project(xyz, K) + 1 - torch.tensor([128, 96])) / 96
    model = Pose25D(Features(), width=64).double().eval()
    with torch.no_grad():
        model.head.weight.copy_(torch.eye(64)[:63])
        model.head.bias.zero_()
    given = torch.cat([units, depth[..., None]], -1).flatten(1)
    pose = model(images_of(torch.cat([given, given[:, :1]], 1), size), K)
    torch.testing.assert_close(pose.root, xyz[:, 0, 2])
    torch.testing.assert_close(pose.xyz, xyz)
    torch.testing.assert_close(wrist_from_palm(pose.xyz) * 0.03, pose.joints(torch.full((4,), 0.03)).double())


def small(seed: int = 0) -> Pose25D:
    torch.manual_seed(seed)
    return Pose25D(nn.Sequential(nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(48, 32)), width=32, hidden=16)


def camera(count: int) -> Tensor:
    return torch.tensor([[200.0, 0.0, 32.0], [0.0, 200.0, 32.0], [0.0, 0.0, 1.0]]).repeat(count, 1, 1)


def test_everything_learns_and_the_closed_form_does_not_carry_gradients():
    model, images = small(), torch.rand(4, 3, 64, 64)
    nn.init.normal_(model.refine[6].weight)
    model(images, camera(4)).xyz.square().sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert bool(parameter.grad.isfinite().all()), name
    nn.init.zeros_(model.refine[6].weight)
    model.zero_grad()
    model(images, camera(4)).root.sum().backward()
    assert model.head.weight.grad is not None
    assert bool((model.head.weight.grad == 0).all())


def test_the_root_stays_where_a_hand_can_be():
    model, images = small().eval(), torch.rand(2, 3, 64, 64)
    for weight, end in ((1e-4, 50.0), (1e3, 4.0)):
        with torch.no_grad():
            model.head.weight.copy_(torch.randn_like(model.head.weight) * weight)
        assert model(images, camera(2)).root.tolist() == [end, end]


def test_geometry_is_float32_under_autocast():
    model, images = small().eval(), torch.rand(4, 3, 64, 64)
    nn.init.normal_(model.refine[6].weight)
    with torch.autocast("cpu", torch.bfloat16):
        features = model.encoder(images)
        pose = model(images, camera(4))
    assert features.dtype == torch.bfloat16
    out = model.head(features.float()).unflatten(1, (21, 3))
    torch.testing.assert_close(pose.depth[:, 1:], out[:, 1:, 2])
    torch.testing.assert_close(pose.xy, 32 * out[..., :2] + 31.5)
    assert {value.dtype for value in pose} == {torch.float32}
    torch.testing.assert_close(lift(pose.xy, pose.depth, pose.root, camera(4)), pose.xyz, atol=1e-6, rtol=0)


@pytest.mark.slow
def test_it_compiles_in_one_graph():
    model, images = small().eval(), torch.rand(4, 3, 64, 64)
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    for got, expected in zip(compiled(images, camera(4)), model(images, camera(4)), strict=True):
        torch.testing.assert_close(got, expected)


def test_it_trains_under_distributed_data_parallel(tmp_path):
    group = torch.distributed
    group.init_process_group("gloo", init_method=f"file://{tmp_path / 'ranks'}", rank=0, world_size=1)
    try:
        model, images = small(), torch.rand(4, 3, 64, 64)
        parallel = nn.parallel.DistributedDataParallel(copy.deepcopy(model))
        for each in (model, parallel):
            pose = each(images, camera(4))
            assert isinstance(pose, Pose)
            pose.xyz.square().sum().backward()
        for own, other in zip(model.parameters(), parallel.module.parameters(), strict=True):
            torch.testing.assert_close(own.grad, other.grad)
    finally:
        group.destroy_process_group()


def test_wrong_models_and_inputs_raise():
    with pytest.raises(ValueError, match="width: expected a whole number of at least 1"):
        Pose25D(nn.Identity(), 0)
    with pytest.raises(TypeError, match="hidden: expected a whole number"):
        Pose25D(nn.Identity(), 8, hidden=1.5)  # type: ignore[arg-type]
    model, images = small().eval(), torch.rand(4, 3, 64, 64)
    with pytest.raises(ValueError, match=r"images: expected a batch of shape .*images\[None\]"):
        model(images[0], camera(1))
    with pytest.raises(ValueError, match="K: expected a batch of 4"):
        model(images, camera(2))
    with pytest.raises(ValueError, match=r"scale: expected a tensor of shape \(4,\), one for each hand"):
        model(images, camera(4)).joints(torch.tensor(0.03))
    model.encoder = nn.Flatten()
    with pytest.raises(ValueError, match=r"encoder\(images\): expected a tensor of shape \(B, width\), got .*12288"):
        model(images, camera(4))
