import json
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from equicon import load_weights
from equicon.hands import Pose25D, read_encoder, read_pose25d

SHAPES = json.loads(
    (Path(__file__).parents[2] / "data" / "peclr_official_rn50_state_dict_shapes.json").read_text(encoding="utf-8")
)
CHILDREN = ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4", "avgpool")


def released(seed: int = 0) -> dict[str, Tensor]:
    """Make a fine-tuned ResNet-50 of the official program's, of random weights."""
    generator = torch.Generator().manual_seed(seed)
    return {
        name: torch.zeros(shape, dtype=torch.long) if name.endswith("tracked")
        else torch.rand(shape, generator=generator) * (1.0 if len(shape) < 2 else shape[0] ** -0.5)
        for name, shape in SHAPES.items()
    }  # fmt: skip


def save(value: object, path: Path) -> Path:
    torch.save(value, path)
    return path


def tiny() -> dict[str, Tensor]:
    """Make what stands for a ResNet's weights where their number does not matter."""
    return {"conv1.weight": torch.rand(4, 3, 7, 7), "bn1.bias": torch.rand(4), "layer4.2.bn3.weight": torch.rand(8)}


def pretrained(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Name a ResNet's weights as the official pre-training does."""
    named = {}
    for name, value in state.items():
        stage, rest = name.split(".", 1)
        named[f"encoder.features.{CHILDREN.index(stage)}.{rest}"] = value
    return named


HEADS = {"encoder.final_layer.0.weight": torch.rand(2), "projection_head.0.weight": torch.rand(2)}
POSE = {"head.weight": torch.rand(63, 4), "refine.0.weight": torch.rand(8, 64)}


@pytest.mark.parametrize(
    "write",
    [
        lambda state: {**state, "fc.weight": torch.rand(10, 8), "fc.bias": torch.rand(10)},
        lambda state: {"state_dict": state},
        lambda state: {"state_dict": OrderedDict(pretrained(state) | HEADS), "epoch": 3},
        lambda state: {
            "state_dict": {f"backend_model.{n}": v for n, v in state.items()} | {"zroot_ref.x": torch.rand(1)}
        },
        lambda state: {f"encoder.{n}": v for n, v in state.items()} | POSE,
        lambda state: {f"module.{n}": v for n, v in state.items()},
        lambda state: (
            {f"module.encoder.{n}": v for n, v in state.items()} | {f"module.{n}": v for n, v in POSE.items()}
        ),
    ],
    ids=["torchvision", "state_dict", "pretraining", "finetuned", "own", "parallel", "own parallel"],
)
def test_every_file_gives_the_encoder(write, tmp_path):
    state = tiny()
    got = read_encoder(save(write(state), tmp_path / "weights.pt"))
    assert set(got) == set(state)
    for name, value in state.items():
        assert torch.equal(got[name], value)


def test_a_released_resnet_loads_whole_and_predicts(tmp_path):
    torchvision = pytest.importorskip("torchvision")
    state = released()
    path = save({"state_dict": state}, tmp_path / "released.pt")
    encoder = torchvision.models.resnet50()
    encoder.fc = nn.Identity()
    model = Pose25D(encoder, 2048)
    load_weights(model, read_pose25d(path), str(path))
    for name, value in encoder.state_dict().items():
        assert torch.equal(value, state[f"backend_model.{name}"]), name
    assert torch.equal(model.refine[6].weight, state["zroot_ref.zroot_ref.6.weight"])
    with torch.inference_mode():
        pose = model.eval()(torch.rand(1, 3, 64, 64), torch.eye(3)[None])
    assert pose.xyz.shape == (1, 21, 3)
    load_weights(encoder, read_encoder(path), str(path))


def test_the_head_s_rows_and_the_refinement_s_columns_keep_their_joints(tmp_path):
    state = released()
    got = read_pose25d(save({"state_dict": state}, tmp_path / "released.pt"))
    # By level, the palm first: where the released program has FreiHAND's joints.
    order = [0, 1, 5, 9, 13, 17, 2, 6, 10, 14, 18, 3, 7, 11, 15, 19, 4, 8, 12, 16, 20]
    weight, bias = state["backend_model.fc.weight"], state["backend_model.fc.bias"]
    seen = state["zroot_ref.zroot_ref.0.weight"]
    for place, joint in enumerate(order):
        for axis in range(3):
            row, own = weight[3 * place + axis], got["head.weight"][3 * joint + axis]
            add, own_add = bias[3 * place + axis], got["head.bias"][3 * joint + axis]
            if axis == 2:
                assert torch.equal(own, row)
                assert own_add == add
            else:  # pixels of 224 against units
                torch.testing.assert_close((own + 1) * 112, row + 112)
                torch.testing.assert_close((own_add * 224 + 223) / 2, add, atol=2e-5, rtol=0)
        assert torch.equal(got["refine.0.weight"][:, joint], seen[:, place])
        for axis in range(2):
            assert torch.equal(got["refine.0.weight"][:, 21 + 2 * joint + axis], seen[:, 21 + 2 * place + axis])
    assert torch.equal(got["refine.0.weight"][:, 63], seen[:, 63])


def test_the_encoders_of_other_libraries_are_read_as_they_are(tmp_path):
    safetensors = pytest.importorskip("safetensors.torch")
    vit = {
        "class_token": torch.rand(1, 1, 4),
        "conv_proj.weight": torch.rand(4, 3, 8, 8),
        "encoder.ln.bias": torch.rand(4),
    }
    dino = {"cls_token": torch.rand(1, 1, 4), "patch_embed.proj.weight": torch.rand(4, 3, 8, 8)}
    for state in (vit, dino):
        assert read_encoder(save(state, tmp_path / "weights.pt")).keys() == state.keys()
        safetensors.save_file(state, tmp_path / "weights.safetensors")
        assert read_encoder(tmp_path / "weights.safetensors").keys() == state.keys()
    pose = {f"encoder.{name}": value for name, value in vit.items()} | POSE
    assert read_encoder(save(pose, tmp_path / "pose.pt")).keys() == vit.keys()


def test_an_own_model_comes_back(tmp_path):
    make = lambda: Pose25D(nn.Sequential(nn.Flatten(), nn.Linear(48, 32)), width=32, hidden=16)  # noqa: E731
    model, other = make(), make()
    for state in (model.state_dict(), {f"module.{name}": value for name, value in model.state_dict().items()}):
        load_weights(other, read_pose25d(save(state, tmp_path / "own.pt")), "own.pt")
        for name, value in other.state_dict().items():
            assert torch.equal(value, model.state_dict()[name])


def test_other_files_are_named(tmp_path):
    def bad(value, match, read=read_encoder):
        with pytest.raises(ValueError, match=match):
            read(save(value, tmp_path / "bad.pt"))

    bad([torch.zeros(1)], r"bad\.pt is no state dict of tensors, it holds a list\. Save model")
    bad({}, "it holds nothing")
    bad({"conv1.weight": print}, r"it holds 'conv1.weight', a type")
    bad({"epoch": 3, "weights": tiny()}, r"it holds 'epoch', a int")
    bad({"state_dict": 3}, "it holds a int")
    bad({"stem.0.w": torch.zeros(1)}, r"bad\.pt: expected the weights of an encoder.*got 1 tensors \(stem\.0\.w\)")
    bad(pretrained(tiny()) | {"teacher.w": torch.zeros(1)}, r"encoder\.features.*alone, got teacher\.w")
    bad({"encoder.features.8.w": torch.zeros(1)}, r"alone, got encoder\.features\.8\.w")
    bad(tiny(), r"the weights of a 2\.5D model.*got 3 tensors \(conv1\.weight, ", read_pose25d)
    with pytest.raises(FileNotFoundError):
        read_encoder(tmp_path / "nowhere.pt")


@pytest.mark.parametrize("kind", ["released", "own"])
def test_other_heads_are_named(kind, tmp_path):
    def bad(change, match):
        state = {name: value for name, value in released().items() if "layer" not in name}
        if kind == "own":
            state = read_pose25d(save({"state_dict": state}, tmp_path / "good.pt"))
        change(state)
        with pytest.raises(ValueError, match=rf"bad\.pt holds another network: {match}"):
            read_pose25d(save({"state_dict": state}, tmp_path / "bad.pt"))

    head, refine = ("backend_model.fc", "zroot_ref.zroot_ref") if kind == "released" else ("head", "refine")
    bad(lambda s: s.pop(f"{refine}.4.running_var"), r"1 missing \(refine\.4\.running_var\), 0 unexpected, 0 of another")
    bad(lambda s: s.update(other=torch.zeros(1)), r"0 missing, 1 unexpected \(other\)")
    bad(lambda s: s.update({f"{refine}.7.bias": torch.zeros(1)}), r"0 missing, 1 unexpected \(refine\.7\.bias\)")
    bad(
        lambda s: s.update({f"{head}.bias": torch.zeros(1)}),
        r"0 missing, 0 unexpected, 1 of another shape \(head\.bias",
    )
    bad(lambda s: s.update({f"{head}.weight": torch.zeros(8, 2048)}), r".*1 of another shape \(head\.weight\)")
    bad(lambda s: s.update({f"{head}.weight": torch.zeros(8)}), r".*1 of another shape \(head\.weight\)")
    bad(lambda s: s.update({f"{refine}.0.weight": torch.zeros(128, 60)}), r".*1 of another shape \(refine\.0\.weight\)")
    bad(lambda s: s.pop(f"{refine}.0.weight"), r"1 missing \(refine\.0\.weight\), 0 unexpected, \d+ of another shape")
