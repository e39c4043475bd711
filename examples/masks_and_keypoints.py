"""Move masks, keypoints, boxes and camera matrices along with the images.

python examples/masks_and_keypoints.py --out runs/labels.png        (seconds; needs the core of equicon alone)

A transform returns its map of each image as an ``Affine``. The same ``Affine`` maps everything else that belongs to the
image.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch
from kornia.io import write_image
from torch import Tensor

import equicon as eq
from equicon.hands import SyntheticHands, project


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    out = "picture to write (default: runs/labels.png)"
    parser.add_argument("--out", type=Path, default=Path("runs/labels.png"), metavar="FILE", help=out)
    return parser.parse_args(argv)


def dots(xy: Tensor, size: tuple[int, int], radius: float = 2.0) -> Tensor:
    """Draw points (B, N, 2) as discs, which gives masks (B, 1, h, w)."""
    y, x = torch.meshgrid(*(torch.arange(n, dtype=xy.dtype) for n in size), indexing="ij")
    distance: Tensor = torch.linalg.vector_norm(torch.stack([x, y], -1) - xy[:, :, None, None], dim=-1)
    return (distance < radius).any(1, keepdim=True)


def main(argv: Sequence[str] | None = None) -> None:
    args = parse_args(argv)
    source, view = (128, 128), (96, 96)
    hands = SyntheticHands(5, size=128).render(range(5))
    masks = dots(hands.xy, source, radius=6.0).to(torch.uint8)  # a stand-in for your masks
    boxes = torch.cat([hands.xy.amin(1), hands.xy.amax(1)], -1)

    frame = eq.Affine.from_boxes(boxes, source, margin=1.4)  # the crop is part of the same warp
    action = eq.presets.peclr().sample(5, generator=torch.Generator().manual_seed(0))
    views = action(hands.image, size=view, frame=frame)

    g = action.affine @ frame  # from the source to the view
    moved_masks = g.warp(masks, view, mode="nearest")  # labels are not blended
    moved_xy = g.points(hands.xy, source, view)
    moved_boxes = g.boxes(boxes, source, view)
    moved_K = g.intrinsics(hands.K, source, view)

    # The moved camera projects the joints in space to the moved joints.
    torch.testing.assert_close(project(hands.xyz, moved_K), moved_xy, atol=1e-2, rtol=0)
    # The moved box contains the moved joints.
    low, high = moved_boxes[:, None, :2], moved_boxes[:, None, 2:]
    assert bool(((moved_xy >= low - 1e-2) & (moved_xy <= high + 1e-2)).all())
    # A joint that is visible in the view lies on the moved mask.
    columns, rows = moved_xy.round().long().unbind(-1)
    seen = ((moved_xy >= 0) & (moved_xy <= torch.tensor([view[1] - 1, view[0] - 1]))).all(-1)
    on_mask = torch.stack([moved_masks[i, 0, rows[i][seen[i]], columns[i][seen[i]]].float().mean() for i in range(5)])
    print(f"{on_mask.mean():.0%} of the visible joints lie on the moved masks")

    marked = torch.where(dots(moved_xy, view), torch.tensor([1.0, 0.2, 0.2])[:, None, None], views)
    shown = torch.cat([views, marked, moved_masks.expand(-1, 3, -1, -1).float()], 2)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    write_image(args.out, (torch.cat(list(shown), 2).clamp(0, 1) * 255).round().to(torch.uint8))
    print(f"See {args.out}: the views, their joints and their masks.")


if __name__ == "__main__":
    main()
