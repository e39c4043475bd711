"""Measure how exact the core is, against golden data, blobs, Kornia and OpenCV, in one table.

python benchmarks/accuracy.py
"""

from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from kornia.geometry.transform import warp_affine

import equicon as eq

DATA = Path(__file__).parents[1] / "tests" / "data" / "peclr_official_loss.npz"


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def golden() -> None:
    """Compare with the recorded loss and gradients of the official program."""
    data = {name: torch.from_numpy(value) for name, value in np.load(DATA).items()}
    worst = {"canonical": 0.0, "loss": 0.0, "gradient / max": 0.0}
    for undone in ("both", "rotate", "translate", "none"):
        g = []
        for view in (1, 2):
            radians = torch.deg2rad(data[f"angle{view}_deg"]) * (undone in ("both", "rotate"))
            turn = torch.stack([radians.cos(), radians.sin(), -radians.sin(), radians.cos()], -1).view(-1, 2, 2)
            jitter = torch.stack([data[f"jitter_{axis}{view}_px"] for axis in "xy"], -1)
            g.append(eq.Affine.from_linear(turn, 2 * jitter / data["image_size"] * (undone in ("both", "translate"))))
        z = [data[f"projection{view}"].clone().requires_grad_() for view in (1, 2)]
        loss = eq.PeCLRLoss(0.5)(z[0], z[1], g[0], g[1])
        loss.backward()
        worst["loss"] = max(worst["loss"], abs(loss.item() - data[f"{undone}_loss"].item()))
        for view in (1, 2):
            canonical = eq.PeCLRPoints().canonicalize(g[view - 1], z[view - 1].detach())
            difference = (canonical - data[f"{undone}_canonical{view}"]).abs().max().item()
            worst["canonical"] = max(worst["canonical"], difference)
            expected, actual = data[f"{undone}_grad{view}"], z[view - 1].grad
            assert actual is not None
            ratio = ((actual - expected).abs().max() / expected.abs().max()).item()
            worst["gradient / max"] = max(worst["gradient / max"], ratio)
    for name, value in worst.items():
        print(f"official PeCLR, {name:28s} {value:.1e}")


def blob_error(size: tuple[int, int], out: tuple[int, int], framed: bool, batch: int = 256) -> float:
    """Warp rendered blobs, and measure how far their centres of mass are from where the matrix maps them, in pixels."""
    sigma = min(out) / 16
    g = eq.RandomAffine(180, 0.1, (0.7, 1.4), 15).sample(batch, generator=generator()).affine.to(dtype=torch.float64)
    frame = eq.Affine.identity(batch, dtype=torch.float64)
    if framed:
        corners = torch.rand(batch, 2, generator=generator(1), dtype=torch.float64) * min(size) / 3
        frame = eq.Affine.from_boxes(torch.cat([corners, corners + min(size) / 2], -1), size)
    total = g @ frame
    target = (torch.rand(batch, 2, generator=generator(2), dtype=torch.float64) / 2 + 0.25) * torch.tensor(
        [out[1], out[0]]
    )
    y, x = torch.meshgrid(*(torch.arange(n, dtype=torch.float64) for n in size), indexing="ij")
    grid = torch.stack([x, y], -1).flatten(0, 1).expand(batch, -1, 2)
    distance = (total.points(grid, size, out) - target[:, None]).square().sum(-1)
    blobs = torch.exp(-distance / (2 * sigma**2)).reshape(batch, 1, *size)
    view = eq.Action(g)(blobs, size=out, frame=frame)[:, 0]
    y, x = torch.meshgrid(*(torch.arange(n, dtype=torch.float64) for n in out), indexing="ij")
    mass = view.sum((1, 2))
    found = torch.stack([(view * x).sum((1, 2)), (view * y).sum((1, 2))], -1) / mass[:, None]
    inside = total.inverse().points(target, out, size)
    reach = 5 * sigma * total.inverse().pixels(out, size)[:, :2, :2].norm(dim=(1, 2))[:, None]
    whole = ((inside > reach) & (inside < torch.tensor([size[1], size[0]]) - reach)).all(-1)
    whole &= ((target > 4 * sigma) & (target < torch.tensor([out[1], out[0]]) - 4 * sigma)).all(-1)
    return float((found - target)[whole].norm(dim=-1).max())


def peers() -> None:
    """Compare one warp with the warps of Kornia and OpenCV, by the same pixel matrices."""
    images = F.interpolate(torch.rand(64, 3, 6, 6, generator=generator()).double(), (96, 128), mode="bicubic").clamp(
        0, 1
    )
    g = eq.RandomAffine(180, 0.2, (0.6, 1.6), 20).sample(64, generator=generator()).affine.to(dtype=torch.float64)
    pixels, size = g.pixels((96, 128), (64, 80)), (64, 80)
    ours = g.warp(images, size, antialias=False, padding_mode="border")
    theirs = warp_affine(images, pixels[:, :2], size, padding_mode="border", align_corners=True)
    print(f"{'Kornia, same matrix':43s} {(ours - theirs).abs().max().item():.1e}")
    worst = 0.0
    for image, matrix, view in zip(images.float(), pixels, ours, strict=True):
        other = cv2.warpAffine(
            image.permute(1, 2, 0).numpy(), matrix[:2].numpy(), (80, 64), borderMode=cv2.BORDER_REPLICATE
        )
        worst = max(worst, (view - torch.from_numpy(other).permute(2, 0, 1)).abs().max().item())
    print(f"{'OpenCV, same matrix':43s} {worst:.1e}")


def main() -> None:
    golden()
    for size, out, framed in (
        ((96, 96), (96, 96), False),
        ((96, 128), (64, 80), False),
        ((64, 64), (128, 128), False),
        ((160, 200), (64, 64), True),
    ):
        name = f"blob centre [px], {size[0]}x{size[1]} to {out[0]}x{out[1]}{', framed' if framed else ''}"
        print(f"{name:43s} {blob_error(size, out, framed):.1e}")
    peers()


if __name__ == "__main__":
    main()
