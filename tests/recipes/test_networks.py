import urllib.error

import pytest
import torch

torchvision = pytest.importorskip("torchvision", reason="the examples need torchvision")

from torch import nn

from equicon.recipes import ARCHS, build_encoder, clip_gradients, encoder_rates, make_head
from equicon.training import WeightsError, write_whole


def same(encoder, state) -> bool:
    own = encoder.state_dict()
    return all(torch.equal(own[name], value) for name, value in state.items() if not name.startswith("fc."))


def test_the_encoder_is_the_resnet_without_its_classifier():
    encoder, width = build_encoder("resnet18", "none")
    assert encoder(torch.rand(2, 3, 32, 32)).shape == (2, width)
    assert not [name for name in encoder.state_dict() if name.startswith("fc")]
    assert {"resnet18", "resnet50", "resnet152", "resnext50_32x4d", "vit_b_16", "swin_t"} <= set(ARCHS)


def test_the_quarter_is_a_resnet18_with_a_quarter_of_each_width(tmp_path):
    encoder, width = build_encoder("quarter_resnet18", "none")
    assert width == 128
    assert encoder(torch.rand(2, 3, 64, 64)).shape == (2, 128)
    whole = build_encoder("resnet18", "none")[0].state_dict()
    ours = encoder.state_dict()
    assert list(ours) == list(whole)
    for name, value in ours.items():
        wider = [n if n in (1, 3, 7) else n // 4 for n in whole[name].shape]
        assert list(value.shape) == wider, name
    torch.save(ours, tmp_path / "encoder.pt")
    assert same(build_encoder("quarter_resnet18", str(tmp_path / "encoder.pt"))[0], ours)
    with pytest.raises(WeightsError, match=r"--weights hub: torchvision has none for quarter_resnet18\. Start at rand"):
        build_encoder("quarter_resnet18", "hub")


@pytest.mark.parametrize("classifier", [True, False])
def test_weights_come_from_a_file(tmp_path, classifier):
    state = torchvision.models.resnet18().state_dict()
    if not classifier:
        del state["fc.weight"], state["fc.bias"]
    torch.save(state, tmp_path / "weights.pt")
    encoder, _ = build_encoder("resnet18", str(tmp_path / "weights.pt"))
    assert same(encoder, state)


def test_imagenet_weights_are_the_ones_of_the_paper_s_time(tmp_path, monkeypatch):
    state, asked = torchvision.models.resnet18().state_dict(), []
    enum = torchvision.models.ResNet18_Weights
    monkeypatch.setattr(enum, "get_state_dict", lambda self, **_: asked.append(self) or state)
    encoder, _ = build_encoder("resnet18", "imagenet")
    assert asked == [enum.IMAGENET1K_V1]
    assert same(encoder, state)


def test_says_what_to_do_where_weights_cannot_be_had(monkeypatch):
    def refuse(*_, **__):
        raise urllib.error.URLError("no network")

    monkeypatch.setattr(torchvision.models.ResNet18_Weights, "get_state_dict", refuse)
    with pytest.raises(
        WeightsError, match=r"^--weights imagenet: .*download.pytorch.org.*no network.*\(--weights FILE\), or start at"
    ):
        build_encoder("resnet18", "imagenet")


def test_other_networks_and_damaged_files_are_named(tmp_path):
    def write(name, value):
        write_whole(tmp_path / name, lambda file: torch.save(value, file))
        return str(tmp_path / name)

    with pytest.raises(WeightsError, match=r"nowhere\.pt, which is no file"):
        build_encoder("resnet18", "nowhere.pt")
    (tmp_path / "damaged.pt").write_bytes(b"abc")
    with pytest.raises(WeightsError, match=r"damaged\.pt is no state dict"):
        build_encoder("resnet18", str(tmp_path / "damaged.pt"))
    with pytest.raises(WeightsError, match="is no state dict"):
        build_encoder("resnet18", write("code.pt", {"conv1.weight": print}))
    other = torchvision.models.resnet34().state_dict()
    with pytest.raises(WeightsError, match=r"another network: 0 missing, \d+ unexpected \(layer1.2.bn1.bias, .*--arch"):
        build_encoder("resnet18", write("other.pt", other))
    state = torchvision.models.resnet18().state_dict()
    state["conv1.weight"] = state["conv1.weight"][:, :1]
    with pytest.raises(WeightsError, match=r"1 of another shape \(conv1.weight\)"):
        build_encoder("resnet18", write("shape.pt", state))
    with pytest.raises(WeightsError, match=r"no state dict"):
        build_encoder("resnet18", write("list.pt", [torch.zeros(1)]))


def test_no_point_of_the_head_stands_still():
    head = make_head(8, hidden=16, points=5)
    z = head(torch.rand(4, 8))
    assert z.shape == (4, 10)
    with torch.no_grad():
        for parameter in head[:2].parameters():
            parameter.zero_()
    assert not head(torch.rand(4, 8)).any()  # what is left would be a bias: a point that no transform moves


@pytest.mark.slow
def test_transformers_are_built_for_the_size_of_the_views(tmp_path):
    encoder, width = build_encoder("vit_b_32", "none", size=64)
    assert encoder(torch.rand(1, 3, 64, 64)).shape == (1, width) == (1, 768)
    torch.save(encoder.state_dict(), tmp_path / "encoder.pt")
    larger, _ = build_encoder("vit_b_32", str(tmp_path / "encoder.pt"), size=96)
    assert larger(torch.rand(1, 3, 96, 96)).shape == (1, 768)
    assert torch.equal(larger.class_token, encoder.class_token)


def test_a_network_of_timm_takes_its_files_of_both_kinds(tmp_path):
    timm = pytest.importorskip("timm", reason="the network is timm's")
    safetensors = pytest.importorskip("safetensors.torch")
    state = timm.create_model("test_vit", num_classes=7).state_dict()
    torch.save(state, tmp_path / "weights.pt")
    safetensors.save_file(state, tmp_path / "weights.safetensors")
    for name in ("weights.pt", "weights.safetensors"):
        encoder, width = build_encoder("timm/test_vit", str(tmp_path / name), size=64)
        assert width == 64
        assert torch.equal(encoder.blocks[0].attn.qkv.weight, state["blocks.0.attn.qkv.weight"])


@pytest.mark.parametrize(
    ("arch", "options", "match"),
    [
        ("vgg11", {}, r"^--arch: expected a name of list_backbones"),
        ("vit_b_32", {"size": 48}, r"^--size: expected multiples of 32"),
        ("resnet18", {"drop_path": 0.1}, r"^--drop-path: expected 0, because resnet18 has no paths"),
        ("resnet18", {"freeze_blocks": 10}, r"^--freeze-blocks: expected at most 9, the number of blocks, got"),
    ],
)
def test_options_that_a_network_does_not_take_are_named(arch, options, match):
    with pytest.raises(WeightsError, match=match):
        build_encoder(arch, "none", **options)


def test_blocks_are_frozen_and_checkpointed():
    encoder, _ = build_encoder("quarter_resnet18", "none", freeze_blocks=2, checkpoint_blocks=True)
    assert not encoder.conv1.weight.requires_grad
    assert encoder.layer2[0].conv1.weight.requires_grad
    assert "forward" in vars(encoder.layer2[0])
    assert encoder_rates(encoder, 0.5)["encoder.layer4.0"] == 0.5


def test_gradients_are_shortened_where_a_norm_is_given():
    model = nn.Linear(3, 1)
    optimizer = torch.optim.SGD(model.parameters(), 1.0)
    for scale, norm, wanted in ((1.0, 0.0, None), (1.0, 0.5, 0.5), (1.0, 100.0, None), (1024.0, 0.5, 0.5)):
        scaler = torch.amp.GradScaler("cpu", init_scale=scale, enabled=scale > 1)
        optimizer.zero_grad()
        scaler.scale(model(torch.ones(2, 3)).sum()).backward()
        before = torch.cat([p.grad.flatten() for p in model.parameters()]).norm() / scale
        clip_gradients(model, optimizer, scaler, norm)
        after = torch.cat([p.grad.flatten() for p in model.parameters()]).norm()
        torch.testing.assert_close(after, before if wanted is None else torch.tensor(wanted))
