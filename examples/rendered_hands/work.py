"""The work of a piece of ``reproduce.py``: pre-train and probe here, or fine-tune."""

import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from common import DOMAINS, SHARES, build, encoder_file, fast, hands, parts_of, source
from plan import CHANGES, Change, Piece, Pretrain
from sizes import Preset
from torch import Tensor, nn
from tuning import tune

import equicon as eq
from equicon.hands import Hand
from equicon.metrics import epe, procrustes_align
from equicon.probes import Features, extract_features, probe
from equicon.recipes import METHODS, SiameseModel
from equicon.training import Batches, learning_rate, plain_state, seed_of, write_state

WARMUP = 0.05


def run(piece: Piece, preset: Preset, out: Path, device: str, threads: int) -> dict[str, Any]:
    """Run a piece in its own process, and give its results."""
    if threads:
        torch.set_num_threads(threads)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    begun = time.monotonic()
    found = pretrain(piece, preset, out, device) if isinstance(piece, Pretrain) else tune(piece, preset, out, device)
    return found | {"minutes": (time.monotonic() - begun) / 60}


def make_views(change: Change) -> eq.Compose:
    """Make PeCLR's views, with all or some of their transforms."""
    scale, _, translation, colour = eq.presets.peclr().transforms
    geometry = {"scale": scale, "rotation": eq.RandomRotation(change.degrees), "translation": translation}
    return eq.Compose([*(geometry[name] for name in change.geometry), colour, eq.Normalize.imagenet()])


