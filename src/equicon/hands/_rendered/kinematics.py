"""The kinematic hand: from random joint angles to 21 joints in front of a camera.

The hand's own frame is that of a right hand seen from its palm with the fingers up: x to the thumb's side, y to the
fingers, z out of the palm. A finger is a chain that bends in one plane, spanned by the direction it points to and the
direction its pad faces.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from equicon.hands._camera import project
from equicon.hands._rendered.draws import Draws, table
from equicon.hands._rendered.overlap import TOUCH, overlap
from equicon.hands._rendered.settings import Side

# A middle-sized adult hand, in metres; fingers from index to little. Bones as measured by Buryanov and Kotiuk
# ("Proportions of hand segments", Int. J. Morphol. 28, 2010), the last of each with the soft tissue of the tip.
_KNUCKLES = table([[0.025, 0.086, 0.0], [0.003, 0.088, -0.003], [-0.018, 0.082, -0.001], [-0.037, 0.072, 0.003]])
_PHALANGES = table([[0.040, 0.022, 0.020], [0.045, 0.026, 0.021], [0.041, 0.026, 0.021], [0.033, 0.018, 0.020]])
_THUMB_BASE = table([0.021, 0.020, 0.008])
_THUMB_BONES = table([0.046, 0.032, 0.025])

_OUT = table([0.0, 0.0, 1.0])  # direction out of the palm

_TRIES = 6  # thumbs that are drawn for each hand

_SPLAY = table([3.0, 0.0, -4.0, -9.0])  # degrees, at rest
_ABDUCTION = table([13.0, 2.0, -9.0, -18.0])  # degrees, on top of it, spread out
_CONVERGENCE = table([0.0, 0.08, 0.18, 0.30])  # bent fingers point to the thumb's root


@dataclass(frozen=True)
class Posed:
    """A batch of hands in front of their cameras, in float64 on the CPU.

    Args:
        xyz: (B, 21, 3) joints in metres in the camera frame.
        K: (B, 3, 3) intrinsics in pixels.
        pads: (B, 21, 3) unit vectors: the direction that the palmar side faces of the bone that ends at each joint.
        forearm: (B, 3) unit vector from the wrist to the elbow.
        scale: (B,) size of the hand relative to the middle-sized one.
        girth: (B,) thickness of the hand, likewise.
    """

    xyz: Tensor
    K: Tensor
    pads: Tensor
    forearm: Tensor
    scale: Tensor
    girth: Tensor


def pose_hands(draws: Draws, size: int, side: Side = "both", clip: int = 1) -> Posed:
    """Draw bone lengths, a pose, a viewpoint and a camera for images of size × size pixels.

    ``clip`` hands in a row are frames of one hand. Its motion comes from the draws.
    """
    scale = draws.scene.uniform(0.85, 1.12)
    girth = scale * draws.scene.uniform(0.90, 1.12)
    joints, pads, forearm = _articulate(draws, clip)
    vectors = torch.cat([joints * scale[:, None, None], pads, forearm[:, None]], dim=1)
    vectors = vectors * _mirror(draws, side)[:, None]
    vectors = (_viewpoint(draws)[:, None] * vectors[..., None, :]).sum(-1)
    joints, pads, forearm = vectors[:, :21], vectors[:, 21:42], vectors[:, 42]
    K = _camera(draws, size)
    return Posed(_place(draws, joints, K, size), K, pads, forearm, scale, girth)


def _articulate(draws: Draws, clip: int) -> tuple[Tensor, Tensor, Tensor]:
    """Bend a right hand: joints, pads and forearm in the hand's frame."""
    fingers, finger_pads = _fingers(draws)
    thumbs, thumb_pads = _thumbs(draws.tries(_TRIES, 12))
    thumbs, thumb_pads = (value.unflatten(0, (-1, _TRIES)) for value in (thumbs, thumb_pads))
    # Take the first of several thumbs that goes through nothing in any frame. So poses stay as varied as drawn.
    deepest = overlap(thumbs, fingers).unflatten(0, (-1, clip)).amax(1)
    choice = (deepest.clamp(min=TOUCH) + 1e-9 * table(range(_TRIES))).argmin(1).repeat_interleave(clip)
    each = torch.arange(len(choice), device=choice.device)
    thumb, thumb_pad = thumbs[each, choice], thumb_pads[each, choice]

    joints = torch.cat([torch.zeros_like(thumb[:, :1]), thumb, fingers.flatten(1, 2)], dim=1)
    pads = torch.cat([_OUT.expand(len(joints), 1, 3), thumb_pad, finger_pads.flatten(1, 2)], dim=1)
    turn, lift = draws.uniform(-0.25, 0.25), draws.uniform(-0.5, 0.6)
    return joints, pads, _unit(torch.stack([turn, -torch.ones_like(turn), lift], dim=-1))


