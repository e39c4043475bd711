"""What a piece of ``reproduce.py`` does: render, pre-train, probe, fine-tune, measure."""

import math
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Literal

import torch
from plan import FineTune, Piece, Preset, Pretrain
from torch import Tensor, nn
from tqdm import tqdm

import equicon as eq
from equicon.hands import Hand, Pose25D, SyntheticHands, bone_length, pose_errors, pose_loss, pose_target
from equicon.hands.recipes import CLIP_NORM, REFINE_RATE, build_encoder
from equicon.probes import Features, extract_features, probe
from equicon.training import learning_rate, load_state, plain_state, seed_of, write_state

WARMUP = 0.1
LOSS_WEIGHTS = (10.0, 1.0, 0.2)
SHARES = {0.01: "1 %", 0.1: "10 %", 1.0: "100 %"}
# name: (domain, seed of the hands); "studio" and "wild" show the same hands, and all others different ones
SETS: dict[str, tuple[Literal["studio", "wild"], int]] = {
    "unlabelled": ("wild", 0),
    "labelled": ("studio", 1),
    "choosing": ("studio", 2),
    "studio": ("studio", 3),
    "wild": ("wild", 3),
}


def render(preset: Preset, folder: Path, device: str) -> None:
    """Render the hands that all pieces share, once."""
    for name, (domain, seed) in SETS.items():
        path = folder / f"{name}.pt"
        if path.exists():
            continue
        number = {"unlabelled": preset.unlabelled, "labelled": preset.labelled}.get(name, preset.tested)
        source = SyntheticHands(number, preset.size, seed, domain)
        starts = tqdm(range(0, number, 256), desc=f"render {number:,} hands ({name})", leave=False)
        parts = [source.render(range(start, min(start + 256, number)), device=device) for start in starts]
        write_state(path, [torch.cat(field).cpu() for field in zip(*parts, strict=True)])


@cache
def hands(folder: Path, name: str, device: str) -> Hand:
    """Open a rendered set; processes on a CPU share its memory."""
    fields = torch.load(folder / f"{name}.pt", mmap=True, weights_only=True)
    return Hand(*(field.to(device) for field in fields))


def build(arch: str) -> tuple[nn.Module, int]:
    """Build an encoder from random weights."""
    network, width = build_encoder("quarter_resnet18" if arch == "slim" else arch, "none")
    return network.to(memory_format=torch.channels_last), width


def run(piece: Piece, preset: Preset, out: Path, device: str, threads: int) -> dict[str, Any]:
    """Run a piece in a process of its own, and say what came out."""
    if threads:
        torch.set_num_threads(threads)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    begun = time.monotonic()
    found = pretrain(piece, preset, out, device) if isinstance(piece, Pretrain) else tune(piece, preset, out, device)
    return found | {"minutes": (time.monotonic() - begun) / 60}


def draw(number: int, batch: int, seed: int) -> Callable[[], Tensor]:
    """Make what draws batches of indices: whole permutations one after another, the same ones for every method."""
    generator = torch.Generator().manual_seed(seed_of(seed, 0))
    left = torch.empty(0, dtype=torch.long)

    def next_batch() -> Tensor:
        nonlocal left
        while len(left) < batch:
            left = torch.cat([left, torch.randperm(number, generator=generator)])
        taken, left = left[:batch], left[batch:]
        return taken

    return next_batch


def some(data: Hand, chosen: Tensor) -> Hand:
    """Take the hands at the given places."""
    return Hand(*(field[chosen.to(field.device)] for field in data))


# --- pre-training


def make_views(piece: Pretrain) -> eq.Compose:
    """Make PeCLR's views, or some of them."""
    scale, _, translation, colour = eq.presets.peclr().transforms
    geometry = {"scale": scale, "rotation": eq.RandomRotation(piece.degrees), "translation": translation}
    return eq.Compose([*(geometry[name] for name in piece.geometry), colour, eq.Normalize.imagenet()])


