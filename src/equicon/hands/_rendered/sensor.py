"""The camera: exposure, a lens out of focus, noise, and a compressed file."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from equicon.hands._rendered.domain import Domain
from equicon.hands._rendered.draws import Draws, sequence
from equicon.hands._rendered.jpeg import compress
from equicon.hands._rendered.shadow import blur


@dataclass(frozen=True)
class Sensor:
    """What the camera does to a batch.

    Args:
        gain: (B, 3) brightness of each channel.
        vignette: (B,) how much darker the corners are.
        noise: (B,) standard deviation at full brightness; seed: (B,) int64.
        quality: (B,) the quality of the compression.
        blurred, compressed: The images that are blurred, and those that are compressed.
    """

    gain: Tensor
    vignette: Tensor
    noise: Tensor
    seed: Tensor
    quality: Tensor
    blurred: tuple[int, ...]
    compressed: tuple[int, ...]


def draw_sensor(draws: Draws, domain: Domain) -> Sensor:
    """Draw the camera of each picture. All but the grains of noise is that of the scene."""
    camera = draws.scene

    def some(probability: float) -> tuple[int, ...]:
        return tuple(camera.chance(probability).nonzero()[:, 0].tolist())

    return Sensor(
        gain=camera.uniform(*domain.gain, 1) * camera.uniform(*domain.cast, 3),
        vignette=camera.uniform(*domain.vignette),
        noise=domain.noise[0] + (domain.noise[1] - domain.noise[0]) * camera.uniform(0.0, 1.0) ** 2,
        seed=draws.seed(),
        quality=camera.uniform(*domain.quality),
        blurred=some(domain.blur),
        compressed=some(domain.compressed),
    )


def expose(light: Tensor, sensor: Sensor, size: int) -> Tensor:
    """Turn light (B, 3, width, width) into uint8 pictures. ``size`` is the side of the hand's square in them."""
    width = light.shape[-1]
    where = (torch.arange(width, device=light.device, dtype=light.dtype) * 2 + (1 - width)) / width
    corner = (where.square()[:, None] + where.square()) * 0.5
    image = light * (sensor.gain[..., None, None] * (1.0 - sensor.vignette[:, None, None, None] * corner))
    image = _some(image, sensor.blurred, lambda image, _: blur(image, max(1, round(size / 100))))
    over = (image - 0.7).clamp(min=0.0)
    image = image.clamp(0.0, 0.7) + over / (1.0 + 2.5 * over)  # highlights fade into white
    spread = sensor.noise[:, None, None, None] * (0.1 + 0.9 * image).sqrt()  # photons arrive one by one
    image = (image + spread * grain(sensor.seed, width)).clamp(0.0, 1.0)
    image = _some(image, sensor.compressed, lambda image, at: compress(image, sensor.quality[at]))
    return (image * 255.0 + 0.5).clamp(0.0, 255.0).to(torch.uint8)


def grain(seed: Tensor, size: int) -> Tensor:
    """Make noise (B, 3, size, size) of variance 1, half of it common to a pixel's channels, equal on every device."""
    values = sequence(seed, size * size).view(torch.int16).view(-1, size, size, 4).float() * (6.0**0.5 / 2**16)
    noise: Tensor = values[..., :3] + values[..., 3:]
    return noise.permute(0, 3, 1, 2)


def _some(image: Tensor, chosen: tuple[int, ...], change: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """Change some images of a batch. The host knows which ones, so nothing waits for the device."""
    if not chosen:
        return image
    at = torch.tensor(chosen, device=image.device)
    return image.index_copy(0, at, change(image[at], at))
