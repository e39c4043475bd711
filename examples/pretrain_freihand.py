"""Teach a ResNet about hands without labels, and measure what it has learned.

On hands that are rendered on the spot (about four minutes on two CPU cores, faster on a GPU):

    python examples/pretrain_freihand.py

On FreiHAND, unpacked at data/freihand, with the exact action in place of the paper's:

    python examples/pretrain_freihand.py --data data/freihand --arch resnet50 --size 128 --method exact --epochs 100

Each image is seen twice through random transforms. The loss undoes each transform on its embedding before it asks
which two embeddings show the same image (PeCLR: Spurr et al., ICCV 2021, arXiv 2106.05953). Before and after, a linear
probe (ridge regression on the frozen features) finds the joints of hands that were never trained on. Writes to --out:

    encoder.pt   the encoder's weights, as torchvision names them, without the classifier (fc)
    views.png    some images, their two views, and the views brought back to the canonical frame, with joints
    result.json  the probe's errors, the arguments and the versions
"""

import argparse
import json
import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import torch
import torchvision
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

import equicon as eq
from equicon.hands import BONES, FreiHAND, Hand, SyntheticHands

METHODS: dict[str, eq.Representation] = {"peclr": eq.PeCLRPoints(), "exact": eq.Points(), "simclr": eq.Invariant()}
Hands: TypeAlias = "FreiHAND | Rendered"
NORMALIZE = eq.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
PROBE_MARGIN = 1.2


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    families = ["resnet*", "resnext*", "wide_resnet*"]
    archs = torchvision.models.list_models(module=torchvision.models, include=families)
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    add = parser.add_argument
    add("--data", default="synthetic", help="'synthetic', or the folder of FreiHAND")
    add("--arch", default="resnet18", choices=archs, metavar="NAME", help=f"a torchvision ResNet: {', '.join(archs)}")
    add(
        "--method",
        default="peclr",
        choices=METHODS,
        help="how a transform acts on the embedding: as published, exactly, not",
    )
    add("--epochs", type=positive(int), default=5, help="passes over the unlabelled hands")
    add("--batch-size", type=at_least(2), default=32, help="hands in a batch; each is seen twice")
    add("--size", type=positive(int), default=64, help="side of the views [pixels]")
    add("--hands", type=positive(int), default=4096, help="unlabelled hands to render, with --data synthetic")
    add("--labelled", type=at_least(10), default=2000, help="labelled hands of the probe at most; half as many test it")
    add("--lr", type=positive(float), default=1e-3, help="learning rate of AdamW at its highest")
    add("--temperature", type=positive(float), default=0.5, help="of NT-Xent")
    add("--workers", type=int, default=0, help="processes that read images")
    add("--seed", type=int, default=0, help="of everything random")
    add("--device", default="cuda" if torch.cuda.is_available() else "cpu", help="where to train")
    add("--out", type=Path, default=Path("runs/pretrain"), help="folder for the results")
    return parser.parse_args(argv)


def positive(kind: Callable[[str], float]) -> Callable[[str], float]:
    def parse(text: str) -> float:
        value = kind(text)
        if not 0 < value < math.inf:
            raise argparse.ArgumentTypeError(f"expected a number above 0, got {text}")
        return value

    parse.__name__ = "positive number"
    return parse


