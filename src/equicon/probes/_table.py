"""Run several probes, and write their results beside each other."""

from collections.abc import Mapping, Sequence
from typing import get_args

from equicon._checks import check_choice, value_error
from equicon.probes._features import Features, check_pair
from equicon.probes._probe import Kind, ProbeResult, check_settings, count_labels, probe
from equicon.probes._regressors import Progress

_COLUMNS = {"px": "2D [px]", "mm": "3D [mm]", "pa_mm": "PA [mm]"}


def probe_table(
    train: Features,
    test: Features,
    *,
    kinds: Sequence[Kind] = ("mean", "linear", "mlp"),
    fractions: Sequence[float] = (0.01, 0.1, 1.0),
    seed: int = 0,
    root: int = 0,
    names: Sequence[str] | None = None,
    progress: Progress | None = None,
) -> list[ProbeResult]:
    """Run ``probe`` with several kinds and shares of the labels.

    Args:
        train: Features and keypoints of N things to learn from.
        test: Features and keypoints of other things.
        kinds: The probes, as in ``probe``.
        fractions: The shares of N to learn from, as in ``probe``. The smallest must give at least 5 views.
        seed: As in ``probe``, at least 0.
        root: The keypoint that 3D is measured from, as in ``probe``.
        names: Names of the keypoints, as in ``probe``.
        progress: Wraps the list of probes, and the list of steps of each ``"mlp"``, for example ``tqdm``.

    Returns:
        One result for each fraction and kind. The kinds of one fraction follow each other.

    Raises:
        TypeError: If an argument is of the wrong type.
        ValueError: As in ``probe``. It is raised before anything is fitted.

    Examples:
        >>> features = Features(torch.rand(500, 16), torch.rand(500, 17, 2))
        >>> rows = probe_table(features, features, kinds=["mean", "linear"])
        >>> [(row.kind, row.labels) for row in rows[:3]]
        [('mean', 5), ('linear', 5), ('mean', 50)]
    """
    check_pair(train, test)
    for kind in kinds:
        check_choice("kinds", kind, get_args(Kind))
    check_settings(train.xy.shape[1], seed, root, names, progress)
    for fraction in fractions:
        count_labels(len(train.z), fraction, "fractions")
    jobs = [(fraction, kind) for fraction in fractions for kind in kinds]
    return [
        probe(train, test, kind=kind, fraction=fraction, seed=seed, root=root, names=names, progress=progress)
        for fraction, kind in (jobs if progress is None else progress(jobs))
    ]


def format_probes(runs: Mapping[str, Sequence[ProbeResult]]) -> str:
    """Write the results of probes as plain text, with a line for each probe and the runs beside each other.

    The columns are ``px``, ``mm`` and ``pa_mm`` of ``ProbeResult``. The last two are left out if they were not
    measured.

    Args:
        runs: The results of each run, by a name such as ``"before"`` or ``"after"``. All runs have the same probes and
            numbers of labels, in the same order.

    Returns:
        Several lines, without a line break at the end.

    Raises:
        ValueError: If there is no run, or the runs differ in their probes or labels.

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
    results = [result for rows in runs.values() for result in rows]
    fields = [f for f in _COLUMNS if not results or any(getattr(result, f) is not None for result in results)]
    width = max(8, *(len(name) + 1 for name in runs))
    group = width * len(runs) + 2
    title = f"{'':13}" + "".join(f"{_COLUMNS[field]:>{group}}" for field in fields)
    names = "".join(f"{name:>{width}}" for name in runs)
    lines = [title, f"{'probe':6}{'labels':>7}" + len(fields) * f"  {names}"]
    for row in zip(*runs.values(), strict=True):
        measures = ([getattr(result, field) for result in row] for field in fields)
        numbers = "".join("  " + "".join(_number(value, width) for value in values) for values in measures)
        lines.append(f"{row[0].kind:6}{row[0].labels:7d}{numbers}")
    return "\n".join(lines)


def _number(value: float | None, width: int) -> str:
    return f"{'-':>{width}}" if value is None else f"{value:{width}.2f}"
