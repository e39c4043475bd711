import pytest
import torch
from torch import nn

pytest.importorskip("torchvision", reason="the networks are torchvision's")

from equicon.backbones import build_backbone, describe_backbone, freeze_blocks, layer_rates
from equicon.training import parameter_groups


@pytest.mark.parametrize("decay", [0.0, -0.5, 1.01, float("nan")])
def test_a_decay_is_a_share(decay):
    with pytest.raises(ValueError, match=r"decay: expected a number"):
        layer_rates(nn.Linear(2, 2), decay)
    with pytest.raises(TypeError, match=r"decay: expected a number, got"):
        layer_rates(nn.Linear(2, 2), "0.5")


def test_any_module_has_its_children_for_blocks():
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    assert layer_rates(model, 0.5) == {"0": 0.5, "2": 1.0}
    freeze_blocks(model, 1)
    assert [parameter.requires_grad for parameter in model.parameters()] == [False, False, True, True]


@pytest.mark.parametrize("name", ["test_vit", "test_vit2", "test_resnet", "test_convnext", "test_efficientnet"])
def test_rates_are_timms(name):
    pytest.importorskip("timm")
    from timm.optim import param_groups_layer_decay

    encoder = build_backbone(f"timm/{name}")
    theirs = {
        id(parameter): group["lr_scale"]
        for group in param_groups_layer_decay(encoder, 0.0, layer_decay=0.7)
        for parameter in group["params"]
    }
    ours = {
        id(parameter): group["times"]
        for group in parameter_groups(encoder, 0.0, layer_rates(encoder, 0.7))
        for parameter in group["params"]
    }
    assert ours == pytest.approx(theirs)


def test_no_decay_makes_the_same_groups_as_before():
    encoder = build_backbone("quarter_resnet18")
    plain, rated = parameter_groups(encoder, 0.1), parameter_groups(encoder, 0.1, layer_rates(encoder, 1.0))
    assert [[id(p) for p in group["params"]] for group in plain] == [[id(p) for p in g["params"]] for g in rated]
    assert [group["times"] for group in rated] == [1.0, 1.0]


def test_steps_follow_the_rates():
    torch.manual_seed(0)
    encoder = build_backbone("quarter_resnet18")
    groups = parameter_groups(encoder, 0.0, layer_rates(encoder, 0.1))
    optimizer = torch.optim.SGD([group | {"lr": group["times"]} for group in groups], 1.0)
    before = {name: value.clone() for name, value in encoder.named_parameters()}
    encoder(torch.rand(2, 3, 64, 64)).sum().backward()
    optimizer.step()
    rates = layer_rates(encoder, 0.1)
    for name, value in encoder.named_parameters():
        rate = next(factor for prefix, factor in rates.items() if name.startswith(f"{prefix}."))
        torch.testing.assert_close(value, before[name] - rate * value.grad)


def test_the_number_of_frozen_blocks_is_checked():
    encoder = build_backbone("quarter_resnet18")
    with pytest.raises(ValueError, match=r"count: expected at most 9, the number of blocks, got int 10"):
        freeze_blocks(encoder, 10)
    with pytest.raises(ValueError, match=r"count: expected a whole number of at least 0"):
        freeze_blocks(encoder, -1)
    freeze_blocks(encoder, 0)
    assert all(parameter.requires_grad for parameter in encoder.parameters())
    assert encoder.train().bn1.training
    freeze_blocks(encoder, 9)
    assert not any(parameter.requires_grad for parameter in encoder.parameters())
    assert not any(module.training for module in encoder.train().modules() if isinstance(module, nn.BatchNorm2d))


def test_frozen_norms_stay_frozen_when_they_are_converted_for_several_ranks():
    encoder = build_backbone("quarter_resnet18")
    freeze_blocks(encoder, 2)
    whole = nn.SyncBatchNorm.convert_sync_batchnorm(nn.Sequential(encoder)).train()
    assert [type(whole[0].bn1), whole[0].bn1.training] == [nn.SyncBatchNorm, False]
    assert whole[0].layer2[0].bn1.training


def test_no_path_is_dropped_in_a_frozen_block():
    encoder = build_backbone("swin_t", drop_path=0.9)
    freeze_blocks(encoder, len(describe_backbone(encoder).blocks))
    images = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(encoder.train()(images), encoder.eval()(images))
