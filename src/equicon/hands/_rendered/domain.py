"""The two domains of synthetic hands, with everything that differs between them."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from equicon._checks import check_choice

Range: TypeAlias = tuple[float, float]
DomainName: TypeAlias = Literal["studio", "wild"]


@dataclass(frozen=True)
class Domain:
    """Ranges for uniform draws, and probabilities.

    Args:
        stream: Number of its first random stream. The two domains draw different numbers.
        skins: Number of skin colours, from light to dark; 0 for the whole range.
        backdrops: Colours of the background (sRGB, 0 to 255); empty for any.
        light: Cosine between the direction to the light and that to the camera.
        ambient: Share of the light that comes from everywhere.
        gloss: Strength of highlights.
        shadow: Strength of the shadow on the background.
        sleeve: Probability of a sleeve.
        gradient: How much the background's brightness changes across the image, to either side.
        clouds: Strength of smooth noise in the background.
        texture: Probability of a pattern.
        thing: Probability of each scattered flat thing; skin: probability that it has the colour of skin.
        limb: Probability of another arm with a hand behind the hand.
        occluder: Probability of a thing in the hand or in front of it.
        gain: Exposure; cast: of a single channel relative to it.
        vignette: How much darker the corners are.
        blur: Probability of being out of focus.
        noise: Standard deviation of the sensor's noise at full brightness.
        compressed: Probability of compression; quality: as JPEG counts it, 1 to 100.
    """

    stream: int
    skins: int
    backdrops: tuple[tuple[int, int, int], ...]
    light: Range
    ambient: Range
    gloss: Range
    shadow: Range
    sleeve: float
    gradient: Range
    clouds: Range
    texture: float
    thing: float
    skin: float
    limb: float
    occluder: float
    gain: Range
    cast: Range
    vignette: Range
    blur: float
    noise: Range
    compressed: float
    quality: Range


STUDIO = Domain(
    stream=1,
    skins=8,
    backdrops=((44, 168, 74), (38, 92, 176), (205, 205, 200), (128, 130, 132), (46, 47, 50), (196, 178, 152)),
    light=(0.75, 0.95),
    ambient=(0.45, 0.55),
    gloss=(0.02, 0.08),
    shadow=(0.05, 0.30),
    sleeve=0.25,
    gradient=(0.0, 0.10),
    clouds=(0.0, 0.06),
    texture=0.0,
    thing=0.0,
    skin=0.0,
    limb=0.0,
    occluder=0.0,
    gain=(0.92, 1.05),
    cast=(0.98, 1.02),
    vignette=(0.0, 0.20),
    blur=0.0,
    noise=(0.004, 0.015),
    compressed=0.5,
    quality=(75.0, 95.0),
)

WILD = Domain(
    stream=2**16,
    skins=0,
    backdrops=(),
    light=(0.10, 0.90),
    ambient=(0.22, 0.55),
    gloss=(0.0, 0.25),
    shadow=(0.0, 0.75),
    sleeve=0.4,
    gradient=(0.0, 0.40),
    clouds=(0.05, 0.8),
    texture=0.4,
    thing=0.6,
    skin=0.3,
    limb=0.35,
    occluder=0.55,
    gain=(0.70, 1.25),
    cast=(0.93, 1.07),
    vignette=(0.0, 0.35),
    blur=0.25,
    noise=(0.005, 0.04),
    compressed=0.5,
    quality=(25.0, 90.0),
)

_DOMAINS = {"studio": STUDIO, "wild": WILD}


def find_domain(name: DomainName) -> Domain:
    """Look up a domain.

    Raises:
        ValueError: If there is none of this name.
    """
    check_choice("domain", name, tuple(_DOMAINS))
    return _DOMAINS[name]
