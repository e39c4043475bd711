"""Fine-tuning, from an encoder or from scratch."""

import copy
import math
from pathlib import Path
from typing import Any

import torch
from common import DOMAINS, SHARES, build, encoder_file, fast, hands, parts_of, some
from plan import FineTune
from sizes import Preset
from torch import nn

import equicon as eq
from equicon.hands import Hand, Pose25D, PoseErrors, bone_length, pose_errors, pose_loss, pose_target
from equicon.recipes import CLIP_NORM, REFINE_RATE
from equicon.training import Batches, learning_rate, load_state, plain_state, seed_of, write_state

LOSS_WEIGHTS = (10.0, 1.0, 0.2)
DROP, PATIENCE = 0.3, 3
"""Without a cosine, fine-tuning multiplies its rates by ``DROP`` after ``PATIENCE`` validations without a gain."""
LATEST = (0.7, 0.85)
"""The shares of all steps after which it lowers its rates at the latest, for the first and the second time."""


def tune(piece: FineTune, preset: Preset, out: Path, device: str) -> dict[str, Any]:
    """Fine-tune a 2.5D model from an encoder and a share of the labels, and test it on both domains.

    The model with the least error on hands kept for this is tested. The rates fall along a cosine. Without one, they
    are lowered twice, each time going on from the best model so far. Then fine-tuning ends when, at the lowest rate,
    the error has not fallen for a while.
    """
    seed = piece.start.seed
    begun, width = build(preset)
    begun.load_state_dict(load_state(encoder_file(out, piece.start)))
    torch.manual_seed(seed)
    model = Pose25D(begun.encoder, width).to(device)
    data, choosing = (hands(out / "hands", name, device) for name in ("labelled", "choosing"))
    if piece.both:
        wild = (hands(out / "hands", f"{name}, wild", device) for name in ("labelled", "choosing"))
        data, choosing = (both(*pair) for pair in zip((data, choosing), wild, strict=True))
    known = max(1, round(piece.fraction * len(data.image)))
    chosen = torch.randperm(len(data.image), generator=torch.Generator().manual_seed(seed))[:known]
    data = some(data, chosen)  # the probes of this seed use the same labels
    repeated = -(-preset.tune_batch // known)
    last = preset.tune_steps + (2 * preset.steps * preset.batch // preset.tune_batch if piece.patient else 0)
    drawn = iter(Batches(known * repeated, preset.tune_batch, seed, 0, last))
    colour = eq.presets.peclr().transforms[-1]
    augment = eq.Compose(
        [eq.RandomScale((0.8, 1.25)), eq.RandomRotation(45), eq.RandomTranslate(0.1), colour, eq.Normalize.imagenet()]
    )
    groups: list[dict[str, Any]] = [
        {"params": [*model.encoder.parameters()], "times": piece.encoder_rate},
        {"params": [*model.head.parameters()], "times": 1.0},
        {"params": [*model.refine.parameters()], "times": REFINE_RATE},
    ]
    optimizer = torch.optim.AdamW(groups, piece.rate, weight_decay=1e-4, fused=True)
    best, drops, since, course = (math.inf, 0, copy.deepcopy(model.state_dict())), 0, 0, []
    for step in range(last):
        rate = piece.rate * DROP**drops * min(1.0, (step + 1) / preset.tune_every)
        if piece.cosine:
            rate = learning_rate(step, last, peak=piece.rate, warmup=preset.tune_every / last)
        for group in optimizer.param_groups:
            group["lr"] = rate * group["times"]
        batch = some(data, torch.tensor(next(drawn), device="cpu") % known)
        torch.manual_seed(seed_of(seed, 2, step))
        images, g = augment(batch.image, size=(preset.size, preset.size), memory_format=torch.channels_last)
        target = pose_target(batch, images, g)
        with fast(device):
            pose = model(target.images, target.K)
        loss = torch.stack(list(pose_loss(pose, target, LOSS_WEIGHTS).values())).sum()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), CLIP_NORM)
        optimizer.step()
        optimizer.zero_grad()
        if (step + 1) % preset.tune_every:
            continue
        course.append(test(model, choosing).mm)
        model.train()
        since += 1
        if course[-1] < best[0]:
            best, since = (course[-1], step + 1, copy.deepcopy(model.state_dict())), 0
        if piece.cosine:
            continue
        late = drops < len(LATEST) and step + 1 >= LATEST[drops] * preset.tune_steps
        if late or since >= PATIENCE:
            if drops == len(LATEST):
                break
            drops, since = drops + 1, 0
            model.load_state_dict(best[2])
    model.load_state_dict(best[2])
    found = []
    for domain in DOMAINS:
        errors = test(model, hands(out / "hands", domain, device))
        found.append({"domain": domain, "share": SHARES[piece.fraction], "labels": known} | errors._asdict())
    write_state(out / "models" / f"{piece.key}.pt", plain_state(model))
    return {
        "chosen by": best[0],
        "steps": len(course) * preset.tune_every,
        "best": best[1],
        "drops": drops,
        "course": course,
        "rows": found,
    }


def both(first: Hand, second: Hand) -> Hand:
    return Hand(*(torch.cat(fields) for fields in zip(first, second, strict=True)))


@torch.no_grad()
def test(model: Pose25D, data: Hand) -> PoseErrors:
    """Measure a model on whole images."""
    model.eval()
    joints = []
    for part in parts_of(data):
        images = eq.Normalize.imagenet()(part.image / 255)[0].contiguous(memory_format=torch.channels_last)
        with fast(str(images.device)):
            joints.append(model(images, part.K).joints(bone_length(part.xyz)))
    return pose_errors(torch.cat(joints), data.xyz, data.K)
