import hashlib
import json

import pytest
import torch
from torch import nn

pytest.importorskip("torchvision", reason="the encoders are torchvision's")
safetensors = pytest.importorskip("safetensors", reason="the files are of safetensors")

import equicon as eq
from equicon._pretrained import files
from equicon._pretrained.encoders import projection_head
from equicon.backbones import build_backbone
from equicon.hands import Pose25D, read_encoder, read_pose25d

NORMALIZE = eq.Normalize((0.4, 0.5, 0.6), (0.2, 0.3, 0.4))


@pytest.fixture
def kept(tmp_path):
    """Write an encoder, and give the path and what it was made of."""
    torch.manual_seed(0)
    encoder = build_backbone("quarter_resnet18")
    head = projection_head(128, 24, 8)
    for module in (*encoder.modules(), *head.modules()):
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2.0)
    path = tmp_path / "mine.safetensors"
    card = {"data": "none", "seed": 0}
    eq.save_pretrained(
        path,
        encoder,
        arch="quarter_resnet18",
        size=(48, 40),
        normalize=NORMALIZE,
        head=head,
        representation=eq.Points(),
        card=card,
    )
    return path, encoder, head


def write_pose(path, **words):
    torch.manual_seed(1)
    model = Pose25D(build_backbone("quarter_resnet18"), 128).eval()
    about = {"kind": "2.5D model", "arch": "quarter_resnet18", "size": [32, 32], "mean": [0.5] * 3, "std": [0.2] * 3}
    about |= {"representation": None, "card": {}, "focal": 4.0, "bone_length": 0.03} | words
    files.write_stored(path, about, model.state_dict())
    return model


def test_what_is_written_is_what_is_read(kept):
    path, encoder, head = kept
    found = eq.pretrained(path)
    images = torch.rand(2, 3, 48, 48)
    assert not found.encoder.training
    assert not found.head.training
    torch.testing.assert_close(found.encoder(images), encoder.eval()(images))
    torch.testing.assert_close(found.head(found.encoder(images)), head.eval()(encoder(images)))
    assert (found.width, found.size, found.normalize) == (128, (48, 40), NORMALIZE)
    assert found.representation == eq.Points()
    assert found.card == {"data": "none", "seed": 0}


@pytest.mark.parametrize("representation", [eq.Points(), eq.PeCLRPoints(), eq.Invariant()])
def test_the_representation_comes_back(kept, tmp_path, representation):
    _, encoder, head = kept
    words = {"arch": "quarter_resnet18", "size": (64, 64), "normalize": NORMALIZE}
    eq.save_pretrained(tmp_path / "a.safetensors", encoder, **words, head=head, representation=representation)
    assert eq.pretrained(str(tmp_path / "a.safetensors")).representation == representation


def test_an_encoder_may_have_no_head(kept, tmp_path):
    path = tmp_path / "plain.safetensors"
    eq.save_pretrained(path, kept[1], arch="quarter_resnet18", size=(64, 64), normalize=NORMALIZE)
    found = eq.pretrained(path)
    assert found.head is None
    assert found.representation is None
    assert found.card == {}


GELU = nn.Sequential(nn.Linear(128, 8), nn.BatchNorm1d(8), nn.GELU(), nn.Linear(8, 4))


