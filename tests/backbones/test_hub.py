import urllib.error

import pytest

torchvision = pytest.importorskip("torchvision", reason="the networks are torchvision's")

from equicon.backbones import build_backbone, hub_weights, load_backbone


@pytest.mark.parametrize(
    ("arch", "enum"), [("resnet18", "ResNet18_Weights"), ("vit_b_32", "ViT_B_32_Weights"), ("swin_t", "Swin_T_Weights")]
)
def test_torchvisions_weights_are_its_first(monkeypatch, arch, enum):
    known, asked = getattr(torchvision.models, enum), []
    state = torchvision.models.get_model(arch).state_dict()
    monkeypatch.setattr(known, "get_state_dict", lambda self, **_: asked.append(self) or state)
    encoder = build_backbone(arch, size=(64, 64))
    load_backbone(encoder, hub_weights(arch))
    assert asked == [known.IMAGENET1K_V1]


def test_timms_weights_are_loaded_by_timm(monkeypatch):
    timm = pytest.importorskip("timm")
    made, real = [], timm.create_model

    def create(name, pretrained=False, **words):
        made.append((name, pretrained))
        return real(name, pretrained=False, **words)

    monkeypatch.setattr(timm, "create_model", create)
    state = hub_weights("timm/test_vit.r160_in1k")
    assert made == [("test_vit.r160_in1k", True)]
    load_backbone(build_backbone("timm/test_vit", size=(64, 64)), state)  # from 10 × 10 places to 4 × 4


def test_no_network_to_reach_is_said(monkeypatch):
    def refuse(*_, **__):
        raise urllib.error.URLError("no network")

    monkeypatch.setattr(torchvision.models.ResNet18_Weights, "get_state_dict", refuse)
    with pytest.raises(OSError, match=r"^https://download\.pytorch\.org/.* could not be downloaded: .*no network"):
        hub_weights("resnet18")


def test_no_hub_to_reach_is_said(monkeypatch, tmp_path):
    pytest.importorskip("timm")
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(OSError, match=r"^https://huggingface\.co/timm/test_vit\S+ could not be downloaded: "):
        hub_weights("timm/test_vit")


def test_networks_without_published_weights_are_named():
    with pytest.raises(ValueError, match="torchvision has none for quarter_resnet18"):
        hub_weights("quarter_resnet18")
    pytest.importorskip("timm")
    with pytest.raises(ValueError, match="timm has none for timm/"):
        hub_weights(without_weights())


def without_weights() -> str:
    import timm

    names = (name for name in timm.list_models() if timm.get_pretrained_cfg(name))
    return "timm/" + next(name for name in names if not (c := timm.get_pretrained_cfg(name)).hf_hub_id and not c.url)
