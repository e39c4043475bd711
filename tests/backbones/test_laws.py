"""Laws of every encoder."""

import copy
import pickle

import pytest
import torch
from backbones.networks import SIDE, Case, cases
from torch import nn

pytest.importorskip("torchvision", reason="the networks are torchvision's")

from equicon.backbones import (
    checkpoint_blocks,
    describe_backbone,
    feature_map,
    freeze_blocks,
    layer_rates,
    load_backbone,
)

every = pytest.mark.parametrize("case", cases())


@pytest.fixture
def encoder(case: Case) -> nn.Module:
    torch.manual_seed(0)
    return case.build()


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))


def parameters_of(encoder: nn.Module, prefixes: tuple[str, ...]) -> list[str]:
    return [name for name, _ in encoder.named_parameters() if any(f"{name}.".startswith(f"{p}.") for p in prefixes)]


@every
@torch.no_grad()
def test_shapes_are_as_described(case, encoder, images):
    encoder.eval()
    info = describe_backbone(encoder)
    assert info[:4] == (case.width, case.channels, case.stride, case.prefix_tokens)
    assert encoder(images).shape == (2, info.width)
    assert feature_map(encoder, images).shape == (2, info.channels, SIDE // info.stride, SIDE // info.stride)


@pytest.mark.parametrize("case", cases(lambda case: case.pooled))
@torch.no_grad()
def test_features_are_the_mean_of_the_map(case, encoder, images):
    encoder.eval()
    torch.testing.assert_close(feature_map(encoder, images).mean((2, 3)), encoder(images))


@every
def test_blocks_have_every_parameter_once(case, encoder):
    blocks = describe_backbone(encoder).blocks
    found = [parameters_of(encoder, block) for block in blocks]
    assert len(blocks) > 1
    assert all(found)
    assert sorted(name for names in found for name in names) == sorted(name for name, _ in encoder.named_parameters())


@every
def test_blocks_stand_in_the_order_of_the_forward_pass(case, encoder, images):
    order: list[str] = []
    for name, module in encoder.named_modules():
        module.register_forward_pre_hook(lambda *_, name=name: order.append(name))
    with torch.no_grad():
        encoder.eval()(images)
    begun = [min(order.index(p) for p in block if p in order) for block in describe_backbone(encoder).blocks
             if any(p in order for p in block)]  # fmt: skip
    assert begun == sorted(begun)


@every
def test_no_decay_changes_no_rate_and_a_decay_falls_to_the_input(case, encoder):
    assert set(layer_rates(encoder, 1.0).values()) == {1.0}
    blocks, rates = describe_backbone(encoder).blocks, layer_rates(encoder, 0.5)
    for depth, block in enumerate(reversed(blocks)):
        assert {rates[name] for name in block} == {0.5**depth}


@every
def test_frozen_blocks_do_not_learn_and_keep_their_statistics(case, encoder, images):
    blocks = describe_backbone(encoder).blocks
    freeze_blocks(encoder, 2)
    frozen = {name for block in blocks[:2] for name in parameters_of(encoder, block)}
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    encoder.train()(images).square().sum().backward()
    assert {name for name, parameter in encoder.named_parameters() if not parameter.requires_grad} == frozen
    assert all(parameter.grad is None for name, parameter in encoder.named_parameters() if name in frozen)
    assert any(parameter.grad is not None for parameter in encoder.parameters())
    for name, value in encoder.state_dict().items():
        if any(f"{name}.".startswith(f"{prefix}.") for block in blocks[:2] for prefix in block):
            assert torch.equal(value, before[name]), name


@every
def test_a_frozen_encoder_may_be_copied_and_pickled(case, encoder):
    freeze_blocks(encoder, 1)
    for other in (copy.deepcopy(encoder), pickle.loads(pickle.dumps(encoder))):
        encoder.eval()
        other.train()  # of the copy, and not of the original
        assert other.training
        assert not encoder.training


@every
def test_checkpoints_change_no_gradient_and_no_statistics(case, encoder, images):
    plain, again = encoder.train(), copy.deepcopy(encoder)
    checkpoint_blocks(again)
    assert again.state_dict().keys() == plain.state_dict().keys()
    for network in (plain, again):
        torch.manual_seed(2)
        network(images).square().sum().backward()
    for (name, one), other in zip(plain.named_parameters(), again.parameters(), strict=True):
        torch.testing.assert_close(other.grad, one.grad, msg=name)
    for (name, one), other in zip(plain.named_buffers(), again.buffers(), strict=True):
        assert torch.equal(other, one), name


@every
def test_a_state_dict_comes_back(case, encoder):
    torch.manual_seed(3)
    other = case.build()
    load_backbone(other, encoder.state_dict())
    for name, value in other.state_dict().items():
        assert torch.equal(value, encoder.state_dict()[name]), name


@pytest.mark.parametrize("case", cases(lambda case: case.convolves))
@torch.no_grad()
def test_a_shift_by_the_stride_shifts_the_map(case, encoder, images):
    for module in encoder.eval().modules():
        if isinstance(module, nn.Conv2d):
            module.padding_mode = "circular"  # then the plane has no border, and the law is exact
    stride = describe_backbone(encoder).stride
    for axis in (2, 3):
        shifted = feature_map(encoder, images.roll(stride, axis))
        torch.testing.assert_close(shifted, feature_map(encoder, images).roll(1, axis), rtol=1e-4, atol=1e-5)