@pytest.mark.parametrize(
    ("words", "match"),
    [
        ({"arch": "resnet19"}, r"arch: expected a name of list_backbones\(\) or timm/NAME, got 'resnet19'"),
        ({"arch": "resnet18"}, r"encoder holds another network: 0 missing, 0 unexpected, 10\d of another shape"),
        ({"size": (0, 64)}, r"size: expected .*, got .*0"),
        (
            {"head": nn.Sequential(nn.Linear(128, 8), nn.BatchNorm1d(8), nn.GELU(), nn.Linear(8, 4))},
            r"head: .* GELU, Lin",
        ),
        (
            {"head": projection_head(128, 24, 7)},
            r"head: expected an even width, for points .*, got a width of 7",
        ),
        ({"head": nn.Linear(128, 8)}, r"head: expected Linear, BatchNorm1d, ReLU, Linear without a bias, got"),
        ({"head": projection_head(64, 24, 8)}, r"head holds another network: .* 1 of another shape \(0.weight\)"),
        ({"representation": None}, r"representation: expected one of Invariant, PeCLRPoints, Points, got None"),
        (
            {"representation": eq.DirectSum([(eq.Points(), 4), (eq.Invariant(), 4)])},
            r"representation: expected one of Invariant, PeCLRPoints, Points, got",
        ),
    ],
)
def test_what_could_not_be_read_is_not_written(kept, tmp_path, words, match):
    _, encoder, head = kept
    usual = {
        "arch": "quarter_resnet18",
        "size": (64, 64),
        "normalize": NORMALIZE,
        "head": head,
        "representation": eq.Points(),
    }
    path = tmp_path / "new.safetensors"
    with pytest.raises(ValueError, match=match):
        eq.save_pretrained(path, encoder, **(usual | words))
    assert not path.exists()


def test_the_normalisation_is_one(kept, tmp_path):
    with pytest.raises(TypeError, match=r"normalize: expected a Normalize, got"):
        eq.save_pretrained(tmp_path / "a", kept[1], arch="quarter_resnet18", size=(64, 64), normalize=(0.5, 0.5))


def test_a_wrong_or_damaged_file_is_refused_by_name(kept, tmp_path):
    path = kept[0]
    with pytest.raises(
        FileNotFoundError, match=r"nowhere is neither a file nor the name of a model that comes with equicon"
    ):
        eq.pretrained("nowhere")
    whole = path.read_bytes()
    for bad in (whole[:-100], whole[:5], b"", b"nothing of the kind", b"\xff" * 100):
        path.write_bytes(bad)
        with pytest.raises(ValueError, match=r"mine\.safetensors is damaged, or no file of safetensors"):
            eq.pretrained(path)
    path.write_bytes(safetensors.torch.save({"a": torch.ones(1)}))
    with pytest.raises(ValueError, match=r"mine\.safetensors holds weights without a description"):
        eq.pretrained(path)
    about = {"kind": "encoder", "arch": "quarter_resnet18", "size": [8, 8], "mean": [0.5] * 3, "std": [0.2] * 3}
    about |= {"format": 1, "representation": None, "card": {}}
    for said, match in (
        ({"format": 2}, "is of format 2, and this equicon reads 1"),
        ({}, "lacks a known kind"),
        ([], "lacks a known kind"),
        (about | {"kind": "a poem"}, "lacks a known kind"),
        ({"format": 1, "kind": "encoder", "arch": "quarter_resnet18"}, "lacks card, mean, representation, size, std"),
        (about | {"kind": "2.5D model"}, "lacks bone_length, focal"),
        (about | {"arch": "vgg11"}, "is of an architecture that this equicon does not know: arch: expected a name of"),
        (about | {"arch": "vit_b_16"}, "is of an architecture that this equicon does not know: size: expected multip"),
        (about | {"representation": "Curves"}, "is of a representation that this"),
        (about, "holds another network: 120 missing"),
    ):
        path.write_bytes(safetensors.torch.save({"a": torch.ones(1)}, {"equicon": json.dumps(said)}))
        with pytest.raises(ValueError, match=rf"mine\.safetensors {match}|mine.safetensors has a .*{match}"):
            eq.pretrained(path)
    path.write_bytes(safetensors.torch.save({"a": torch.ones(1)}, {"equicon": "{not JSON"}))
    with pytest.raises(ValueError, match=r"mine\.safetensors has a description that lacks a known kind"):
        eq.pretrained(path)


def test_a_file_without_its_head_is_refused(kept):
    stored = files.read_stored(kept[0])
    few = {name: value for name, value in stored.tensors.items() if name != "head.3.weight"}
    files.write_stored(kept[0], stored.about, few)
    with pytest.raises(ValueError, match=r"holds another network: 1 missing \(3\.weight\)"):
        eq.pretrained(kept[0])


