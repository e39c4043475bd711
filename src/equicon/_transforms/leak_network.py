"""What ``find_leaks`` looks with: random pictures that have no scale, and a network that is shown their views."""

from itertools import pairwise
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import override

from equicon._checks import Size

_CONTRAST = 0.18
"""Standard deviation of the pictures: so small that few pixels are cut off at 0 and 1."""


def random_pictures(count: int, size: Size) -> Tensor:
    """Draw pictures (count, 3, H, W) from the global generator: noise whose amplitude falls as 1 / frequency.

    So does that of photographs (Field 1987), and a crop of such noise looks like the whole. It is stationary and
    isotropic: nothing in it says which way is up, and its borders fit each other. Channels are independent.
    """
    rows = torch.fft.fftfreq(size[0], device="cpu", dtype=torch.float32)
    columns = torch.fft.rfftfreq(size[1], device="cpu", dtype=torch.float32)
    amplitude = (rows.square()[:, None] + columns.square()).rsqrt()
    amplitude[0, 0] = 0.0  # the mean of all pictures is the same
    # Each column but two stands for itself and for its mirror image.
    images = 1 + ((columns > 0) & (columns < 0.5)).float()
    power = (amplitude.square() * images).sum().clamp(min=1e-6)  # of a single pixel it is 0
    spectrum = torch.randn(count, 3, *amplitude.shape, device="cpu", dtype=torch.complex64)
    spectrum.mul_(amplitude * (2 / images).sqrt() * (_CONTRAST / power.sqrt()))
    pictures: Tensor = torch.fft.irfft2(spectrum, s=size, norm="forward")
    return pictures.add_(0.5).clamp_(0, 1)


@final
class _Block(nn.Module):
    """Two convolutions beside a shortcut (He et al. 2016), half as large where there are more channels."""

    def __init__(self, before: int, channels: int, device: torch.device) -> None:
        super().__init__()
        stride = 1 if before == channels else 2
        self.first = _convolution(before, channels, 3, stride, device)
        self.second = _convolution(channels, channels, 3, 1, device)
        self.shortcut = nn.Identity() if before == channels else _convolution(before, channels, 1, stride, device)

    @override
    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.second(F.relu(self.first(x))) + self.shortcut(x))


def _convolution(before: int, after: int, kernel: int, stride: int, device: torch.device) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, kernel, stride, kernel // 2, bias=False, device=device, dtype=torch.float32),
        nn.BatchNorm2d(after, device=device, dtype=torch.float32),
    )


def build_network(channels: int, outputs: int, device: torch.device) -> nn.Sequential:
    """Build ResNet-18 of a quarter of its width, from the global generator, for views in channels-last format."""
    head = nn.Linear(128, outputs, device=device, dtype=torch.float32)
    widths = [16, 16, 16, 32, 32, 64, 64, 128, 128]
    blocks = [_Block(before, after, device) for before, after in pairwise(widths)]
    stem = [_convolution(channels, widths[0], 7, 2, device), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    network = nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), head)
    return network.to(memory_format=torch.channels_last)
