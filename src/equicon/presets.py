"""Named recipes of augmentation. Each states its source, and where it only approximates that source."""

from equicon._checks import check_factors, check_int, check_number, describe, is_several, type_error
from equicon._transforms.base import Compose, RandomApply
from equicon._transforms.filters import RandomGaussianBlur
from equicon._transforms.geometric import (
    RandomHorizontalFlip,
    RandomRotation,
    RandomScale,
    RandomTranslate,
)
from equicon._transforms.photometric import ColorJitter, Factor, RandomGrayscale
from equicon._transforms.resized_crop import RandomResizedCrop

__all__ = ["peclr", "simclr"]


def peclr(
    *,
    margin: tuple[float, float] = (0.9, 1.5),
    degrees: float = 45.0,
    translate: float = 15 / 128,
    jitter: tuple[Factor, Factor, Factor, Factor] = (0.5, 0.1, 0.5, 0.01),
) -> Compose:
    """The augmentations that PeCLR trains with: rotation, translation, scale and colour jitter.

    The paper's margins are relative to a crop around the hand. Pass that crop to the call:
    ``frame=Affine.from_points(joints, size)``.

    The authors' program works in other units, so this preset approximates it:

    - Margins of 0.9 to 1.5 become scales of 1/1.5 to 1/0.9, drawn uniformly in scale and not in margin.
    - The program shifts by 0 to 15 pixels to one side and divides them by 128. Here shifts go to both sides.
    - The program multiplies the channels of HSV: value by 0.5 to 1.5, plus up to 20 of 255; saturation by 0.5 to 1.5;
      hue by 0.99 to 1.01. Here brightness and saturation take those factors, contrast replaces the offset, and hue is
      rotated in YIQ.

    Args:
        margin: (lowest, highest) half-side of the crop divided by the half-side of the frame, in [1e-4, 1e4].
            The scales are 1 / margin.
        degrees: Largest rotation to either side, in degrees.
        translate: Largest shift to either side, as a share of the view's side.
        jitter: Brightness, contrast, saturation and hue, as ``ColorJitter`` takes them.

    Returns:
        A ``Compose``. To change anything else, build your own from its ``transforms``.

    Raises:
        ValueError: If a number is out of range.

    Examples:
        >>> views, g = presets.peclr(degrees=90)(torch.rand(4, 3, 224, 224), size=(128, 128))

    Source: Spurr et al., ICCV 2021, arXiv 2106.05953, section 4.2, and the configuration released with it.
    """
    low, high = check_factors("margin", margin)
    if not is_several(jitter) or len(jitter) != 4:
        raise type_error("jitter", "four values: brightness, contrast, saturation and hue", describe(jitter))
    return Compose(
        [
            RandomScale((1 / high, 1 / low)),
            RandomRotation(degrees),
            RandomTranslate(translate),
            ColorJitter(*jitter),
        ]
    )


def simclr(side: int = 224, strength: float = 1.0) -> Compose:
    """The augmentations of SimCLR: resized crop, flip, colour jitter, grey, blur.

    Args:
        side: Height and width of the views in pixels. The blur's kernel is a tenth of it, made odd.
        strength: Strength of the colour jitter, in [0, 2.5]. SimCLR takes 1 for ImageNet and 0.5 for CIFAR-10, where it
            also leaves out the blur.

    Returns:
        A ``Compose``. To change one of its parts, build your own from its ``transforms``.

    Examples:
        >>> views, g = presets.simclr(64)(torch.rand(4, 3, 64, 64))

    Source: Chen et al. 2020, arXiv 2002.05709, appendix A. Hue turns in YIQ, not in HSV, and colours are clamped once.
    """
    side = check_int("side", side, low=1)
    strength = check_number("strength", strength, low=0.0, high=2.5)
    jitter = ColorJitter(0.8 * strength, 0.8 * strength, 0.8 * strength, 0.2 * strength)
    return Compose(
        [
            RandomResizedCrop((0.08, 1.0)),
            RandomHorizontalFlip(0.5),
            RandomApply(jitter, p=0.8),
            RandomGrayscale(0.2),
            RandomGaussianBlur(side // 20 * 2 + 1, (0.1, 2.0), p=0.5),
        ]
    )
