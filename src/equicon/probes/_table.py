"""Run several probes, and write their results beside each other."""

from collections.abc import Mapping, Sequence
from typing import get_args

from equicon._checks import check_bool, check_choice, value_error
from equicon.probes._features import Features, check_pair
from equicon.probes._labels import choose_labels
from equicon.probes._probe import Kind, ProbeResult, check_settings, probe
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
    seed, root = check_settings(train.xy.shape[1], seed, root, names, progress)
    for fraction in fractions:
        choose_labels(train, fraction, seed, root, "fractions")
    jobs = [(fraction, kind) for fraction in fractions for kind in kinds]
    return [
        probe(train, test, kind=kind, fraction=fraction, seed=seed, root=root, names=names, progress=progress)
        for fraction, kind in (jobs if progress is None else progress(jobs))
    ]


def format_probes(runs: Mapping[str, Sequence[ProbeResult]], *, intervals: bool = False) -> str:
    """Write the results of probes as plain text, with a line for each probe and the runs beside each other.

    The columns are ``px``, ``mm`` and ``pa_mm`` of ``ProbeResult``. The last two are left out if they were not
    measured.

    Args:
        runs: The results of each run, by a name such as ``"before"`` or ``"after"``. All runs have the same probes and
            numbers of labels, in the same order.
        intervals: Whether to write ``px_interval`` and ``mm_interval`` behind their errors, in brackets.

    Returns:
        Several lines, without a line break at the end.

    Raises:
        TypeError: If ``intervals`` is not a bool.
        ValueError: If there is no run, or the runs differ in their probes or labels.

    Examples:
        >>> before = ProbeResult("linear", 100, px=2.5, mm=21.0, pa_mm=9.0, pa_auc=0.81)
        >>> after = ProbeResult("linear", 100, px=2.1, mm=17.0, pa_mm=8.0, pa_auc=0.83)
        >>> print(format_probes({"before": [before], "after": [after]}))
                                2D [px]           3D [mm]           PA [mm]
        probe  labels    before   after    before   after    before   after
        linear    100      2.50    2.10     21.00   17.00      9.00    8.00
    """
    check_bool("intervals", intervals)
    keys = [[(row.kind, row.labels) for row in rows] for rows in runs.values()]
    if not keys or any(key != keys[0] for key in keys):
        raise value_error("runs", "at least one, and all with the same probes and labels", f"{keys}")
    results = [result for rows in runs.values() for result in rows]
    fields = [f for f in _COLUMNS if not results or any(getattr(result, f) is not None for result in results)]
    title, head = f"{'':13}", f"{'probe':6}{'labels':>7}"
    lines = [f"{kind:6}{labels:7d}" for kind, labels in keys[0]]
    for field in fields:
        cells = [[_number(row, field, intervals) for row in rows] for rows in zip(*runs.values(), strict=True)]
        width = max(8, *(len(text) + 1 for texts in (runs, *cells) for text in texts))
        title += f"{_COLUMNS[field]:>{width * len(runs) + 2}}"
        head += "  " + "".join(f"{name:>{width}}" for name in runs)
        lines = [
            line + "  " + "".join(f"{cell:>{width}}" for cell in row) for line, row in zip(lines, cells, strict=True)
        ]
    return "\n".join([title, head, *lines])


def _number(result: ProbeResult, field: str, intervals: bool) -> str:
    value, interval = getattr(result, field), getattr(result, f"{field}_interval", None)
    if value is None:
        return "-"
    return f"{value:.2f}" + (f" [{interval[0]:.2f}, {interval[1]:.2f}]" if intervals and interval else "")
