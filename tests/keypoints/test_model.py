import pytest
import torch
import torch.nn.functional as F
from torch import nn

pytest.importorskip("torchvision", reason="the encoders come from torchvision")

from equicon.backbones import build_backbone
from equicon.keypoints import KeypointModel, KeypointTarget, keypoint_loss


class Small(nn.Module):
    """A network of the user's own, of stride 8."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.body = nn.Conv2d(3, 8, 4, 4), nn.Conv2d(8, 16, 2, 2)

    def forward_map(self, images: torch.Tensor) -> torch.Tensor:
        return self.body(self.stem(images).relu())

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return F.adaptive_avg_pool2d(self.forward_map(images), 4).flatten(1)


@pytest.mark.parametrize("head", ["heatmap", "regression"])
@pytest.mark.parametrize(("arch", "stride"), [("quarter_resnet18", 4), ("own", 2)])
def test_it_predicts_places_in_pixels_of_the_view(arch, stride, head):
    encoder = Small() if arch == "own" else build_backbone(arch)
    model = KeypointModel(encoder, 7, head).eval()
    found = model(torch.rand(2, 3, 64, 96))
    assert found.xy.shape == (2, 7, 2)
    assert ((found.confidence >= 0) & (found.confidence <= 1)).all()
    if head == "heatmap":
        assert found.heatmaps.shape == (2, 7, 64 // stride, 96 // stride)
        assert torch.allclose(found.heatmaps.sum((-2, -1)), torch.ones(2, 7), atol=1e-5)
        assert ((found.xy >= -0.5) & (found.xy <= torch.tensor([95.5, 63.5]))).all()
    else:
        assert found.heatmaps is None


def test_an_encoder_of_ones_own_may_take_one_size_only():
    class Fixed(Small):
        def forward_map(self, images: torch.Tensor) -> torch.Tensor:
            assert images.shape[-2:] == (32, 48)
            return super().forward_map(images)

    found = KeypointModel(Fixed(), 3, size=(32, 48))(torch.rand(2, 3, 32, 48))
    assert found.heatmaps.shape == (2, 3, 16, 24)


@pytest.mark.parametrize("head", ["heatmap", "regression"])
def test_it_learns_where_blobs_are(head):
    torch.manual_seed(0)
    model = KeypointModel(Small(), 2, head)
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    at = torch.arange(32)

    def batch() -> KeypointTarget:
        xy = 6 + 20 * torch.rand(16, 2, 2)
        blob = torch.exp(-((at - xy[..., :1])[:, :, None] ** 2 + (at - xy[..., 1:])[..., None] ** 2) / 18)
        return KeypointTarget(torch.cat([blob, blob[:, :1]], 1), xy, torch.full((16, 2), 2))

    first, errors = batch(), []
    for step in range(150):
        target = first if step in (0, 149) else batch()
        found = model(target.images)
        if step in (0, 149):
            errors.append((found.xy - target.xy).detach().norm(dim=-1).mean().item())
        optimizer.zero_grad()
        sum(keypoint_loss(found, target).values()).backward()
        optimizer.step()
    assert errors[1] < 0.5 * errors[0], errors


def test_its_confidence_tells_one_peak_from_none():
    model = KeypointModel(Small(), 1)
    model.head.conv.weight.data.zero_()
    flat = model(torch.rand(1, 3, 64, 64))
    assert flat.confidence.item() == pytest.approx(36 / 1024, rel=1e-3)  # 6 × 6 of 32 × 32 pixels are near the centre
    model.head.conv.weight.data.normal_(std=100.0)
    peaked = model(torch.rand(1, 3, 64, 64))
    assert peaked.confidence.item() > flat.confidence.item()


def test_places_are_exact_to_float32_under_autocast():
    model = KeypointModel(build_backbone("quarter_resnet18"), 3, "regression").eval()
    images = torch.rand(2, 3, 64, 64)
    with torch.autocast("cpu", torch.bfloat16):
        found = model(images)
    assert found.xy.dtype == torch.float32
    assert not torch.equal(found.xy, found.xy.bfloat16().float())


def test_a_view_that_the_map_does_not_cover_exactly_is_refused():
    with pytest.raises(ValueError, match=r"images: expected height and width that are multiples of 8, the stride"):
        KeypointModel(Small(), 2)(torch.rand(1, 3, 64, 60))
    assert KeypointModel(Small(), 2, "regression")(torch.rand(1, 3, 64, 60)).xy.shape == (1, 2, 2)


def test_bad_input_is_named():
    with pytest.raises(ValueError, match=r"count: expected"):
        KeypointModel(Small(), 0)
    with pytest.raises(ValueError, match=r"head: expected one of heatmap, regression"):
        KeypointModel(Small(), 3, "heatmaps")
    with pytest.raises(TypeError, match=r"module: expected a network"):
        KeypointModel(nn.Linear(2, 2), 3)
    with pytest.raises(ValueError, match=r"images"):
        KeypointModel(Small(), 3)(torch.rand(3, 64, 64))
