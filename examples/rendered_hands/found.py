"""Look up what the pieces of ``reproduce.py`` found, for its tables and figures."""

from collections.abc import Sequence
from typing import Any

from common import SHARES
from plan import FRACTIONS, Piece, Results, starts, tuned
from sizes import Preset

NAMES = {"none": "from scratch", "simclr": "SimCLR", "peclr": "PeCLR", "exact": "exact"}
TITLES = {"px": "2D [px]", "mm": "3D [mm]", "pa_mm": "PA-EPE [mm]"}
FORMATS = {"px": "{:.2f}", "mm": "{:.1f}", "pa_mm": "{:.1f}"}
LOOKED_AT = ("pooled", "4 × 4 map", "points")
BLIND = ("mean pose", "typical hand")


def found(piece: Piece, done: Results, domain: str, share: str, measure: str, features: str = "pooled") -> float:
    """Look up a result of a finished piece.

    For a pre-training, ``features`` says which features the probe was given.
    """
    for row in done[piece.key]["rows"]:
        if (row["domain"], row["share"], row.get("features", features)) == (domain, share, features):
            return float(row[measure])
    raise KeyError(f"{piece.key} has no row of {domain} with {share} of the labels")


def finished(pieces: Sequence[Any], done: Results) -> list[Any]:
    return [piece for piece in pieces if piece.key in done]


def shares_of(preset: Preset) -> list[str]:
    """List the shares of the labels that are large enough for a probe."""
    return [SHARES[fraction] for fraction in FRACTIONS if round(fraction * preset.labelled) >= 5]


def of_share(share: str) -> float:
    return next(fraction for fraction, name in SHARES.items() if name == share)


def frozen(
    method: str, features: str, domain: str, share: str, measure: str, preset: Preset, done: Results
) -> list[float]:
    """List what probes found in the frozen features of a method, by seed."""
    runs = finished(starts(method, preset, done), done)
    return [found(run, done, domain, share, measure, features) for run in runs]


def finetuned(method: str, domain: str, share: str, measure: str, preset: Preset, done: Results) -> list[float]:
    """List the errors of a method's fine-tuned models, by seed."""
    runs = finished(tuned(method, of_share(share), preset, done), done)
    return [found(run, done, domain, share, measure) for run in runs]