def _fingers(draws: Draws) -> tuple[Tensor, Tensor]:
    """Bend the four fingers: (B, 4, 4, 3) joints and pads."""
    knuckles = _KNUCKLES * draws.scene.uniform(0.95, 1.05, 1, 3)
    lengths = _PHALANGES * draws.scene.uniform(0.92, 1.08, 4, 1) * draws.scene.uniform(0.96, 1.04, 1, 3)

    # Hands are open, or closed to some degree, or hold some fingers out and others in.
    closed = 90.0 * draws.uniform(0.0, 1.0, 1) ** 2
    folded = draws.chance(0.35, 1) * draws.chance(0.5, 4)
    curl = (closed + (90.0 - closed) * folded + draws.uniform(-14.0, 14.0, 4)).clamp(-6.0, 92.0)
    knuckle_bend = (curl * draws.uniform(0.65, 1.0, 4)).clamp(-12.0, 90.0)
    middle_bend = (curl * draws.uniform(0.85, 1.2, 4)).clamp(2.0, 105.0)
    bends = torch.stack([knuckle_bend, middle_bend, middle_bend * draws.uniform(0.4, 0.7, 4)], dim=-1)

    spread = draws.uniform(-0.25, 1.0, 1) * (1.0 - knuckle_bend.clamp(0.0, 90.0) / 90.0)
    side = torch.deg2rad(_SPLAY + _ABDUCTION * spread + draws.uniform(-2.5, 2.5, 4))
    pointing = torch.stack([side.sin(), side.cos(), torch.zeros_like(side)], dim=-1)
    facing = _orthonormal(_OUT + _CONVERGENCE[:, None] * table([1.0, 0.0, 0.0]), pointing)
    return _chain(knuckles, lengths, bends, pointing, facing)


def _thumbs(draws: Draws) -> tuple[Tensor, Tensor]:
    """Swing thumbs from beside the palm (opposed = 0) to in front of it (1), pads to the fingers: (B, 4, 3) each."""
    opposed = draws.uniform(0.0, 1.0, 1)
    outward, upward = draws.uniform(0.45, 0.95, 1), draws.uniform(0.75, 1.0, 1)
    start = _unit(torch.cat([outward * (1.0 - 0.55 * opposed), upward, 0.12 + 0.75 * opposed], dim=-1))
    inward = torch.cat([opposed * 0.15 - 0.8, 0.0 * opposed, 0.75 - 0.35 * opposed], dim=-1)
    bent = torch.cat([torch.zeros_like(opposed), draws.uniform(-4.0, 50.0, 1), draws.uniform(-12.0, 65.0, 1)], dim=-1)
    base = _THUMB_BASE * draws.scene.uniform(0.95, 1.05, 3)
    lengths = _THUMB_BONES * draws.scene.uniform(0.93, 1.07, 1)
    return _chain(base, lengths, bent, start, _orthonormal(inward, start))


