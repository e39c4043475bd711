"""Arms that continue until they leave a picture that is wider than the hand's square."""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from equicon.hands._rendered.cones import Cones
from equicon.hands._rendered.flesh import HAND

_THICKER = 1.2  # thickness of an upper arm over that of the forearm at the elbow
_STEEPEST = 0.7


def upper_arm(hand: Cones, width: int) -> Cones:
    """Continue the arm of a clothed hand from its elbow, away from the hand, out of a picture of width² pixels."""
    forearm = _some(hand, slice(HAND, None))
    wrist, along = forearm.start[:, :2].mean(1), (forearm.end - forearm.start)[:, :2].mean(1)
    # An arm that points to the camera is short in the picture. Seen from the hand, its elbow lies to some side.
    aside = wrist[:, :2] - hand.start[:, :HAND, :2].mean(1)
    bare = (forearm.start_radius[:, 2:] == 0).double()
    forearm = replace(forearm, blend=forearm.blend * bare)  # skin that melts into cloth would show through it
    return _go_on(forearm, torch.cat([along[:, :2] + 0.5 * aside, along[:, 2:]], dim=-1), width)


def rest_of_arm(arm: Cones, width: int) -> Cones:
    """Continue another arm from its elbow. Its first cone runs from the elbow to the wrist."""
    first = _some(arm, slice(0, 1))
    back = replace(first, start=first.end, end=first.start, end_radius=first.start_radius)
    return _go_on(back, (back.end - back.start)[:, 0], width)


def _go_on(cones: Cones, along: Tensor, width: int) -> Cones:
    """Make cones that begin where others end, and run nearly along ``along`` (B, 3), but not too steeply in depth."""
    length = along[:, :2].square().sum(-1, keepdim=True).sqrt().clamp(min=1e-6)
    slope = (along[:, 2:] / length).clamp(-_STEEPEST, _STEEPEST)
    way = 1.5 * width * torch.cat([along[:, :2] / length, slope], dim=-1)
    return replace(
        cones,
        start=cones.end,
        end=cones.end + way[:, None],
        start_radius=cones.end_radius,
        end_radius=_THICKER * cones.end_radius,
    )


def _some(cones: Cones, at: slice) -> Cones:
    each: dict[str, Any] = {
        name: value[:, at] if isinstance(value, Tensor) else value[at] for name, value in vars(cones).items()
    }
    return replace(cones, **each)
