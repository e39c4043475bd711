"""Move masks, keypoints, boxes and camera matrices along with the images.

python examples/masks_and_keypoints.py --out runs/labels.png        (seconds; needs matplotlib)

A transform returns its map of each image as an ``Affine``. The same ``Affine`` maps everything else that belongs to the
image.
"""

import argparse
import io
from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

import equicon as eq
from equicon import show
from equicon.hands import BONES, SyntheticHands, project


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    out = "picture to write (default: runs/labels.png)"
    parser.add_argument("--out", type=Path, default=Path("runs/labels.png"), metavar="FILE", help=out)
    parser.add_argument("--seed", type=int, default=0, help="seed of the views")
    return parser.parse_args(argv)


def fingers(xy: Tensor, size: tuple[int, int], radius: float) -> Tensor:
    """Paint the fingers of hands (B, 21, 2) as masks (B, H, W): 1 for the thumb, to 5 for the little finger."""
    y, x = torch.meshgrid(*(torch.arange(n, dtype=xy.dtype) for n in size), indexing="ij")
    pixels, masks = torch.stack([x, y], -1), torch.zeros(len(xy), *size, dtype=torch.uint8)
    for parent, child in BONES:
        start, along = xy[:, None, None, parent], (xy[:, child] - xy[:, parent])[:, None, None]
        share = (((pixels - start) * along).sum(-1, keepdim=True) / along.square().sum(-1, keepdim=True)).clamp(0, 1)
        masks[torch.linalg.vector_norm(pixels - start - share * along, dim=-1) < radius] = (child - 1) // 4 + 1
    return masks


def main(argv: Sequence[str] | None = None) -> None:
    args = parse_args(argv)
    source, view = (192, 192), (128, 128)
    hands = SyntheticHands(60, 128, 1, "studio", context=1.5, side="right").render((54, 29))
    masks = fingers(hands.xy, source, radius=5.0)  # a stand-in for your masks
    boxes = torch.cat([hands.xy.amin(1), hands.xy.amax(1)], -1)
    augment = eq.Compose([eq.presets.peclr(), eq.RandomHorizontalFlip()])

    frame = eq.Affine.from_boxes(boxes, source, margin=1.4)  # the crop is part of the same warp
    action = augment.sample(2, generator=torch.Generator().manual_seed(args.seed))

    g = action.affine @ frame  # from the source to the view
    moved_masks = g.masks(masks, view)  # labels are not blended
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
    on_mask = torch.cat([moved_masks[i, rows[i][seen[i]], columns[i][seen[i]]] > 0 for i in range(2)])
    print(f"{on_mask.float().mean():.0%} of the visible joints lie on the moved masks")

    # The same generator draws the same action, and then two more.
    figure = show.views(
        hands.image,
        augment,
        points=hands.xy,
        boxes=boxes[:, None],
        masks=masks,
        skeleton=BONES,
        size=view,
        frame=frame,
        generator=torch.Generator().manual_seed(args.seed),
    )
    args.out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(page := io.BytesIO())
    few = Image.open(page).convert("RGB").quantize(224, Image.Quantize.MAXCOVERAGE, kmeans=1, dither=Image.Dither.NONE)
    few.save(args.out, optimize=True)  # a third of the bytes
    print(f"See {args.out}: the pictures, their views, and the first view brought back, with their labels.")


if __name__ == "__main__":
    main()
