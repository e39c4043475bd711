"""The sets of photographs: which programs learn from them, and which pictures without labels belong to them."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from real_images.sizes import Preset

Program: TypeAlias = Literal["keypoints", "freihand"]
VIDEO = "video"
"""Stands for the videos in a set's folder ``videos``."""


@dataclass(frozen=True)
class Labelled:
    """A set of photographs with labels.

    Args:
        name: Its name, in options and tables.
        source: Where it comes from.
        program: Which of the example programs learn from it: ``finetune_keypoints.py`` or ``finetune_freihand.py``.
        unlabelled: The pictures without labels to pre-train on: names of sets, of which its own stands for its own
            training part, or ``VIDEO``. Those that are not given are left out.
        shares: The shares of its training labels, the smallest first.
        chosen_at: The share with which settings are chosen.
        groups: The number of groups in a step of pre-training; 0 if pictures have no groups.
        hands: Whether it shows hands.
        small: Whether it shows small things, so that its views are larger.
        few: Whether it has so few labels that it needs several test parts.
    """

    name: str
    source: str
    program: Program
    unlabelled: tuple[str, ...]
    shares: tuple[float, ...]
    chosen_at: float
    groups: int = 2
    hands: bool = False
    small: bool = False
    few: bool = False

    @property
    def option(self) -> str:
        """The option of the command that gives its folder."""
        return f"--{self.name.replace('_', '-')}"

    @property
    def alike(self) -> tuple[str, ...]:
        """The pictures without labels that fine-tuning learns from: those that look as the labelled ones do."""
        return (VIDEO,) if VIDEO in self.unlabelled else (self.name,)

    def size(self, preset: Preset) -> int:
        """Give the side of its views [pixels]."""
        return preset.large if self.small else preset.size

    def kept_shares(self, preset: Preset) -> tuple[float, ...]:
        """List the shares of the labels that a preset uses, the smallest first."""
        near = sorted(self.shares, key=lambda share: (share != self.chosen_at, -share))
        return tuple(sorted(near[: preset.shares]))

    def seeds(self, preset: Preset, share: float) -> range:
        """Give the seeds of its runs with a share of the labels."""
        if self.few:
            return range(preset.splits)
        return range(preset.more_seeds if self.hands and share == self.chosen_at else preset.seeds)

    def parts(self, preset: Preset) -> int:
        """Count its test parts; the run with seed ``s`` has the part ``s`` modulo this number."""
        return preset.splits if self.few else 1


SETS = {
    each.name: each
    for each in (
        Labelled(
            "ti1k",
            "TI1K (Alam et al., MIT), first-person hands, tips of thumb and index finger",
            "keypoints",
            ("ti1k", "real_hands"),
            (0.01, 0.1, 1.0),
            0.1,
            hands=True,
        ),
        Labelled(
            "real_joints",
            "the real-world test set of Ge et al. (CVPR 2019), hands with 21 joints in space",
            "freihand",
            ("real_hands",),
            (35 / 315, 100 / 315, 1.0),  # of 350 samples, of which a tenth validates
            35 / 315,
            hands=True,
        ),
        Labelled(
            "mirror_mouse",
            "Lightning Pose's mouse seen from two sides (MIT)",
            "keypoints",
            (VIDEO,),
            (0.3, 1.0),
            0.3,
            small=True,
            few=True,
        ),
        Labelled(
            "lspet",
            "Leeds Sports Pose Extended (Johnson and Everingham, CVPR 2011), people in sports",
            "keypoints",
            ("lspet",),
            (0.1, 1.0),
            0.1,
            groups=0,
        ),
    )
}
"""The sets with labels, by name."""

PICTURES = "real_hands"
"""The set that has no labels."""

RENDERED = "synthetic"
"""What the example programs call rendered hands."""
