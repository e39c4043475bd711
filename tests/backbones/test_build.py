import builtins
import sys

import pytest
import torch
from torch import nn

torchvision = pytest.importorskip("torchvision", reason="the networks are torchvision's")

from equicon import _extra
from equicon.backbones import _names, build_backbone, describe_backbone, feature_map, list_backbones


def test_the_list_has_the_families_and_no_others():
    names = list_backbones()
    assert names[0] == "quarter_resnet18"
    assert {"resnet18", "resnext50_32x4d", "wide_resnet50_2", "regnet_y_400mf", "efficientnet_b0", "convnext_tiny"} <= {
        *names
    }
    assert {"vit_b_16", "swin_t", "swin_v2_t"} <= {*names}
    assert not [name for name in names if name.startswith(("vgg", "alexnet", "densenet", "inception", "maxvit"))]
    assert len(set(names)) == len(names)


@pytest.mark.slow
@pytest.mark.parametrize(
    "arch", ["resnet50", "regnet_y_400mf", "efficientnet_b0", "convnext_tiny", "vit_b_32", "swin_t"]
)
def test_names_are_torchvisions_without_the_classifier(arch):
    whole = torchvision.models.get_model(arch).state_dict()
    encoder = build_backbone(arch)
    left = whole.keys() - encoder.state_dict().keys()
    assert encoder.state_dict().keys() <= whole.keys()
    assert {name.rpartition(".")[2] for name in left} == {"weight", "bias"}
    assert len(left) == 2
    info = describe_backbone(encoder)
    assert whole[next(name for name in left if name.endswith("weight"))].shape == (1000, info.width)


def test_the_quarter_is_what_it_was():
    torch.manual_seed(0)
    before = build_backbone("quarter_resnet18").state_dict()
    torch.manual_seed(0)
    after = build_backbone("quarter_resnet18", size=(64, 64), drop_path=0.0).state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize(
    ("words", "match"),
    [
        (
            ("vit_b16",),
            r"arch: expected a name of list_backbones\(\) or timm/NAME, got 'vit_b16'\. Did you mean vit_b",
        ),
        (("vgg11",), r"arch: expected a name of .*got 'vgg11'\."),
        (("nothing at all",), r"got 'nothing at all'\.$"),
        (("vit_b_16", (64, 96)), r"size: expected a square, for a transformer of torchvision, got .*Take timm/vit"),
        (("vit_b_16", (64, 72)), r"size: expected a square"),
        (("vit_b_32", (48, 48)), r"size: expected multiples of 32, the side of a patch, got"),
        (("resnet18", None, 0.1), r"drop_path: expected 0, because resnet18 has no paths to drop, got .*ConvNeXt"),
        (("convnext_tiny", None, 1.0), r"drop_path: expected a number in \[0, "),
    ],
)
def test_what_cannot_be_built_is_named(words, match):
    arch, size, drop_path = (*words, None, 0.0)[:3] if len(words) < 3 else words
    with pytest.raises(ValueError, match=match):
        build_backbone(arch, size=size, drop_path=drop_path or 0.0)


def test_a_name_is_text():
    with pytest.raises(TypeError, match=r"arch: expected the name of a network, got"):
        build_backbone(18)


@pytest.mark.parametrize("arch", ["swin_t", "efficientnet_b0"])
def test_paths_are_dropped_more_and_more_towards_the_output(arch):
    from torchvision.ops import StochasticDepth

    shares = [m.p for m in build_backbone(arch, drop_path=0.3).modules() if isinstance(m, StochasticDepth)]
    assert shares[0] == 0
    assert shares[-1] == pytest.approx(0.3)
    assert shares == sorted(shares)
    assert not any(m.p for m in build_backbone(arch).modules() if isinstance(m, StochasticDepth))


def test_other_sizes_of_images_are_refused_where_the_positions_do_not_fit():
    encoder = build_backbone("vit_b_32", size=(64, 64))
    with pytest.raises(
        ValueError, match=r"images: expected 64 × 64 pixels, for which the network was built, got .*size"
    ):
        feature_map(encoder, torch.rand(1, 3, 96, 96))


def test_without_timm_its_extra_is_named(monkeypatch):
    monkeypatch.setattr(_extra, "find_spec", lambda _: None)
    with pytest.raises(ModuleNotFoundError, match=r"not installed: timm\. Install the extra: .*'equicon\[timm\]'"):
        build_backbone("timm/test_vit")


def test_nothing_is_imported_before_it_is_needed(monkeypatch):
    real = builtins.__import__

    def refuse(name, *rest):
        if name.partition(".")[0] in ("torchvision", "timm"):
            raise AssertionError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", refuse)
    for name in [name for name in sys.modules if name.startswith(("equicon.backbones", "torchvision", "timm"))]:
        monkeypatch.delitem(sys.modules, name)
    from equicon.backbones import describe_backbone

    class Own(nn.Module):
        def forward_map(self, images):
            return images[..., ::4, ::4]

        def forward(self, images):
            return self.forward_map(images).mean((2, 3))

    assert describe_backbone(Own())[:4] == (3, 3, 4, 0)


class TestTimm:
    timm = pytest.importorskip("timm") if _names.find_spec("timm") else None
    pytestmark = pytest.mark.skipif(timm is None, reason="the networks are timm's")

    def test_networks_keep_timms_names(self):
        whole = self.timm.create_model("test_vit", num_classes=10).state_dict()
        encoder = build_backbone("timm/test_vit", size=(64, 32))
        assert whole.keys() - encoder.state_dict().keys() == {"head.weight", "head.bias"}
        assert encoder(torch.rand(1, 3, 64, 32)).shape == (1, 64)
        assert feature_map(encoder, torch.rand(1, 3, 64, 32)).shape == (1, 64, 4, 2)

    def test_a_network_that_takes_any_size_is_built_as_it_is(self):
        assert build_backbone("timm/test_resnet", size=(33, 65))(torch.rand(1, 3, 40, 56)).shape == (1, 96)

    def test_paths_are_dropped(self):
        encoder = build_backbone("timm/test_vit", drop_path=0.2)
        assert encoder.blocks[-1].drop_path1.drop_prob == pytest.approx(0.2)
        assert not hasattr(encoder.blocks[0].drop_path1, "drop_prob")

    @pytest.mark.parametrize(
        ("words", "match"),
        [
            (
                {"arch": "timm/tset_vit"},
                r"arch: expected timm/ and a name of timm\.list_models\(\), got 'timm/tset_",
            ),
            ({"arch": "timm/test_vit.no_such_tag"}, r"got 'timm/test_vit\.no_such_tag'"),
            ({"arch": "test_vit"}, r"Did you mean timm/test_vit"),
            ({"arch": "timm/test_vit", "size": (64, 40)}, r"size: expected multiples of 16, the side of a patch"),
            (
                {"arch": "timm/vgg11", "drop_path": 0.1},
                r"drop_path: expected 0, because timm/vgg11 has no paths",
            ),
        ],
    )
    def test_what_cannot_be_built_is_named(self, words, match):
        with pytest.raises(ValueError, match=match):
            build_backbone(**words)
