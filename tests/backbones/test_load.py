import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

torchvision = pytest.importorskip("torchvision", reason="the networks are torchvision's")

from equicon.backbones import build_backbone, load_backbone
from equicon.backbones._positions import resample_biases, resample_positions


def same(encoder: nn.Module, other: nn.Module, side: int = 64) -> None:
    images = torch.rand(2, 3, side, side)
    with torch.no_grad():
        torch.testing.assert_close(encoder.eval()(images), other.eval()(images), rtol=1e-4, atol=1e-5)


def tiny_vit(side: int = 64) -> nn.Module:
    from torchvision.models import VisionTransformer

    network = VisionTransformer(side, 16, num_layers=2, num_heads=2, hidden_dim=16, mlp_dim=64)
    network.heads = nn.Identity()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(std=0.3)
    return network


def timm_vit(side: int = 64, **options) -> nn.Module:
    timm = pytest.importorskip("timm")
    words = {"patch_size": 16, "embed_dim": 16, "depth": 2, "num_heads": 2, "num_classes": 0} | options
    network = timm.models.VisionTransformer(side, **words)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(std=0.3)
    return network


# --- files


def test_a_file_of_either_kind_and_prefix_and_with_a_classifier(tmp_path):
    safetensors = pytest.importorskip("safetensors.torch")
    whole = torchvision.models.resnet18()
    wanted, state = build_backbone("resnet18"), whole.state_dict()
    whole.fc = nn.Identity()
    safetensors.save_file(state, tmp_path / "weights.safetensors")
    torch.save({"state_dict": {f"module.{name}": value for name, value in state.items()}}, tmp_path / "parallel.pt")
    torch.save({f"backbone.{name}": value for name, value in state.items()}, tmp_path / "backbone.pt")
    heads = {f"projector.{i}.weight": torch.ones(2, 2) for i in range(3)}
    torch.save({f"encoder.{name}": value for name, value in state.items()} | heads, tmp_path / "learner.pt")
    for name in ("weights.safetensors", "parallel.pt", "backbone.pt", "learner.pt"):
        wanted = build_backbone("resnet18")
        load_backbone(wanted, tmp_path / name)
        same(wanted, whole)


def test_nothing_changes_where_something_is_missing(tmp_path):
    encoder, other = build_backbone("quarter_resnet18"), build_backbone("quarter_resnet18")
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    state = other.state_dict()
    del state["layer4.1.bn2.bias"]
    torch.save(state, tmp_path / "part.pt")
    with pytest.raises(ValueError, match=r"part\.pt holds another network: 1 missing \(layer4\.1\.bn2\.bias\), 0 un"):
        load_backbone(encoder, tmp_path / "part.pt")
    with pytest.raises(ValueError, match=r"mine holds another network: .*1 unexpected \(more\)"):
        load_backbone(encoder, other.state_dict() | {"more": torch.ones(1)}, source="mine")
    assert all(torch.equal(value, before[name]) for name, value in encoder.state_dict().items())


def test_bad_files_are_named(tmp_path):
    pytest.importorskip("safetensors")
    encoder = build_backbone("quarter_resnet18")
    (tmp_path / "bad.safetensors").write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"bad\.safetensors is damaged, or no file of safetensors"):
        load_backbone(encoder, tmp_path / "bad.safetensors")
    for name in ("gone.pt", "gone.safetensors"):
        with pytest.raises(FileNotFoundError):
            load_backbone(encoder, tmp_path / name)
    with pytest.raises(TypeError, match=r"state: expected tensors by name, or the path of a file, got"):
        load_backbone(encoder, 3)


def test_any_module_takes_its_own_names():
    one, other = nn.Sequential(nn.Linear(2, 3)), nn.Sequential(nn.Linear(2, 3))
    load_backbone(one, other.state_dict())
    assert torch.equal(one[0].weight, other[0].weight)


# --- names


def test_a_transformer_takes_the_weights_of_the_same_one_in_the_other_library():
    for make, other in ((tiny_vit, timm_vit), (timm_vit, tiny_vit)):
        encoder, given_ = make(), other()
        load_backbone(encoder, given_.state_dict())
        same(encoder, given_)


def test_weights_of_old_torchvision(tmp_path):
    encoder, other = tiny_vit(), tiny_vit()
    old = {re.sub(r"mlp\.0", "mlp.linear_1", re.sub(r"mlp\.3", "mlp.linear_2", n)): v
           for n, v in other.state_dict().items()}  # fmt: skip
    load_backbone(encoder, old)
    same(encoder, other)


def test_dino_names_and_its_teacher():
    encoder, other = timm_vit(), timm_vit()
    state = {f"backbone.{name}": value for name, value in other.state_dict().items()}
    load_backbone(encoder, state | {"head.mlp.0.weight": torch.ones(2, 2), "head.last_layer.weight_g": torch.ones(2)})
    same(encoder, other)
    encoder = tiny_vit()
    load_backbone(encoder, other.state_dict())  # DINO's file for torchvision's transformer
    same(encoder, other)