def _chain(base: Tensor, lengths: Tensor, degrees: Tensor, pointing: Tensor, facing: Tensor) -> tuple[Tensor, Tensor]:
    """Lay three bones end to end: (B, F, 4, 3) joints from the base, and the direction of the pad before each joint."""
    angle = torch.deg2rad(degrees.cumsum(-1))[..., None]
    along = angle.cos() * pointing[..., None, :] + angle.sin() * facing[..., None, :]
    pads = angle.cos() * facing[..., None, :] - angle.sin() * pointing[..., None, :]
    steps = (along * lengths[..., None]).cumsum(-2)
    joints = base[..., None, :] + torch.cat([torch.zeros_like(steps[..., :1, :]), steps], dim=-2)
    return joints, torch.cat([facing[..., None, :], pads], dim=-2)


def _orthonormal(vector: Tensor, axis: Tensor) -> Tensor:
    """Remove from a vector its part along a unit axis, and normalise the rest."""
    return _unit(vector - (vector * axis).sum(-1, keepdim=True) * axis)


def _unit(vector: Tensor) -> Tensor:
    return vector / vector.square().sum(-1, keepdim=True).sqrt()


def _mirror(draws: Draws, side: Side) -> Tensor:
    """Make half of the hands left hands, or all, or none: (B, 3) factors."""
    left = draws.chance(0.5)
    if side != "both":
        left = torch.full_like(left, float(side == "left"))
    return torch.stack([1.0 - 2.0 * left, torch.ones_like(left), torch.ones_like(left)], dim=-1)


def _viewpoint(draws: Draws) -> Tensor:
    """Turn the hand about its own axis and in the image without limit, and tilt it towards the camera within 55°."""
    roll, turn = draws.angle(), draws.angle()
    tilt = torch.deg2rad(draws.uniform(-55.0, 55.0))
    return _rotation(turn, 0, 1) @ _rotation(tilt, 1, 2) @ _rotation(roll, 2, 0)


def _rotation(angle: Tensor, i: int, j: int) -> Tensor:
    """Rotate axis i towards axis j: (B, 3, 3)."""
    matrix = torch.eye(3, dtype=angle.dtype, device=angle.device).repeat(len(angle), 1, 1)
    matrix[:, i, i] = matrix[:, j, j] = angle.cos()
    matrix[:, j, i] = angle.sin()
    matrix[:, i, j] = -angle.sin()
    return matrix


def _camera(draws: Draws, size: int) -> Tensor:
    K = torch.zeros(len(focal := draws.scene.uniform(1.5, 3.0)), 3, 3, dtype=torch.float64, device="cpu")
    K[:, 0, 0] = K[:, 1, 1] = focal * size
    K[:, :2, 2] = (size - 1) / 2 + size * draws.scene.uniform(-0.05, 0.05, 2)
    K[:, 2, 2] = 1.0
    return K


def _place(draws: Draws, joints: Tensor, K: Tensor, size: int) -> Tensor:
    """Move the hand so that its joints fill 45 to 80 % of the image, all of them inside."""
    where = draws.uniform(0.0, 1.0, 2)
    focal = K[:, 0, 0]
    width = (joints.amax(1) - joints.amin(1))[:, :2].amax(-1)
    # A fist would have to come very near to fill as much as an open hand.
    fill = torch.minimum(size * draws.uniform(0.45, 0.80), (focal * width / 0.35).clamp(min=0.45 * size))
    front, middle = joints[..., 2].amin(1), joints[..., 2].mean(1)
    offset = torch.zeros_like(joints[:, 0])
    offset[:, 2] = focal * width / fill - front
    for _ in range(20):  # perspective bends the box as the hand moves; the front stays in front of the camera
        low, high = project(joints + offset[:, None], K).aminmax(dim=1)
        extent = high - low
        room = (0.88 * (size - 1) - extent).clamp(min=0.0)
        wanted = (size - 1) / 2 + (where - 0.5) * room
        offset[:, :2] += (wanted - (low + high) / 2) * ((offset[:, 2] + middle) / focal)[:, None]
        # The power damps oscillation: of 60,000 hands, none fills 0.02 % more or less than it should.
        offset[:, 2] = (offset[:, 2] + front) * (extent.amax(-1) / fill) ** 0.75 - front
    return joints + offset[:, None]
