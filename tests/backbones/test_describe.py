import pytest
import torch
from backbones.networks import Own
from torch import nn

torchvision = pytest.importorskip("torchvision", reason="the networks are torchvision's")

from equicon.backbones import Backbone, build_backbone, describe_backbone, feature_map


def test_a_dilated_resnet_has_a_smaller_stride():
    encoder = torchvision.models.resnet50(replace_stride_with_dilation=[False, True, True])
    encoder.fc = nn.Identity()
    info = describe_backbone(encoder)
    assert (info.width, info.stride) == (2048, 8)
    assert feature_map(encoder.eval(), torch.rand(1, 3, 64, 64)).shape == (1, 2048, 8, 8)


def test_the_blocks_of_a_resnet():
    blocks = describe_backbone(build_backbone("quarter_resnet18")).blocks
    assert blocks[0] == ("conv1", "bn1")
    assert blocks[1:] == tuple((f"layer{stage}.{block}",) for stage in range(1, 5) for block in range(2))


def test_a_classifier_is_noticed():
    with pytest.raises(ValueError, match=r"module: expected an encoder.*also fc\.weight\. Replace the classifier by"):
        describe_backbone(torchvision.models.resnet18())


def test_what_is_no_encoder_is_named():
    wanted = r"module: expected a network of timm, a ResNet, .* or a torch\.nn\.Module with forward_map\(images\), got"
    for wrong in (nn.Linear(2, 2), torchvision.models.vgg11(), "resnet18"):
        with pytest.raises(TypeError, match=wanted):
            describe_backbone(wrong)
        with pytest.raises(TypeError, match=wanted):
            feature_map(wrong, torch.rand(1, 3, 32, 32))
    with pytest.raises(ValueError, match=r"images: expected a batch"):
        feature_map(build_backbone("quarter_resnet18"), torch.rand(3, 32, 32))


def test_a_network_of_ones_own_is_tried_without_a_trace():
    own = Own().train()
    own.stem[1].eval()
    before = {name: value.clone() for name, value in own.state_dict().items()}
    assert isinstance(own, Backbone)
    assert describe_backbone(own, size=(64, 32)).blocks == (("scale",), ("stem",), ("body",))
    assert all(torch.equal(value, before[name]) for name, value in own.state_dict().items())
    assert own.training
    assert not own.stem[1].training


def test_a_map_and_features_have_a_shape():
    class Flat(Own):
        def forward_map(self, images):
            return super().forward_map(images).flatten(1)

        def forward(self, images):
            return super().forward_map(images).mean((2, 3))

    class Unpooled(Own):
        def forward(self, images):
            return self.forward_map(images)

    with pytest.raises(ValueError, match=r"forward_map: expected a tensor \(B, channels, h, w\), got"):
        describe_backbone(Flat())
    with pytest.raises(ValueError, match=r"module\(images\): expected a tensor \(B, width\), got"):
        describe_backbone(Unpooled())


def test_tokens_go_back_to_their_places():
    encoder = build_backbone("vit_b_32", size=(96, 96)).eval()
    images = torch.rand(1, 3, 96, 96)
    with torch.no_grad():
        tokens = encoder._process_input(images)
        found = encoder.encoder(torch.cat([encoder.class_token, tokens], 1))
        torch.testing.assert_close(encoder(images), found[:, 0])
        torch.testing.assert_close(feature_map(encoder, images)[0, :, 1, 2], found[0, 1 + 1 * 3 + 2])


def test_timms_tokens_go_back_to_their_places():
    pytest.importorskip("timm")
    encoder = build_backbone("timm/vit_small_patch14_reg4_dinov2", size=(28, 56)).eval()
    images = torch.rand(1, 3, 28, 56)
    with torch.no_grad():
        tokens, found = encoder.forward_features(images), feature_map(encoder, images)
        assert found.shape == (1, 384, 2, 4)
        assert describe_backbone(encoder).prefix_tokens == 5
        torch.testing.assert_close(found[0, :, 1, 2], tokens[0, 5 + 1 * 4 + 2])
        torch.testing.assert_close(found, encoder.forward_intermediates(images, indices=1, norm=True)[1][-1])


def test_a_network_without_a_map_is_named():
    timm = pytest.importorskip("timm")

    class Pooled(timm.models.VisionTransformer):
        def forward_features(self, images):
            return super().forward_features(images)[:, :2]

    encoder = Pooled(64, 16, embed_dim=8, depth=1, num_heads=1, num_classes=0)
    with pytest.raises(
        ValueError, match=r"module: expected a network with a map, which has 1 \+ 4 · 4 tokens, got Poo"
    ):
        feature_map(encoder, torch.rand(1, 3, 64, 64))