def without_scale(g: eq.Affine) -> eq.Affine:
    """Leave the scale out of a map that scales, then turns, then shifts."""
    scale = torch.linalg.vector_norm(g.linear[:, 0], dim=-1)[:, None, None]
    return eq.Affine.from_linear(g.linear / scale, g.translation)


def pretrain(piece: Pretrain, preset: Preset, out: Path, device: str) -> dict[str, Any]:
    """Pre-train an encoder, keep it, and probe it frozen on both domains."""
    torch.manual_seed(piece.seed)
    encoder, width = build(preset.arch)
    losses: list[Tensor] = []
    if piece.method != "none":
        head = nn.Sequential(nn.Linear(width, 512), nn.BatchNorm1d(512), nn.ReLU(), nn.Linear(512, 128, bias=False))
        learn(nn.Sequential(encoder, head).to(device), piece, preset, out, device, losses)
    encoder.to(device)
    write_state(out / "encoders" / f"{piece.key}.pt", plain_state(encoder))
    features = {name: embed(encoder, hands(out / "hands", name, device)) for name in SETS if name != "unlabelled"}
    chosen_by = probe(features["labelled"], features["choosing"]).px
    rows = []
    for domain in ("studio", "wild"):
        for fraction, share in SHARES.items():
            if round(fraction * preset.labelled) < 5:
                continue
            row = probe(features["labelled"], features[domain], fraction=fraction, seed=piece.seed)
            rows.append({"domain": domain, "share": share} | row._asdict())
    late = torch.stack(losses[-max(1, len(losses) // 10) :]).mean().item() if losses else None
    return {"chosen by": chosen_by, "loss": late, "rows": rows}


def learn(model: nn.Module, piece: Pretrain, preset: Preset, out: Path, device: str, losses: list[Tensor]) -> None:
    """Pre-train on unlabelled hands, and list the loss of each step."""
    data = hands(out / "hands", "unlabelled", device)
    known: dict[str, eq.Representation[Any]] = {"simclr": eq.Invariant(), "peclr": eq.PeCLRPoints()}
    representation = known.get(piece.method, eq.Points())
    augment, criterion = make_views(piece), eq.PeCLRLoss(piece.temperature, representation=representation)
    kept = without_scale if piece.method == "exact, scale kept" else None
    optimizer = torch.optim.AdamW(model.parameters(), preset.lr, weight_decay=1e-6, fused=True)
    project = eq.GradCache(model, 2 * preset.batch) if piece.cached else model
    size, steps = (preset.size, preset.size), max(1, preset.steps // (2 if piece.short else 1) // piece.times)
    following = draw(len(data.image), preset.batch, piece.seed)
    on_gpu = device.startswith("cuda")
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, steps, peak=preset.lr, warmup=WARMUP)
        views = []
        for k in range(piece.times):
            images = data.image[following().to(device, non_blocking=True)]
            torch.manual_seed(seed_of(piece.seed, 1, step, k))  # so all methods see the same views
            x1, g1 = augment(images, size=size, memory_format=torch.channels_last)
            x2, g2 = augment(images, size=size, memory_format=torch.channels_last)
            views.append((x1, x2, g1, g2))
        if piece.cached:
            x1s, x2s, g1s, g2s = zip(*views, strict=True)
            views = [(torch.cat(x1s), torch.cat(x2s), eq.Affine.cat(g1s), eq.Affine.cat(g2s))]
        total = torch.zeros((), device=device)
        for x1, x2, g1, g2 in views:
            with torch.autocast("cuda", torch.bfloat16, enabled=on_gpu):
                # Interleaved, so that a chunk of cached gradients sees both views of its images, as a batch does.
                z1, z2 = project(torch.stack([x1, x2], 1).flatten(0, 1)).unflatten(0, (-1, 2)).unbind(1)
            loss = criterion(z1, z2, kept(g1), kept(g2)) if kept else criterion(z1, z2, g1, g2)
            (loss / len(views)).backward()
            total += loss.detach() / len(views)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(total)
    if not math.isfinite(losses[-1].item()):
        raise RuntimeError(f"{piece.key}: the loss is {losses[-1].item()} after {steps} steps.")


def embed(encoder: nn.Module, data: Hand) -> Features:
    """Take the features of whole images."""
    views = (
        (eq.Normalize.imagenet()(part.image / 255)[0].contiguous(memory_format=torch.channels_last), part.xy, part.xyz)
        for part in parts_of(data)
    )
    return extract_features(encoder, views)


def parts_of(data: Hand) -> list[Hand]:
    """Cut hands into parts that fit the memory."""
    return [Hand(*fields) for fields in zip(*(field.split(250) for field in data), strict=True)]


# --- fine-tuning


def tune(piece: FineTune, preset: Preset, out: Path, device: str) -> dict[str, Any]:
    """Fine-tune a 2.5D model from an encoder and a share of the labels, and test it on both domains."""
    seed = piece.start.seed
    torch.manual_seed(seed)
    encoder, width = build(preset.arch)
    encoder.load_state_dict(load_state(out / "encoders" / f"{piece.start.key}.pt"))
    model = Pose25D(encoder, width).to(device)
    data = hands(out / "hands", "labelled", device)
    known = max(1, round(piece.fraction * len(data.image)))
    chosen = torch.randperm(len(data.image), generator=torch.Generator().manual_seed(seed))[:known]
    data = some(data, chosen)  # the labels that the probes of this seed know too
    following = draw(known, preset.tune_batch, seed)
    colour = eq.presets.peclr().transforms[-1]
    augment = eq.Compose(
        [eq.RandomScale((0.8, 1.25)), eq.RandomRotation(45), eq.RandomTranslate(0.1), colour, eq.Normalize.imagenet()]
    )
    refining = list(model.refine.parameters())
    groups: list[dict[str, Any]] = [
        {"params": [*model.encoder.parameters()], "times": piece.encoder_rate},
        {"params": [*model.head.parameters()], "times": 1.0},
        {"params": refining, "times": REFINE_RATE},
    ]
    optimizer = torch.optim.AdamW(groups, preset.tune_lr, weight_decay=1e-4, fused=True)
    for step in range(preset.tune_steps):
        for group in optimizer.param_groups:
            lr = learning_rate(step, preset.tune_steps, peak=preset.tune_lr, warmup=WARMUP)
            group["lr"] = lr * group["times"]
        batch = some(data, following())
        torch.manual_seed(seed_of(seed, 2, step))
        images, g = augment(batch.image, size=(preset.size, preset.size), memory_format=torch.channels_last)
        target = pose_target(batch, images, g)
        with torch.autocast("cuda", torch.bfloat16, enabled=device.startswith("cuda")):
            pose = model(target.images, target.K)
        loss = torch.stack(list(pose_loss(pose, target, LOSS_WEIGHTS).values())).sum()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), CLIP_NORM)
        optimizer.step()
        optimizer.zero_grad()
    found = []
    for domain in ("studio", "wild"):
        errors = test(model, hands(out / "hands", domain, device))
        found.append({"domain": domain, "share": SHARES[piece.fraction], "labels": known} | errors)
    return {"rows": found, "loss": loss.item()}


@torch.no_grad()
def test(model: nn.Module, data: Hand) -> dict[str, float]:
    """Measure a model on whole images."""
    model.eval()
    joints = []
    for part in parts_of(data):
        images = eq.Normalize.imagenet()(part.image / 255)[0].contiguous(memory_format=torch.channels_last)
        joints.append(model(images, part.K).joints(bone_length(part.xyz)))
    return pose_errors(torch.cat(joints), data.xyz, data.K)._asdict()