def pretrain(piece: Pretrain, preset: Preset, out: Path, device: str) -> dict[str, Any]:
    """Pre-train an encoder, keep it, and probe its frozen features on both domains."""
    torch.manual_seed(piece.seed)
    model = build(preset)[0].to(device)
    losses: list[Tensor] = []
    if piece.method != "none":
        learn(model, piece, preset, out, device, losses)
    write_state(encoder_file(out, piece), plain_state(model))
    wanted = ("labelled", "choosing", *DOMAINS)
    seen = {name: embed(model, hands(out / "hands", name, device), preset) for name in wanted}
    chosen_by = probe(seen["labelled"]["pooled"], seen["choosing"]["pooled"]).mm
    rows = []
    for domain in DOMAINS:
        for fraction, share in SHARES.items():
            if round(fraction * preset.labelled) < 5:
                continue
            for name, train in seen["labelled"].items():
                row = probe(train, seen[domain][name], fraction=fraction, seed=piece.seed)
                rows.append({"domain": domain, "share": share, "features": name} | row._asdict())
            if piece.method == "none":
                train, test = seen["labelled"]["pooled"], seen[domain]["pooled"]
                row = probe(train, test, kind="mean", fraction=fraction, seed=piece.seed)
                rows.append({"domain": domain, "share": share, "features": "mean pose"} | row._asdict())
    if piece.method == "none":
        rows += [typical(seen["labelled"]["pooled"], seen[domain]["pooled"], domain) for domain in DOMAINS]
    late = torch.stack(losses[-max(1, len(losses) // 10) :]).mean().item() if losses else None
    return {"chosen by": chosen_by, "loss": late, "rows": rows}


def typical(train: Features, test: Features, domain: str) -> dict[str, Any]:
    """Measure a guess that is always the same hand.

    This hand is chosen from a hundred. It is the one that the others resemble most, after alignment.
    """
    few = train.xyz[:100].double()  # type: ignore[index]  # rendered hands have it
    pairs = [epe(procrustes_align(one.expand_as(few), few), few).item() for one in few]
    best = min(range(len(few)), key=pairs.__getitem__)
    truth = test.xyz.double()  # type: ignore[union-attr]
    guess = few[best].expand_as(truth)
    return {
        "domain": domain,
        "share": SHARES[1.0],
        "features": "typical hand",
        "px": epe(train.xy[best].expand_as(test.xy), test.xy).item(),
        "mm": 1000 * epe(guess - guess[:, :1], truth - truth[:, :1]).item(),
        "pa_mm": 1000 * epe(procrustes_align(guess, truth), truth).item(),
    }


def batches(piece: Pretrain, preset: Preset, steps: int, device: str) -> Iterator[Tensor]:
    """Draw batches of indices, from a few scenes each. They are the same for every method."""
    change = CHANGES[piece.change]
    known = source(change.hands, preset)
    grouped: dict[str, Any] = {"groups": known.groups, "groups_per_batch": preset.groups} if known.scenes else {}
    drawn = Batches(len(known), preset.batch, piece.seed, 0, steps * change.times, **grouped)
    return (torch.tensor(indices, device="cpu").to(device, non_blocking=True) for indices in drawn)


def learn(model: SiameseModel, piece: Pretrain, preset: Preset, out: Path, device: str, losses: list[Tensor]) -> None:
    """Pre-train on unlabelled hands, and list the loss of each step."""
    change = CHANGES[piece.change]
    data = hands(out / "hands", change.hands, device)
    square = source(change.hands, preset).frame(preset.batch, device=device)
    augment = make_views(change)
    criterion = eq.PeCLRLoss(piece.temperature, representation=METHODS[piece.method])
    optimizer = torch.optim.AdamW(model.parameters(), piece.rate, weight_decay=1e-6, fused=True)
    project = eq.GradCache(model, preset.batch) if change.cached else model
    size, steps = (preset.size, preset.size), preset.short if piece.short else preset.steps
    steps = max(1, steps * change.longer // change.times)
    following = batches(piece, preset, steps, device)

    def view(images: Tensor, frame: eq.Affine) -> tuple[Tensor, eq.Affine]:
        action = augment.sample(len(images), device=device)
        if not change.border:
            action = action.inside((images.shape[-2], images.shape[-1]), size, frame)
        made = action(images, size=size, frame=frame, memory_format=torch.channels_last)
        return made, action.affine

    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, steps, peak=piece.rate, warmup=WARMUP)
        parts = []
        for k in range(change.times):
            images, frame = data.image[next(following)], square
            if change.border:  # keep the hand's square alone, as if nothing around it were known
                images = (255 * square.warp(images, size)).round().to(torch.uint8)
                frame = eq.Affine.from_linear(torch.eye(2, device=device).expand(len(images), 2, 2))
            torch.manual_seed(seed_of(piece.seed, 1, step, k))  # so all methods see the same views
            parts.append((*view(images, frame), *view(images, frame)))
        if change.cached:
            x1s, g1s, x2s, g2s = zip(*parts, strict=True)
            parts = [(torch.cat(x1s), eq.Affine.cat(g1s), torch.cat(x2s), eq.Affine.cat(g2s))]
        total = torch.zeros((), device=device)
        for x1, g1, x2, g2 in parts:
            with fast(device):
                z1, z2 = project(x1, x2)
            loss = criterion(z1, z2, g1, g2)
            (loss / len(parts)).backward()
            total += loss.detach() / len(parts)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(total)
    if not math.isfinite(losses[-1].item()):
        raise RuntimeError(f"{piece.key}: the loss is {losses[-1].item()} after {steps} steps.")


class Reader(nn.Module):
    """Gives all features that a probe may use, side by side: pooled, a 4 × 4 map, and the points of the head."""

    def __init__(self, model: SiameseModel, size: int) -> None:
        super().__init__()
        self.model = model
        self.maps: list[Tensor] = []
        layer = model.encoder.get_submodule(f"layer{round(math.log2(size)) - 3}")  # the layer with 4 × 4 features
        layer.register_forward_hook(lambda _, __, out: self.maps.append(out))

    def forward(self, images: Tensor) -> Tensor:
        pooled = self.model.encoder(images)
        self.widths = [pooled.shape[1], self.maps[-1][0].numel()]
        return torch.cat([pooled, self.maps.pop().flatten(1), self.model.head(pooled)], 1)


def embed(model: SiameseModel, data: Hand, preset: Preset) -> dict[str, Features]:
    """Compute the features of whole images, by their names."""
    reader = Reader(model, preset.size)
    views = (
        (eq.Normalize.imagenet()(part.image / 255)[0].contiguous(memory_format=torch.channels_last), part.xy, part.xyz)
        for part in parts_of(data)
    )
    with fast(str(data.image.device)):
        found = extract_features(reader, views)
    pooled, mapped = reader.widths
    parts = found.z.split([pooled, mapped, found.z.shape[1] - pooled - mapped], 1)
    return {name: found._replace(z=z) for name, z in zip(("pooled", "4 × 4 map", "points"), parts, strict=True)}