def test_dinov2_names_chunks_and_registers():
    options = {"init_values": 1e-5, "reg_tokens": 4, "no_embed_class": True}
    encoder, other = timm_vit(**options), timm_vit(**options)
    state = {}
    for name, value in other.state_dict().items():
        name = re.sub(r"^blocks\.(\d+)\.", r"blocks.0.\1.", name).replace("reg_token", "register_tokens")
        state[name] = value
    token = torch.randn(1, 1, 16)  # the position of the class token, which is added to it
    state |= {"pos_embed": torch.cat([token, state["pos_embed"]], 1), "cls_token": state["cls_token"] - token}
    load_backbone(encoder, state | {"mask_token": torch.zeros(1, 16)})
    same(encoder, other)


def test_dinov2_gated_layers():
    timm = pytest.importorskip("timm")
    options = {"mlp_layer": timm.layers.SwiGLUPacked, "mlp_ratio": 4.0, "act_layer": nn.SiLU}
    encoder, other = timm_vit(**options), timm_vit(**options)
    state = {n.replace("mlp.fc1", "mlp.w12").replace("mlp.fc2", "mlp.w3"): v for n, v in other.state_dict().items()}
    load_backbone(encoder, state)
    same(encoder, other)


# --- positions


@given(st.integers(1, 5), st.integers(0, 3))
def test_the_same_grid_is_left_alone(side, prefix):
    embedding = torch.randn(1, prefix + side**2, 4)
    assert resample_positions(embedding, prefix, (side, side), "file") is embedding


@settings(deadline=None)
@given(st.integers(2, 6), st.integers(1, 7), st.integers(1, 7), st.integers(0, 2), st.integers(0, 99))
def test_what_belongs_to_no_place_stays_and_a_constant_stays_constant(side, height, width, prefix, seed):
    embedding = torch.randn(1, prefix + side**2, 3, generator=torch.Generator().manual_seed(seed))
    embedding[:, prefix:] = embedding[:, -1:]
    found = resample_positions(embedding, prefix, (height, width), "file")
    assert found.shape == (1, prefix + height * width, 3)
    assert torch.equal(found[:, :prefix], embedding[:, :prefix])
    torch.testing.assert_close(found[:, prefix:], embedding[:, -1:].expand(1, height * width, 3), rtol=1e-4, atol=1e-5)


def test_places_stay_where_they_are():
    rows = torch.arange(8.0)[:, None].expand(8, 8)
    embedding = torch.stack([rows, rows.T], -1).reshape(1, 64, 2)
    found = resample_positions(embedding, 0, (4, 16), "file").reshape(4, 16, 2)
    assert (found[1:3, :, 0] - torch.tensor([2.5, 4.5])[:, None]).abs().max() < 0.15  # centres of two rows each
    assert (found[:, 4:12, 1] - (torch.arange(4, 12) / 2 - 0.25)).abs().max() < 0.15


def test_resampling_is_timms():
    timm = pytest.importorskip("timm")
    embedding = torch.randn(1, 1 + 36, 8)
    theirs = timm.layers.resample_abs_pos_embed(embedding, (4, 9), num_prefix_tokens=1)
    torch.testing.assert_close(resample_positions(embedding, 1, (4, 9), "file"), theirs)


def test_positions_are_resampled_when_a_file_is_loaded():
    for make in (tiny_vit, timm_vit):
        small, large = make(64), make(96)
        load_backbone(large, small.state_dict())
        name = "encoder.pos_embedding" if make is tiny_vit else "pos_embed"
        wanted = resample_positions(small.state_dict()[name], 1, (6, 6), "file")
        torch.testing.assert_close(large.state_dict()[name], wanted)


def test_a_grid_that_is_no_square_is_named():
    state = tiny_vit().state_dict()
    state["encoder.pos_embedding"] = state["encoder.pos_embedding"][:, :-1]
    with pytest.raises(ValueError, match=r"file: encoder\.pos_embedding: expected 1 \+ a square number .*16 positions"):
        load_backbone(tiny_vit(), state, source="file")


def test_relative_positions_of_another_window():
    timm = pytest.importorskip("timm")

    def make(side: int) -> nn.Module:
        options = {"embed_dim": 8, "depths": (1, 1), "num_heads": (1, 2), "window_size": 7, "num_classes": 0}
        return timm.models.swin_transformer.SwinTransformer(side, 4, **options)

    large, small = make(56), make(32)
    load_backbone(small, large.state_dict())  # its last stage has 4 × 4 places
    name = "layers.1.blocks.0.attn.relative_position_bias_table"
    table, found = large.state_dict()[name], small.state_dict()[name]
    assert (table.shape, found.shape) == ((169, 2), (49, 2))
    assert torch.equal(resample_biases(table, table), table)
    torch.testing.assert_close(found[24], table[84], rtol=0, atol=0.02)  # the middle: no shift
