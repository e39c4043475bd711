"""Describe faults of a pipeline that runs without an error: images that are not in [0, 1], or not channels first."""

import re
import warnings
from collections.abc import Iterator

import torch
from torch import Tensor

from equicon._checks import readable
from equicon._views.color import ColorMap, Normalization

_SLACK = 0.25
"""How far values may leave [0, 1]: at corners of white on black, bicubic weights overshoot by 0.23."""

_SAMPLED = 16
"""The least number of rows and columns that are checked in each image."""


def warn_of_looks(
    images: Tensor, color: ColorMap | None, normalization: Normalization | None, rgb_first: bool = False
) -> None:
    """Warn of images that are channels last, or whose values are not those that colour and ``Normalize`` expect.

    Where red, green and blue come first, only these are expected in [0, 1], and not, for example, the depth after them.
    It checks a few pixels of each image, and only where they can be read without waiting: on a CPU, in a call that is
    not compiled or transformed. Python shows the warning once for each line that calls, even if its numbers differ.
    """
    if torch.compiler.is_compiling():
        return
    fault = fault_of_shape(images)
    if not fault and (color is not None or normalization is not None) and readable(images):
        height, width = images.shape[-2:]
        few = images[..., :: max(height // _SAMPLED, 1), :: max(width // _SAMPLED, 1)]
        if rgb_first:
            few = few[..., :3, :, :]
            if normalization is not None:
                normalization = Normalization(normalization.mean[:3], normalization.std[:3])
        fault = next(faults_of_values(few, color, normalization), "")
    if fault:
        # Level 4 is the caller of EquivariantTransform.__call__ or Action.__call__, which call apply_action.
        warnings.warn(_Warning(f"images: {fault}"), UserWarning, stacklevel=4)


class _Warning(str):
    """A text that equals texts that differ only in their numbers. So Python shows it once, and not for each batch."""

    __slots__ = ()

    def _words(self) -> str:
        return re.sub(r"-?\d[\d.e+-]*", "", self)

    def __eq__(self, other: object) -> bool:
        return self._words() == other._words() if isinstance(other, _Warning) else str.__eq__(self, other)

    def __hash__(self) -> int:
        return hash(self._words())


def faults_of_values(images: Tensor, color: ColorMap | None, normalization: Normalization | None) -> Iterator[str]:
    """Describe how the values of images (B, C, H, W) differ from what colour and ``Normalize`` expect."""
    of_normalization = fault_of_normalization(normalization)
    unclamped = color is None and images.is_floating_point() and images.numel() > 0
    if of_normalization and unclamped and images.detach().amax() > 1 + _SLACK:
        return  # for example depth in millimetres, and a mean in millimetres
    yield from filter(None, (fault_of_values(images), of_normalization))


def fault_of_values(images: Tensor) -> str:
    """Describe what is wrong with the values of images (B, C, H, W); "" if nothing is."""
    if images.numel() == 0:
        return ""
    low, high = (float(value) for value in images.detach().aminmax())
    if not images.is_floating_point():
        if high > 1 or high == 0:
            return ""
        return (
            "expected bytes of 0 to 255, got none above 1, so the images are black. Probably pictures in [0, 1] "
            "were converted to bytes: leave them floating, or multiply by 255 first."
        )
    if low != low:
        return "expected values in [0, 1], got NaN."
    if low >= -_SLACK and high <= 1 + _SLACK:
        return ""
    clamped = float(((images < 0) | (images > 1)).double().mean())
    expected = f"expected values in [0, 1], got {low:.3g} to {high:.3g}. Colour would clamp {clamped:.0%} of them"
    if low < -_SLACK and high <= 10:
        return (
            f"{expected}. Probably a mean is already subtracted: remove that where the images are loaded, and put "
            "equicon.Normalize last in the chain."
        )
    return f"{expected}: divide by 255, or give the bytes (uint8) themselves."


def fault_of_normalization(normalization: Normalization | None) -> str:
    """Describe why a normalisation does not suit images in [0, 1]; "" if it does."""
    if normalization is None or max(map(abs, normalization.mean)) <= 1:
        return ""
    return (
        f"are normalised as values in [0, 1], but a mean of {max(normalization.mean):g} is for values of 0 to 255. "
        "Divide mean and std of Normalize by 255."
    )


def fault_of_shape(images: Tensor) -> str:
    """Describe the fault if images (B, C, H, W), or clips (B, T, C, H, W), came with the channels last; "" if not."""
    height, width, last = images.shape[-3:]
    if last in (3, 4) and height > 4 and width > 4:
        clips = images.ndim == 5
        return (
            f"expected {'(B, T, C, H, W)' if clips else '(B, C, H, W)'}, got {tuple(images.shape)}: {height} channels "
            f"of {width} × {last} pixels, which look like channels last. "
            f"Write images.permute({'0, 1, 4, 2, 3' if clips else '0, 3, 1, 2'})."
        )
    return ""


_ALL_AT_ONCE = {
    "ColorJitter": ("brightness", "contrast", "saturation", "hue"),
    "GaussianBlur": ("sigma",),
    "JPEG": ("quality",),
}
"""Random operations of torchvision that do not have "Random" in their name, and the fields of their ranges."""

_MOVING = (
    *("RandomAffine", "RandomCrop", "RandomHorizontalFlip", "RandomIoUCrop", "RandomPerspective", "RandomResizedCrop"),
    *("RandomRotation", "RandomVerticalFlip", "RandomZoomOut", "ElasticTransform"),
    *("AutoAugment", "AugMix", "RandAugment", "TrivialAugmentWide"),  # they shear, shift and turn as well
)
"""Operations of torchvision that move pixels."""


def fault_of_module(module: object) -> str:
    """Describe what is wrong with an operation of Kornia or torchvision in ``Appearance``; "" if no fault is known.

    The operation is judged by its class and not run. What a user's own function calls is not seen.
    """
    for part in _parts(module):
        name, bases = type(part).__name__, [base.__name__ for base in type(part).__mro__]
        torchvision = type(part).__module__.startswith("torchvision.transforms")
        if "GeometricAugmentationBase2D" in bases or (torchvision and name in _MOVING):
            return (
                f"{name} moves pixels, which the returned matrix will not contain. Use equicon's own, or give "
                "its matrices to Affine.from_pixels."
            )
        if torchvision and _draws(part):
            return (
                f"torchvision's {name} draws once for the whole batch. Use equicon's or Kornia's, which draw for each "
                "image. If it only draws whether to do something, write RandomApply(Appearance(something), p)."
            )
    return ""


def _draws(part: object) -> bool:
    """Whether an operation of torchvision is random."""
    name = type(part).__name__
    if name not in _ALL_AT_ONCE:
        return name.startswith("Random") and getattr(part, "p", 0.5) not in (0, 1)
    ranges = [found for field in _ALL_AT_ONCE[name] if (found := getattr(part, field, None)) is not None]
    return len(ranges) > 1 or any(found[0] != found[-1] for found in ranges)  # with several, the order is drawn too


def _parts(module: object) -> Iterator[object]:
    """Yield a module and all its parts."""
    for part in module.modules() if isinstance(module, torch.nn.Module) else [module]:
        yield part
        listed = getattr(part, "transforms", ())  # torchvision may or may not register these as submodules
        for one in listed if isinstance(listed, list | tuple) else ():
            yield from _parts(one)