def at_least(low: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        value = int(text)
        if value < low:
            raise argparse.ArgumentTypeError(f"expected at least {low}, got {text}")
        return value

    parse.__name__ = "whole number"
    return parse


# --- data: hands to train on, and others for the probe


def load_data(args: argparse.Namespace) -> tuple[Hands, Hands, Hands]:
    """Give the unlabelled hands, and the labelled ones that fit and that test the probe."""
    if args.data != "synthetic":
        training, probing = FreiHAND(args.data).holdout(0.1, seed=args.seed)
        fitting, testing = probing.select(versions=[0]).holdout(1 / 3, seed=args.seed)
        return training, fitting, testing
    counts = (args.hands, args.labelled, math.ceil(args.labelled / 2))
    source = SyntheticHands(sum(counts), size=args.size, seed=args.seed)
    hands: list[Hand] = []
    with tqdm(total=len(source), desc="render hands", unit="hand") as bar:
        for start in range(0, len(source), 64):
            hands += source.__getitems__(range(start, min(start + 64, len(source))))
            bar.update(len(hands) - bar.n)
    first, second = counts[0], counts[0] + counts[1]
    return Rendered(hands[:first]), Rendered(hands[first:second]), Rendered(hands[second:])


class Rendered(Dataset[Hand]):
    """Hands in memory."""

    def __init__(self, hands: list[Hand]) -> None:
        self.hands = hands

    def __len__(self) -> int:
        return len(self.hands)

    def __getitem__(self, index: int) -> Hand:
        return self.hands[index]


def crop(hand: Hand, args: argparse.Namespace, margin: float = 1.0) -> eq.Affine:
    """Frame the square around the hand, as the paper does, in place of a detector; rendered hands fill their images."""
    if args.data == "synthetic":
        return eq.Affine.identity(len(hand.image))
    return eq.Affine.from_points(hand.xy, (hand.image.shape[-2], hand.image.shape[-1]), margin)


def batches(data: Hands, args: argparse.Namespace, *, train: bool) -> DataLoader[Hand]:
    return DataLoader(
        data,
        args.batch_size,
        shuffle=train,
        drop_last=train,
        num_workers=args.workers,
        generator=torch.Generator().manual_seed(args.seed),
        pin_memory=args.device.startswith("cuda"),
        persistent_workers=args.workers > 0,
    )


# --- the linear probe


@torch.no_grad()
def features(encoder: nn.Module, data: Hands, args: argparse.Namespace, limit: int) -> tuple[Tensor, Tensor]:
    """Embed framed hands: features (N, D), and joints (N, 42) in pixels of the view."""
    encoder.eval()
    found: list[Tensor] = []
    wanted: list[Tensor] = []
    for hand in batches(data, args, train=False):
        frame = crop(hand, args, PROBE_MARGIN)
        images = frame.to(args.device).warp(hand.image.to(args.device, non_blocking=True), (args.size, args.size))
        plain = NORMALIZE(images)[0]
        with torch.autocast(plain.device.type, torch.bfloat16, enabled=has_bfloat16(plain.device)):
            found.append(encoder(plain.contiguous(memory_format=torch.channels_last)).double().cpu())
        source = (hand.image.shape[-2], hand.image.shape[-1])
        wanted.append(frame.points(hand.xy.double(), source, (args.size, args.size)).flatten(1))
        if sum(map(len, found)) >= limit:
            break
    return torch.cat(found)[:limit], torch.cat(wanted)[:limit]


def probe(encoder: nn.Module, fitting: Hands, testing: Hands, args: argparse.Namespace) -> tuple[float, float]:
    """Fit joints linearly to frozen features: the mean error [pixels] on other hands, and that of the mean hand."""
    x, y = features(encoder, fitting, args, args.labelled)
    x_test, y_test = features(encoder, testing, args, math.ceil(args.labelled / 2))
    mean, std, center = x.mean(0), x.std(0).clamp(min=1e-9), y.mean(0)
    x, x_test = (x - mean) / std, (x_test - mean) / std
    # The penalty is chosen on a fifth of the labelled hands, and the rest is never looked at.
    held = max(1, len(x) // 5)
    penalties = [10.0**k for k in range(-1, 6)]
    errors = [joint_error(x[:held] @ ridge(x[held:], y[held:] - center, p) + center, y[:held]) for p in penalties]
    weights = ridge(x, y - center, penalties[errors.index(min(errors))])
    return joint_error(x_test @ weights + center, y_test), joint_error(center.expand_as(y_test), y_test)


def ridge(x: Tensor, y: Tensor, penalty: float) -> Tensor:
    weights: Tensor = torch.linalg.solve(x.T @ x + penalty * torch.eye(x.shape[1], dtype=x.dtype), x.T @ y)
    return weights


def joint_error(predicted: Tensor, joints: Tensor) -> float:
    return float((predicted - joints).unflatten(1, (-1, 2)).norm(dim=-1).mean())


# --- training


def has_bfloat16(device: torch.device) -> bool:
    """Whether bfloat16 is faster than float32 there: on a CPU only where it has the instructions."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    known = torch.cpu.get_capabilities()
    return bool(known.get("avx512_bf16") or known.get("amx_bf16"))


def warmup_cosine(steps: int) -> Callable[[int], float]:
    warm = max(1, steps // 10)
    return lambda step: min(1.0, (step + 1) / warm) * 0.5 * (1 + math.cos(math.pi * min(1.0, step / steps)))


def endless(loader: DataLoader[Hand]) -> Iterator[Hand]:
    while True:
        yield from loader


def pretrain(encoder: nn.Module, width: int, data: Hands, args: argparse.Namespace) -> None:
    # The paper's head: to 64 points (x, y), without a bias, which would be a point that no transform moves.
    head = nn.Sequential(nn.Linear(width, 512), nn.BatchNorm1d(512), nn.ReLU(), nn.Linear(512, 128, bias=False))
    model = nn.Sequential(encoder, head).to(args.device).train()
    augment = eq.Compose([eq.presets.peclr(), NORMALIZE])
    criterion = eq.PeCLRLoss(args.temperature, representation=METHODS[args.method])

    loader = batches(data, args, train=True)
    steps = args.epochs * len(loader)
    optimizer = torch.optim.AdamW(model.parameters(), args.lr, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, warmup_cosine(steps))
    device, size = torch.device(args.device), (args.size, args.size)
    amp = has_bfloat16(device)
    shown = None
    with tqdm(total=steps * args.batch_size, desc=f"pre-train ({args.method})", unit="img") as bar:
        for step, hand in zip(range(steps), endless(loader), strict=False):
            images, frame = hand.image.to(device, non_blocking=True), crop(hand, args).to(device)
            x1, g1 = augment(images, size=size, frame=frame)
            x2, g2 = augment(images, size=size, frame=frame)
            views = torch.cat([x1, x2]).contiguous(memory_format=torch.channels_last)
            with torch.autocast(device.type, torch.bfloat16, enabled=amp):
                z1, z2 = model(views).chunk(2)
            loss = criterion(z1, z2, g1, g2)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            schedule.step()
            # Reading the loss waits for the device, so it is read every tenth step.
            if step % 10 == 0 or step == steps - 1:
                shown = loss.item()
                if not math.isfinite(shown):
                    sys.exit(
                        f"The loss is {shown} at step {step}: lower --lr (now {args.lr:g}) or raise --temperature."
                    )
            bar.update(args.batch_size)
            bar.set_postfix(loss=f"{shown:.3f}", epoch=f"{step // len(loader) + 1}/{args.epochs}", refresh=False)


# --- the picture


def draw_views(data: Hands, args: argparse.Namespace, path: Path, count: int = 4) -> None:
    """Draw images, their views, and the views brought back, with joints."""
    hand = next(iter(DataLoader(data, min(count, len(data)))))
    source, size = (hand.image.shape[-2], hand.image.shape[-1]), (args.size, args.size)
    frame = crop(hand, args)
    generator = torch.Generator().manual_seed(args.seed)
    columns = [("image", hand.image / 255, hand.xy)]
    back = []
    for name in ("view 1", "view 2"):
        x, g = eq.presets.peclr()(hand.image, size=size, frame=frame, generator=generator)
        joints = (g @ frame).points(hand.xy, source, size)
        columns.append((name, x, joints))
        back.append((f"{name}, brought back", g.inverse().warp(x), g.inverse().points(joints, size)))
    columns += back
    figure, axes = plt.subplots(
        len(hand.image), len(columns), figsize=(2.2 * len(columns), 2.2 * len(hand.image) + 0.3)
    )
    for row, shown in enumerate(axes.reshape(-1, len(columns))):
        for axis, (name, images, joints) in zip(shown, columns, strict=True):
            axis.imshow(images[row].permute(1, 2, 0).numpy())
            for parent, child in BONES:
                bone = joints[row, [parent, child]]
                axis.plot(bone[:, 0], bone[:, 1], color=plt.get_cmap("hsv")((child - 1) // 4 / 5), linewidth=1.5)
            axis.set(xlim=(-0.5, images.shape[-1] - 0.5), ylim=(images.shape[-2] - 0.5, -0.5))
            axis.axis("off")
            if row == 0:
                axis.set_title(name)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)


def main(argv: Sequence[str] | None = None) -> None:
    args = parse_args(argv)
    start = time.monotonic()
    torch.manual_seed(args.seed)
    args.out.mkdir(parents=True, exist_ok=True)
    training, fitting, testing = load_data(args)
    if len(training) < args.batch_size:
        sys.exit(f"--batch-size: expected at most {len(training)}, the hands to train on, got {args.batch_size}.")
    draw_views(training, args, args.out / "views.png")

    encoder = torchvision.models.get_model(args.arch, weights=None)
    width = encoder.fc.in_features
    encoder.fc = nn.Identity()
    encoder = encoder.to(args.device, memory_format=torch.channels_last)
    before, mean_hand = probe(encoder, fitting, testing, args)
    pretrain(encoder, width, training, args)
    after, _ = probe(encoder, fitting, testing, args)

    result = {
        "probe_error_px": {"mean_hand": mean_hand, "before": before, "after": after},
        "minutes": (time.monotonic() - start) / 60,
        "arguments": {name: str(value) for name, value in vars(args).items()},
        "versions": {"equicon": eq.__version__, "torch": torch.__version__, "torchvision": torchvision.__version__},
    }
    # On the CPU and without the channels-last strides, so that it loads anywhere.
    state = {name: value.cpu().contiguous() for name, value in encoder.state_dict().items()}
    write(args.out / "encoder.pt", lambda path: torch.save(state, path))
    write(args.out / "result.json", lambda path: path.write_text(json.dumps(result, indent=2) + "\n"))
    print(
        f"\nHow far a linear probe on the frozen features misses the joints of hands it never saw, "
        f"in pixels of {args.size}:\n"
        f"    always the mean hand            {mean_hand:6.2f}\n"
        f"    before (random weights)         {before:6.2f}\n"
        f"    after  ({args.method} pre-training{' ' * (6 - len(args.method))})     {after:6.2f}   "
        f"{(1 - after / before):.0%} lower than before\n"
        f"{result['minutes']:.1f} minutes. See {args.out / 'views.png'}; the encoder is in {args.out / 'encoder.pt'}."
    )


def write(path: Path, save: Callable[[Path], object]) -> None:
    """Write under another name first, so that no file is ever half-written."""
    part = path.with_name(path.name + ".part")
    save(part)
    part.replace(path)


if __name__ == "__main__":
    main()
