import copy

import pytest
import torch
from torch import nn

pytest.importorskip("torchvision", reason="the networks are torchvision's")

from equicon.backbones import build_backbone, checkpoint_blocks


def kept_bytes(encoder: nn.Module) -> int:
    """Count the bytes that the forward pass keeps for the gradient."""
    kept = 0

    def pack(value: torch.Tensor) -> torch.Tensor:
        nonlocal kept
        kept += value.numel() * value.element_size()
        return value

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda value: value):
        encoder(torch.rand(1, 3, 64, 64))
    return kept


def test_less_is_kept():
    encoder = build_backbone("vit_b_32", size=(64, 64))
    before = kept_bytes(encoder)
    checkpoint_blocks(encoder)
    assert kept_bytes(encoder) < 0.2 * before


def test_what_is_dropped_at_random_is_dropped_again():
    plain = build_backbone("swin_t", drop_path=0.5).train()
    again = copy.deepcopy(plain)
    checkpoint_blocks(again)
    images = torch.rand(2, 3, 32, 32)
    for network in (plain, again):
        torch.manual_seed(0)
        network(images).square().sum().backward()
    for one, other in zip(plain.parameters(), again.parameters(), strict=True):
        if one.grad is not None:
            torch.testing.assert_close(other.grad, one.grad)


def test_without_gradients_nothing_is_special():
    encoder = build_backbone("quarter_resnet18").eval()
    images = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        before = encoder(images)
        checkpoint_blocks(encoder)
        assert torch.equal(encoder(images), before)


def test_a_copy_computes_with_its_own_weights():
    encoder = build_backbone("quarter_resnet18")
    checkpoint_blocks(encoder)
    other = copy.deepcopy(encoder)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.zero_()
    assert other(torch.rand(1, 3, 64, 64)).abs().max() == 0
    assert encoder(torch.rand(1, 3, 64, 64)).abs().max() > 0


def test_a_module_without_blocks_is_named():
    with pytest.raises(TypeError, match=r"module: expected an encoder with blocks that are modules, got"):
        checkpoint_blocks(nn.Linear(2, 2))
