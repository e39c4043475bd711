"""Parts of ``find_leaks``: random pictures that have no scale, and the network that is shown their views."""

import math
from itertools import pairwise
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import override

from equicon._checks import Size

_CONTRAST = 0.18
"""Standard deviation of the pictures: so small that few pixels are cut off at 0 and 1."""

_SLOWER = 2
"""How many rounds of longer waves there are. The waves of each round are three times as long as those before."""


def random_pictures(count: int, size: Size) -> Tensor:
    """Draw pictures (count, 3, H, W) from the global generator: noise whose amplitude falls as 1 / frequency.

    The amplitude of photographs falls likewise (Field 1987), and a crop of such noise looks like the whole. The noise
    is stationary and isotropic: nothing in it says which way is up. Channels are independent.
    """
    rows = torch.fft.fftfreq(size[0], device="cpu", dtype=torch.float32)
    columns = torch.fft.rfftfreq(size[1], device="cpu", dtype=torch.float32)
    amplitude = (rows.square()[:, None] + columns.square()).rsqrt()
    amplitude[0, 0] = 0.0
    # Each column but two stands for itself and for its mirror image.
    twice = 1 + ((columns > 0) & (columns < 0.5)).float()
    slow, weights = _slow_waves(size)
    contrast = _CONTRAST / ((amplitude.square() * twice).sum() + weights.square().sum() / 2).sqrt()
    spectrum = torch.randn(count, 3, *amplitude.shape, device="cpu", dtype=torch.complex64)
    spectrum.mul_(amplitude * (2 / twice).sqrt() * contrast)
    waves = torch.randn(count * 3, len(weights), device="cpu", dtype=torch.float32) * (weights * contrast)
    pictures: Tensor = torch.fft.irfft2(spectrum, s=size, norm="forward")
    return pictures.add_((waves @ slow).view_as(pictures)).add_(0.5).clamp_(0, 1)


def _slow_waves(size: Size) -> tuple[Tensor, Tensor]:
    """Make waves (N, H · W) that are longer than the picture, and the strength of each.

    Without them, all pictures would have one mean. Then the mean of a view would tell its scale: the more of a picture
    a view shows, the nearer its mean is to that of the picture. A picture is a sum of waves, and each wave stands for a
    cell of the frequency plane. Eight waves, three times as long as the picture, fill the cell around 0 up to a ninth
    of it. Eight longer waves fill that ninth, and so on.
    """
    y, x = (torch.arange(n, device="cpu", dtype=torch.float32) / n for n in size)
    waves, weights = [], []
    for k in range(1, _SLOWER + 1):
        for down, across in ((0, 1), (1, 0), (1, 1), (1, -1)):  # and their mirror images
            phase = 2 * math.pi / 3**k * (down * y[:, None] + across * x).flatten()
            waves += [phase.cos(), phase.sin()]
            # Amplitude 1 / frequency, times the side of the cell; twice the power, for the mirror image.
            frequency = math.hypot(down / size[0], across / size[1])
            weights += [2**0.5 / frequency] * 2
    return torch.stack(waves), torch.tensor(weights, device="cpu", dtype=torch.float32)


@final
class _Block(nn.Module):
    """Two convolutions with a shortcut (He et al. 2016). The output is half as large if it has more channels."""

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
    """Build a ResNet-18 of a quarter of the width, with random weights, for views in channels-last format."""
    head = nn.Linear(128, outputs, device=device, dtype=torch.float32)
    widths = [16, 16, 16, 32, 32, 64, 64, 128, 128]
    blocks = [_Block(before, after, device) for before, after in pairwise(widths)]
    stem = [_convolution(channels, widths[0], 7, 2, device), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    network = nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), head)
    return network.to(memory_format=torch.channels_last)
