import urllib.error

import pytest
import torch

torchvision = pytest.importorskip("torchvision", reason="the examples need torchvision")

from equicon.hands.recipes import ARCHS, build_encoder, make_head
from equicon.training import WeightsError, write_whole


def same(encoder, state) -> bool:
    own = encoder.state_dict()
    return all(torch.equal(own[name], value) for name, value in state.items() if not name.startswith("fc."))


def test_the_encoder_is_the_resnet_without_its_classifier():
    encoder, width = build_encoder("resnet18", "none")
    assert encoder(torch.rand(2, 3, 32, 32)).shape == (2, width)
    assert not [name for name in encoder.state_dict() if name.startswith("fc")]
    assert {"resnet18", "resnet50", "resnet152", "resnext50_32x4d", "wide_resnet50_2"} <= set(ARCHS)


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
    with pytest.raises(WeightsError, match=r"torchvision has none for quarter_resnet18\. Start at random"):
        build_encoder("quarter_resnet18", "imagenet")


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
        WeightsError, match=r"download.pytorch.org.*no network.*--weights resnet18-.*or start at random"
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
