"""Probes: how well joints can be read out of frozen features (Alain and Bengio 2016, arXiv 1610.01644)."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

import torch

from equicon._checks import check_choice, check_int, check_probability, type_error, value_error
from equicon.metrics import auc, epe, procrustes_align
from equicon.probes._features import Features, check_features
from equicon.probes._regressors import Progress, predict_mean, predict_mlp, predict_ridge

Kind: TypeAlias = Literal["mean", "linear", "mlp"]
_LEAST = 5  # labels: a fifth of them chooses the length of training


class ProbeResult(NamedTuple):
    """How far the joints that a probe finds are from the true ones: means over 21 joints and all test hands.

    Args:
        kind: The probe: ``"mean"``, ``"linear"`` or ``"mlp"``.
        labels: The number of hands that it learned from.
        px: End-point error of the 2D joints in pixels of the view.
        mm: End-point error of the 3D joints in millimetres, both hands having their wrist at the origin. The wrist is
            one of the 21.
        pa_mm: The same after ``procrustes_align``.
        pa_auc: Area under the curve of ``pck`` from 0 to 5 cm, after ``procrustes_align``; NaN if not measured.

    Examples:
        >>> ProbeResult("linear", labels=100, px=2.5, mm=21.0, pa_mm=9.0, pa_auc=0.81).mm
        21.0
    """

    kind: Kind
    labels: int
    px: float
    mm: float
    pa_mm: float
    pa_auc: float = math.nan


def probe(
    train: Features,
    test: Features,
    *,
    kind: Kind = "linear",
    fraction: float = 1.0,
    seed: int = 0,
    progress: Progress | None = None,
) -> ProbeResult:
    """Learn to read joints out of frozen features, and measure the errors on other hands.

    The targets are the 2D joints in pixels, and the 3D joints less the wrist.

    - ``"mean"``: the mean of the training labels. It does not look at the features, so it is what to beat.
    - ``"linear"``: ridge regression (Hoerl and Kennard, Technometrics 1970). 2D and 3D have a penalty each, as they
      need not want the same: of 21, the one that best predicts each training hand from all others. All is in closed
      form, so the order of the hands plays no part.
    - ``"mlp"``: a network with 256 hidden units, ReLU and dropout, for both targets at once: AdamW with a cosine
      schedule, for as many steps as suit a fifth of the training hands, and then as many on all of them. The global
      random state is left alone.

    Features are standardised with the training hands' moments; those that are the same on all of them are left out.

    Args:
        train: Features and joints of N hands to learn from, one view of each: a hand left out would have its twins
            among the others.
        test: Those of other hands. Its joints are used to measure the errors only.
        kind: The probe.
        fraction: In (0, 1]: the share of N to learn from, at least 5 hands. They are the first of a permutation that
            depends on the seed and on N alone, so those of a smaller fraction are among those of a larger.
        seed: At least 0; of the permutation and of ``"mlp"``.
        progress: What to wrap around the list of lengths of training that ``"mlp"`` tries at most, for example
            ``tqdm``.

    Returns:
        The errors on ``test``, and the number of labels.

    Raises:
        TypeError: An argument is of the wrong type.
        ValueError: Shapes are wrong or disagree, a number is not finite, the kind is unknown, or there are too few
            labels.

    Examples:
        >>> xy, xyz = torch.rand(200, 21, 2), torch.rand(200, 21, 3)
        >>> z = torch.cat([xy.flatten(1), xyz.flatten(1)], dim=1)
        >>> train, test = Features(z[:150], xy[:150], xyz[:150]), Features(z[150:], xy[150:], xyz[150:])
        >>> probe(train, test).px < 0.01 < probe(train, test, kind="mean").px
        True
    """
    _check_pair(train, test)
    check_choice("kind", kind, get_args(Kind))
    check_int("seed", seed, low=0)
    _check_progress(progress)
    labels = _count(len(train.z), fraction, "fraction")
    chosen = torch.randperm(len(train.z), generator=torch.Generator().manual_seed(seed))[:labels].to(train.z.device)
    z, xy, xyz = (value[chosen].double() for value in train)
    targets, z_test = (xy, xyz - xyz[:, :1]), test.z.double()
    if kind == "mlp":
        found = predict_mlp(z, targets, z_test, seed=seed, progress=progress)
    else:
        found = (predict_ridge if kind == "linear" else predict_mean)(z, targets, z_test)
    true_xyz = test.xyz.double() - test.xyz[:, :1].double()
    aligned = procrustes_align(found[1], true_xyz)
    mm, pa_mm = (1000 * epe(pred, true_xyz).item() for pred in (found[1], aligned))
    px, pa_auc = epe(found[0], test.xy.double()).item(), auc(aligned, true_xyz).item()
    return ProbeResult(kind, labels, px, mm, pa_mm, pa_auc)


def probe_table(
    train: Features,
    test: Features,
    *,
    kinds: Sequence[Kind] = ("mean", "linear", "mlp"),
    fractions: Sequence[float] = (0.01, 0.1, 1.0),
    seed: int = 0,
    progress: Progress | None = None,
) -> list[ProbeResult]:
    """Run ``probe`` with several kinds and shares of the labels.

    Args:
        train: Features and joints of N hands to learn from.
        test: Those of other hands.
        kinds: The probes, as in ``probe``.
        fractions: The shares of N to learn from, as in ``probe``; the smallest leaves at least 5 hands.
        seed: At least 0.
        progress: What to wrap around the list of probes, for example ``tqdm``.

    Returns:
        One result for each fraction and kind, the kinds of a fraction together.

    Raises:
        TypeError: An argument is of the wrong type.
        ValueError: As in ``probe``, and before anything is fitted.

    Examples:
        >>> features = Features(torch.rand(500, 16), torch.rand(500, 21, 2), torch.rand(500, 21, 3))
        >>> rows = probe_table(features, features, kinds=["mean", "linear"])
        >>> [(row.kind, row.labels) for row in rows[:3]]
        [('mean', 5), ('linear', 5), ('mean', 50)]
    """
    _check_pair(train, test)
    for kind in kinds:
        check_choice("kinds", kind, get_args(Kind))
    check_int("seed", seed, low=0)
    _check_progress(progress)
    for fraction in fractions:
        _count(len(train.z), fraction, "fractions")
    jobs = [(fraction, kind) for fraction in fractions for kind in kinds]
    listed = jobs if progress is None else progress(jobs)
    return [probe(train, test, kind=kind, fraction=fraction, seed=seed) for fraction, kind in listed]


def format_probes(runs: Mapping[str, Sequence[ProbeResult]]) -> str:
    """Write what probes found as plain text, a line for each probe, with the runs beside each other.

    The columns are ``px``, ``mm`` and ``pa_mm`` of ``ProbeResult``.

    Args:
        runs: What to call each run, for example ``"before"`` and ``"after"``, and its results. All runs have the same
            probes and numbers of labels in the same order.

    Returns:
        Several lines, without a line break at the end.

    Raises:
        ValueError: There is no run, or the runs differ in their probes or labels.

    Examples:
        >>> before = ProbeResult("linear", 100, px=2.5, mm=21.0, pa_mm=9.0, pa_auc=0.81)
        >>> after = ProbeResult("linear", 100, px=2.1, mm=17.0, pa_mm=8.0, pa_auc=0.83)
        >>> print(format_probes({"before": [before], "after": [after]}))
                                2D [px]           3D [mm]           PA [mm]
        probe  labels    before   after    before   after    before   after
        linear    100      2.50    2.10     21.00   17.00      9.00    8.00
    """
    keys = [[(row.kind, row.labels) for row in rows] for rows in runs.values()]
    if not keys or any(key != keys[0] for key in keys):
        raise value_error("runs", "at least one, and all with the same probes and labels", f"{keys}")
    width = max(8, *(len(name) + 1 for name in runs))
    group = width * len(runs) + 2
    title = f"{'':13}" + "".join(f"{unit:>{group}}" for unit in ("2D [px]", "3D [mm]", "PA [mm]"))
    names = "".join(f"{name:>{width}}" for name in runs)
    lines = [title, f"{'probe':6}{'labels':>7}" + 3 * f"  {names}"]
    for rows in zip(*runs.values(), strict=True):
        measures = zip(*((row.px, row.mm, row.pa_mm) for row in rows), strict=True)
        numbers = "".join("  " + "".join(f"{value:{width}.2f}" for value in values) for values in measures)
        lines.append(f"{rows[0].kind:6}{rows[0].labels:7d}{numbers}")
    return "\n".join(lines)


def _count(n: int, fraction: Any, argument: str) -> int:
    labels = round(check_probability(argument, fraction) * n)
    if labels < _LEAST:
        came = f"{fraction:g} of {n}, which is {labels}"
        raise value_error(argument, f"at least {_LEAST} labels", came, "Raise it, or give more hands to learn from.")
    return labels


def _check_progress(progress: Any) -> None:
    if progress is not None and not callable(progress):
        raise type_error("progress", "a callable such as tqdm", progress)


def _check_pair(train: Features, test: Features) -> None:
    """Check features to learn from and to test with; to wait for their device is nothing beside the fit."""
    for name, features in (("train", train), ("test", test)):
        check_features(features, f"{name}.")
        for field, value in zip(Features._fields, features, strict=True):
            finite = value.isfinite().flatten(1).all(dim=1)
            if not bool(finite.all()):
                row = int((~finite).nonzero()[0])
                fix = "Has the encoder diverged?" if field == "z" else "Leave out hands without labels."
                raise value_error(f"{name}.{field}", "finite numbers", f"NaN or infinity at index {row}", fix)
    if train.z.shape[1] != test.z.shape[1]:
        raise value_error("test.z", f"{train.z.shape[1]} features, as in train", test.z, "Use the same encoder.")
    if len(test.z) == 0:
        raise value_error("test.z", "at least one hand", test.z)