def test_loading_draws_no_random_numbers(kept):
    torch.manual_seed(3)
    wanted = torch.rand(4)
    torch.manual_seed(3)
    eq.pretrained(kept[0])
    assert torch.equal(torch.rand(4), wanted)


def test_what_comes_with_the_package_is_checked_by_its_sum(kept, tmp_path, monkeypatch):
    path = kept[0]
    monkeypatch.setattr(files, "FOLDER", tmp_path)
    (tmp_path / "sha256.json").write_text(json.dumps({"mine": hashlib.sha256(path.read_bytes()).hexdigest()}))
    assert eq.list_pretrained() == ["mine"]
    assert eq.pretrained("mine").width == 128
    damaged = bytearray(path.read_bytes())
    damaged[-1] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(ValueError, match=r"mine\.safetensors is damaged: its SHA-256 is .*, not .*\. Install equicon"):
        eq.pretrained("mine")
    assert eq.pretrained(path).width == 128  # a file of that place, which is anybody's


def test_nothing_half_written_is_left(kept, tmp_path):
    with pytest.raises(OSError, match="could not be written"):
        eq.save_pretrained(
            tmp_path / "mine.safetensors" / "in.a.file",
            kept[1],
            arch="quarter_resnet18",
            size=(64, 64),
            normalize=NORMALIZE,
        )


def test_half_precision_keeps_all_but_the_last_digits(tmp_path):
    path = tmp_path / "half.safetensors"
    matrix, vector = torch.randn(64, 64), torch.randn(64)
    about = dict.fromkeys(("kind", "arch", "size", "mean", "std", "representation", "card"), "encoder")
    files.write_stored(path, about, {"a": matrix, "b": vector}, half=True)
    assert path.stat().st_size < 2 * 64 * 64 + 4 * 64 + 600
    found = files.read_stored(path).tensors
    assert found["a"].dtype == found["b"].dtype == torch.float32
    torch.testing.assert_close(found["a"], matrix, rtol=1e-3, atol=1e-4)
    assert torch.equal(found["b"], vector)


def test_hands_read_both_kinds(kept, tmp_path):
    path, encoder, _ = kept
    found = read_encoder(path)
    assert found.keys() == encoder.state_dict().keys()
    with pytest.raises(
        ValueError, match=r"mine\.safetensors: expected a 2\.5D model, got an encoder\. This is an encoder: fine"
    ):
        read_pose25d(path)
    model = write_pose(tmp_path / "pose.safetensors")
    assert read_pose25d(tmp_path / "pose.safetensors").keys() == model.state_dict().keys()
    assert read_encoder(tmp_path / "pose.safetensors").keys() == encoder.state_dict().keys()
    assert eq.pretrained(tmp_path / "pose.safetensors").head is None


@pytest.mark.slow
@pytest.mark.parametrize("arch", ["vit_b_32", "timm/test_vit", "timm/test_convnext"])
def test_other_architectures_come_back(tmp_path, arch):
    if arch.startswith("timm/"):
        pytest.importorskip("timm", reason="the encoder is timm's")
    encoder = build_backbone(arch, size=(64, 64)).eval()
    path, images = tmp_path / "other.safetensors", torch.rand(1, 3, 64, 64)
    eq.save_pretrained(path, encoder, arch=arch, size=(64, 64), normalize=NORMALIZE)
    found = eq.pretrained(path)
    with torch.no_grad():
        torch.testing.assert_close(found.encoder(images), encoder(images))
        assert found.width == encoder(images).shape[1]
    assert read_encoder(path).keys() == encoder.state_dict().keys()


def test_a_transformer_of_another_size_is_not_written(tmp_path):
    encoder = build_backbone("vit_b_32", size=(64, 64))
    with pytest.raises(ValueError, match=r"encoder holds another network: .*1 of another shape \(encoder\.pos_"):
        eq.save_pretrained(tmp_path / "a.safetensors", encoder, arch="vit_b_32", size=(96, 96), normalize=NORMALIZE)
