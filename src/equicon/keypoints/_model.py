"""A keypoint model: an encoder, and a head that says where each of K keypoints is."""

import math
from typing import Literal, NamedTuple, TypeAlias, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from equicon._checks import Size, check_batch, check_choice, check_floating, check_images, check_int, value_error
from equicon._devices import without_autocast
from equicon._plane.frames import pixel_points
from equicon._plane.matrix import at_least_float32
from equicon.backbones import describe_backbone, feature_map
from equicon.keypoints._heatmaps import confidence_of, soft_argmax

Head: TypeAlias = Literal["heatmap", "regression"]
"""The heads of a ``KeypointModel``."""

_STRIDE = 4  # of heatmaps, as in SimpleBaseline
_WIDEST = 256  # channels of its deconvolutions


class KeypointPrediction(NamedTuple):
    """What a ``KeypointModel`` predicts for a batch of views.

    Convention: pixel centres are integers.

    Args:
        xy: (B, K, 2) in pixels of the view, float32 at least.
        confidence: (B, K) in [0, 1]: the share of the heatmap's weight that lies near ``xy``. It is 1 without heatmaps.
        heatmaps: (B, K, h, w), each of them summing to 1; None for the head ``"regression"``.

    Examples:
        >>> KeypointPrediction(torch.rand(2, 17, 2), torch.ones(2, 17), None).xy.shape
        torch.Size([2, 17, 2])
    """

    xy: Tensor
    confidence: Tensor
    heatmaps: Tensor | None


class KeypointModel(nn.Module):
    """Predict K keypoints in views of one thing each: a hand, a face, a body, a mouse, a tool.

    The head ``"heatmap"`` upsamples the encoder's map and reads each place by ``soft_argmax``. A map of stride 32 or
    more goes through transposed convolutions up to a stride of 4 (SimpleBaseline; Xiao et al., ECCV 2018), with as many
    channels as the map, at most 256. A finer map, such as that of a ViT, is upsampled 4 times bilinearly and goes
    through one convolution (the simple decoder of ViTPose; Xu et al., NeurIPS 2022). The head ``"regression"`` is one
    linear layer on pooled features, in the unit frame.

    Whatever type the encoder computes in, places are computed in float32 at least, also under autocast.

    Args:
        encoder: A network of ``equicon.backbones.build_backbone``, or your own with a method ``forward_map``.
        count: The number of keypoints K, at least 1.
        head: ``"heatmap"`` or ``"regression"``.
        size: Height and width, in pixels, of the images that an encoder of your own is tried with. Others are not run.

    Raises:
        TypeError: If the encoder is not a network that ``describe_backbone`` knows, or the count is not whole.
        ValueError: If the count is below 1 or the head unknown; in a call, if images or features have another shape.

    Examples:
        >>> from equicon.backbones import build_backbone
        >>> model = KeypointModel(build_backbone("quarter_resnet18"), count=17).eval()
        >>> found = model(torch.rand(2, 3, 64, 64))
        >>> found.xy.shape, found.heatmaps.shape
        (torch.Size([2, 17, 2]), torch.Size([2, 17, 16, 16]))
    """

    def __init__(self, encoder: nn.Module, count: int, head: Head = "heatmap", *, size: Size = (224, 224)) -> None:
        super().__init__()
        self.count = check_int("count", count, low=1)
        check_choice("head", head, get_args(Head))
        about = describe_backbone(encoder, size=size)
        self.encoder, self.stride = encoder, about.stride
        self.head: nn.Module
        if head == "regression":
            self.head = nn.Linear(about.width, 2 * count)
        elif about.stride >= 32:
            self.head = _deconvolutions(about.channels, about.stride, count)
        else:
            self.head = _Plain(about.channels, count)
        self.kind: Head = head

    def forward(self, images: Tensor) -> KeypointPrediction:
        """Predict the keypoints of each view.

        Args:
            images: (B, 3, H, W), as the encoder takes them. With heatmaps, H and W are multiples of the encoder's
                stride.
        """
        check_images(images)
        size = (images.shape[-2], images.shape[-1])
        if self.kind == "regression":
            features = self.encoder(images)
            check_floating("encoder(images)", features, "(B, width)", last=(self.head.in_features,), ndim=2)  # type: ignore[arg-type]
            check_batch("encoder(images)", features, images, "images")
            weight = self.head.weight
            with without_autocast(weight.device):  # type: ignore[arg-type]
                units = at_least_float32(self.head(features.to(weight.dtype))).unflatten(1, (self.count, 2))
                xy = pixel_points(units, size)
            return KeypointPrediction(xy, torch.ones_like(xy[..., 0]), None)
        if size[0] % self.stride or size[1] % self.stride:  # the map would cover more than the view
            raise value_error("images", f"height and width that are multiples of {self.stride}, the stride", images)
        logits = self.head(feature_map(self.encoder, images))
        with without_autocast(images.device):
            logits = at_least_float32(logits)
            heatmaps = logits.flatten(2).softmax(-1).unflatten(2, logits.shape[-2:])
            xy = soft_argmax(heatmaps, size)
            return KeypointPrediction(xy, confidence_of(heatmaps, xy.detach(), size), heatmaps)


def _deconvolutions(channels: int, stride: int, count: int) -> nn.Sequential:
    width = min(channels, _WIDEST)
    layers: list[nn.Module] = []
    for i in range(round(math.log2(stride / _STRIDE))):
        deconvolution = nn.ConvTranspose2d(width if i else channels, width, 4, 2, 1, bias=False)
        layers += [deconvolution, nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers, nn.Conv2d(width, count, 1))


class _Plain(nn.Module):
    """The simple decoder of ViTPose."""

    def __init__(self, channels: int, count: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, count, 3, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        """Upsample a map (B, channels, h, w) to (B, K, 4h, 4w)."""
        found: Tensor = self.conv(F.interpolate(features.relu(), scale_factor=4, mode="bilinear"))
        return found
