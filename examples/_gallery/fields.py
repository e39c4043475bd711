"""Pictures of what is given for each pixel: masks, heatmaps, vectors and depth of a hand, made from its joints."""

import math

import torch
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from torch import Tensor

import equicon as eq
from _gallery.hands import Shown, Size, render, seeded
from _gallery.style import FINGERS, Sheet, joints
from equicon.hands import BONES

_PARENTS, _CHILDREN = (list(ends) for ends in zip(*BONES, strict=True))
_PAINT = torch.tensor(
    [
        [0.1, 0.1, 0.1],
        [0.9, 0.62, 0],
        [0.94, 0.89, 0.26],
        [0.34, 0.71, 0.91],
        [0, 0.72, 0.52],
        [0.88, 0.47, 0.72],
        [0.75, 0.75, 0.75],  # to ignore
    ]
)


def _pixels(size: Size) -> Tensor:
    """Give the place (h, w, 2) of each pixel."""
    y, x = torch.meshgrid(*(torch.arange(n, dtype=torch.float32) for n in size), indexing="ij")
    return torch.stack([x, y], -1)


def _to_bones(hand: Shown) -> tuple[Tensor, Tensor]:
    """Tell how far each pixel is from each bone (20, h, w), and at which share of its length it is the nearest."""
    start, end = (hand.xy[0, joints, None, None] for joints in (_PARENTS, _CHILDREN))
    along, off = end - start, _pixels(hand.size) - start
    share = ((off * along).sum(-1) / along.square().sum(-1)).clamp(0, 1)
    return (off - share[..., None] * along).norm(dim=-1), share


def mask_of(hand: Shown, thickness: float) -> Tensor:
    """Paint a mask (1, H, W) of whole numbers, one for each finger, along the bones."""
    far, bone = _to_bones(hand)[0].min(0)
    finger = (torch.tensor(_CHILDREN)[bone] - 1) // 4 + 1
    return torch.where(far < thickness, finger, 0).to(torch.uint8)[None]


def heatmaps_of(xy: Tensor, size: Size, sigma: float) -> Tensor:
    """Draw a heatmap (B, 21, h, w) with the peak 1 at each joint (B, 21, 2)."""
    off = _pixels(size) - xy[:, :, None, None]
    return (-off.square().sum(-1) / (2 * sigma**2)).exp()


def vectors_of(hand: Shown) -> Tensor:
    """Point from each pixel to the end of the bone that is nearest: (1, 2, H, W) in pixels."""
    bone = _to_bones(hand)[0].argmin(0)
    return (hand.xy[0, _CHILDREN][bone] - _pixels(hand.size)).movedim(-1, 0)[None]


def depth_of(hand: Shown, thickness: float) -> Tensor:
    """Give the depth (1, H, W) of tubes around the bones in metres, and 0 where there is none."""
    far, share = _to_bones(hand)
    start, end = (hand.xyz[0, joints, 2, None, None] for joints in (_PARENTS, _CHILDREN))
    radius = thickness * start / hand.K[0, 0, 0]
    depth = start + share * (end - start) - radius * (1 - (far / thickness).square()).clamp(min=0).sqrt()
    nearest = depth.masked_fill(far >= thickness, torch.inf).amin(0)
    return nearest.masked_fill(nearest.isinf(), 0)[None]


def painted(mask: Tensor) -> Tensor:
    """Show a mask (h, w) of 0 to 5, and 255, as colours (3, h, w)."""
    return _PAINT[mask.long().clamp(max=len(_PAINT) - 1)].permute(2, 0, 1)


def glowing(maps: Tensor, image: Tensor) -> Tensor:
    """Show the heatmaps (21, h, w) of the joints over an image (3, h, w), in the colours of the fingers."""
    peak, joint = maps.max(0)
    shades = torch.tensor([(1.0, 1.0, 1.0), *(to_rgb(shade) for shade in FINGERS for _ in range(4))])
    return image.lerp(shades[joint].permute(2, 0, 1), peak)


def in_depth(depth: Tensor, near: float, far: float) -> Tensor:
    """Show depth (h, w) as colours (3, h, w), near ones bright and unknown ones black."""
    bright = ((far - depth) / (far - near)).clamp(0, 1)
    colors = torch.from_numpy(colormaps["viridis"](bright.numpy())[..., :3]).float()
    return colors.masked_fill((depth == 0)[..., None], 0.1).permute(2, 0, 1)


def arrows(axes: Axes, vectors: Tensor, mask: Tensor, every: int) -> None:
    """Draw the longer vectors (2, h, w) of some of the pixels that a mask (h, w) of the fingers has, in its colours."""
    few = torch.zeros_like(mask, dtype=torch.bool)
    few[every // 2 :: every, every // 2 :: every] = True
    for finger, shade in enumerate(FINGERS, 1):
        y, x = (few & (mask == finger)).nonzero().T
        for start, along in zip(torch.stack([x, y], 1).tolist(), vectors[:, y, x].T.tolist(), strict=True):
            if math.hypot(*along) < every:
                continue
            end = (start[0] + along[0], start[1] + along[1])
            form = {"arrowstyle": "->,head_width=0.12,head_length=0.22", "color": shade, "linewidth": 0.8}
            axes.annotate("", xytext=start, xy=end, arrowprops={**form, "shrinkA": 0, "shrinkB": 1.8})


def draw_fields(width: int) -> Sheet:
    """Draw masks, heatmaps, vectors and depth of a hand, and of two views of it."""
    sheet = Sheet.of(5, 0, 0, 2, width=width)
    hand = render(54, side=2 * sheet.size[0])
    thick = 0.04 * hand.size[0]
    action = eq.RandomAffine(60, 0.1, (0.6, 1.2), 20).sample(2, generator=seeded(26))
    masks, vectors, depth = mask_of(hand, thick), vectors_of(hand), depth_of(hand, thick)
    maps = heatmaps_of(hand.xy, hand.size, 0.025 * hand.size[0])
    near, far = depth[depth > 0].aminmax()
    codes = ("", "`g.masks(masks,\n  fill=255)`", "`g.heatmaps(maps)`", "`g.vectors(vectors)`", "`g.depth(depth)`")
    same = eq.Affine.identity(1)
    images = [hand.shrunk(sheet.size)[0], *action(hand.times(2).image, size=sheet.size)]
    for row, (g, image) in enumerate(zip((same, action.affine[0], action.affine[1]), images, strict=True)):
        first = "source" if row == 0 else f"view {row}"
        titles = (first, *(("masks", "heatmaps", "vectors", "depth") if row == 0 else [""] * 4))
        mask = g.masks(masks, sheet.size, fill=255)[0]
        panels = (
            image,
            painted(mask),
            glowing(g.heatmaps(maps, sheet.size)[0], torch.zeros_like(image)),
            0.5 * image,
            in_depth(g.depth(depth, sheet.size)[0], float(near), float(far)),
        )
        axes = [sheet.show(row, k, panels[k], titles[k], codes[k] if row == 2 else "") for k in range(5)]
        arrows(axes[3], g.vectors(vectors, sheet.size)[0], mask, max(sheet.size[0] // 17, 1))
        joints(axes[3], g.points(hand.xy, hand.size, sheet.size)[0])
    return sheet
