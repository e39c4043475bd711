"""Hands in front of their cameras, one by one or as the frames of a clip."""

from collections.abc import Sequence

from torch import Tensor

from equicon.hands._rendered.draws import Draws
from equicon.hands._rendered.kinematics import Posed, pose_hands
from equicon.hands._rendered.settings import Settings

_NUMBERS = 200
_STREAM = 2**15  # random stream of the velocities
_FASTEST = 0.02  # share of its range that a joint, a tilt or a place moves per frame at most; at least half of it


def pose_clips(clips: Sequence[int], settings: Settings) -> Posed:
    """Pose whole clips: the hands of all their frames, one clip after the other."""
    scenes = [settings.scene(clip) for clip in clips] if settings.shares else None
    draws = Draws.of(settings.seed, clips, 0, _NUMBERS, scenes)  # the same in every domain
    if settings.clip > 1:
        draws = draws.moving(_velocity(settings.seed, clips), settings.clip)
    return pose_hands(draws, settings.size, settings.side, settings.clip)


def _velocity(seed: int, clips: Sequence[int]) -> Tensor:
    speed = Draws.of(seed, clips, _STREAM, _NUMBERS).uniform(-1.0, 1.0, _NUMBERS)
    return _FASTEST * 0.5 * (speed + speed.sign())
