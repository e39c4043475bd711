"""Make the encoders and the 2.5D model that come with the package, with the settings that the study chose.

    python examples/rendered_hands/ship.py

The program needs four pieces of the study. It runs those that --out lacks (forty minutes on two cores for all four).
Files in --to:

    hands-r18-quarter-*.safetensors    the weights, with a description of themselves
    hands-r18-quarter-*.json           the card of each: data, seed, steps, figures, licence
    sha256.json                        the checksums, which equicon.pretrained compares
"""

import argparse
import hashlib
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import torch
from common import DOMAINS, encoder_file, hands, render, sets_of
from plan import METHODS, FineTune, Piece, Pretrain, settings, tuned
from sizes import Preset, preset_of
from work import run

import equicon as eq
from equicon._pretrained.files import ENCODER, FOLDER, POSE, write_stored
from equicon.hands import SyntheticHands, bone_length, predict
from equicon.metrics import epe
from equicon.probes import extract_features, probe
from equicon.recipes import METHODS as REPRESENTATIONS
from equicon.recipes import describe_session
from equicon.training import Help, load_state, write_text

ROOT = Path(__file__).parents[2]
NAME = "hands-r18-quarter-{}"
WHAT = {
    "simclr": "A quarter-width ResNet-18 pre-trained by SimCLR: the embedding does not move",
    "peclr": "A quarter-width ResNet-18 pre-trained by PeCLR as published",
    "exact": "A quarter-width ResNet-18 pre-trained by contrastive learning with points that move exactly",
    "pose": "A 2.5D model of right hands, fine-tuned with all labels of both domains",
}
CHECKED = {"labels": 400, "hands": 200}


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0], formatter_class=Help)
    results = "results of the study, from which the chosen settings are read"
    default = ROOT / "docs/results/study.json"
    parser.add_argument("--results", type=Path, default=default, metavar="FILE", help=results)
    out = "folder of the study; pieces that it lacks are run there"
    parser.add_argument("--out", type=Path, default=Path("runs/study"), metavar="FOLDER", help=out)
    parser.add_argument("--to", type=Path, default=FOLDER, metavar="FOLDER", help="folder for the files")
    device = "device to train on, such as cpu, cuda or cuda:1"
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", help=device)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    args = parse_args(argv)
    results = json.loads(args.results.read_bytes())
    preset, done = preset_of(results, "--results", args.results), results["pieces"]
    preset = replace(preset, tune_steps=preset.tune_steps * 3 // 2)  # for the labels of both domains
    chosen = {method: settings(method, preset, done) for method in METHODS}
    pieces: dict[str, Piece] = {name: start for name, start in chosen.items() if start} | {"pose": pose(preset, done)}
    sums = {}
    for name, piece in pieces.items():
        render(preset, args.out / "hands", args.device, sets_of(piece))
        found = made(piece, preset, args, results)
        card: dict[str, Any] = {
            "what": WHAT[name],
            "made of": piece.key,
            "data": data(piece, preset),
            "seed": 0,
            "sizes": preset.written,
        }
        card |= found["by"] | {"licence": "Apache-2.0", "figures": found["rows"]}
        path = args.to / f"{NAME.format(name)}.safetensors"
        write(path, piece, preset, args, card)
        card["check"] = CHECKED | {"px": check(path)}
        write(path, piece, preset, args, card)
        write_text(path.with_suffix(".json"), json.dumps(card, indent=1, ensure_ascii=False) + "\n")
        sums[path.stem] = hashlib.sha256(path.read_bytes()).hexdigest()
        print(f"{path.stem}: {path.stat().st_size / 1e6:.1f} MB, {card['check']['px']:.2f} px")
    write_text(args.to / "sha256.json", json.dumps(sums, indent=1) + "\n")
    print(table(args.to))


def pose(preset: Preset, done: dict[str, Any]) -> FineTune:
    """Choose where the 2.5D model starts: from the pre-training of the first seed with the least error of its probe.

    Its rates are those that this method chose with 10 % of the labels.
    """
    starts = [start for method in METHODS if (start := settings(method, preset, done)) and start.key in done]
    if not starts:
        sys.exit("--results: no method has a pre-training with its chosen settings yet. Run reproduce.py first.")
    best = min(starts, key=lambda start: float(done[start.key]["chosen by"]))
    runs = tuned(best.method, 1.0, preset, done)
    if not runs:
        sys.exit(f"--results: the rates of fine-tuning are not chosen yet for {best.method}. Run reproduce.py first.")
    return replace(runs[0], both=True)


def made(piece: Piece, preset: Preset, args: argparse.Namespace, results: dict[str, Any]) -> dict[str, Any]:
    """Give what a piece found, and on which machine and with which code it ran.

    If its weights are not in --out, the piece is run.
    """
    if isinstance(piece, FineTune):
        made(piece.start, preset, args, results)
    study, own = (
        json.loads(path.read_bytes()) if (path := args.out / name).exists() else {}
        for name in ("results.json", "shipped.json")
    )
    if study.get("sizes") == results["sizes"] and piece.key in study["pieces"]:
        found: dict[str, Any] = study["pieces"][piece.key]
        return found | {"by": study["sessions"][found["session"]]}
    if piece.key not in own:
        print(f"{piece.key} ...", flush=True)
        by = describe_session(Path(__file__).parent, args.device)
        own[piece.key] = run(piece, preset, args.out, args.device, 0) | {"by": by}
        write_text(args.out / "shipped.json", json.dumps(own) + "\n")
    again: dict[str, Any] = own[piece.key]
    return again


def write(path: Path, piece: Piece, preset: Preset, args: argparse.Namespace, card: dict[str, Any]) -> None:
    about: dict[str, Any] = {"arch": preset.arch, "size": [preset.size] * 2, "card": card}
    about |= {"mean": eq.Normalize.imagenet().mean, "std": eq.Normalize.imagenet().std}
    if isinstance(piece, Pretrain):
        tensors = load_state(encoder_file(args.out, piece))
        about |= {"kind": ENCODER, "representation": type(REPRESENTATIONS[piece.method]).__name__}
    else:
        tensors = load_state(args.out / "models" / f"{piece.key}.pt")
        labelled = hands(args.out / "hands", "labelled", args.device)
        focal = median((labelled.K[:, 0, 0] / preset.size).tolist())
        about |= {"kind": POSE, "representation": None, "focal": focal}
        about |= {"bone_length": bone_length(labelled.xyz).mean().item()}
    write_stored(path, about, tensors, half=True)


def check(path: Path | str) -> float:
    """Measure a figure that a test can measure again: the 2D error [px] on hands that the model never saw."""
    labels, tested = (
        SyntheticHands(CHECKED[name], 64, seed, "studio", side="right").render(range(CHECKED[name]))
        for name, seed in (("labels", 101), ("hands", 102))
    )
    if "pose" in Path(path).stem:
        return epe(predict(tested.image, model=path).xy, tested.xy).item()
    kept = eq.pretrained(path)
    train, test = (
        extract_features(kept.encoder, [(kept.normalize(hand.image / 255)[0], hand.xy)]) for hand in (labels, tested)
    )
    return probe(train, test).px


def data(piece: Piece, preset: Preset) -> str:
    number, domains = (f"{preset.labelled:,}", "'studio'")
    if isinstance(piece, FineTune):
        domains += f" and {number} of 'wild'"
    unlabelled = f"{preset.unlabelled:,} of 'wild' in {preset.scenes} scenes without labels"
    return f"SyntheticHands, right: {unlabelled}; probes or fine-tuning: labels of {number} of {domains}"


def table(folder: Path) -> str:
    """Write the figures of the cards as a table."""
    lines = ["| name | measured | studio, 2D [px] | 3D [mm] | PA [mm] | wild, 2D [px] | 3D [mm] | PA [mm] |"]
    lines.append("|---" * 8 + "|")
    for kind in WHAT:
        card = json.loads((folder / f"{NAME.format(kind)}.json").read_bytes())
        rows = [row for row in card["figures"] if row["share"] == "100 %" and row.get("features", "pooled") == "pooled"]
        by_domain = {row["domain"]: row for row in rows}
        cells = [f"{by_domain[domain][field]:.1f}" for domain in DOMAINS for field in ("px", "mm", "pa_mm")]
        how = "fine-tuned" if kind == "pose" else "frozen, a linear probe"
        lines.append(f"| `{NAME.format(kind)}` | {how} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
