"""A probe: how well keypoints can be read out of frozen features (Alain and Bengio 2016, arXiv 1610.01644)."""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

import torch
from torch import Tensor

from equicon._checks import (
    check_choice,
    check_int,
    check_probability,
    check_progress,
    describe,
    type_error,
    value_error,
)
from equicon._devices import in_float64
from equicon.metrics import auc, epe, procrustes_align
from equicon.probes._features import Features, check_pair
from equicon.probes._regressors import Progress, predict_mean, predict_mlp, predict_ridge

Kind: TypeAlias = Literal["mean", "linear", "mlp"]
_LEAST = 5  # labels: a fifth of them chooses the length of training


class ProbeResult(NamedTuple):
    """The errors of a probe: means over K keypoints and all test views.

    What was not measured is None: the errors in 3D if keypoints are known in 2D only, and ``by_name`` without names.

    Args:
        kind: The probe: ``"mean"``, ``"linear"`` or ``"mlp"``.
        labels: The number of views that it learned from.
        px: End-point error of the 2D keypoints in pixels of the view.
        mm: End-point error of the 3D keypoints in millimetres, with the root keypoints of prediction and truth at the
            origin. The root is one of the K.
        pa_mm: The same after ``procrustes_align``, which aligns one or two keypoints without any error.
        pa_auc: Area under the curve of ``pck`` from 0 to 5 cm, after ``procrustes_align``.
        by_name: ``px`` of each keypoint, by its name.

    Examples:
        >>> ProbeResult("linear", labels=100, px=2.5, mm=21.0, pa_mm=9.0, pa_auc=0.81).mm
        21.0
    """

    kind: Kind
    labels: int
    px: float
    mm: float | None = None
    pa_mm: float | None = None
    pa_auc: float | None = None
    by_name: dict[str, float] | None = None


def probe(
    train: Features,
    test: Features,
    *,
    kind: Kind = "linear",
    fraction: float = 1.0,
    seed: int = 0,
    root: int = 0,
    names: Sequence[str] | None = None,
    progress: Progress | None = None,
) -> ProbeResult:
    """Learn to read keypoints out of frozen features, and measure the errors on other views.

    The targets are the 2D keypoints in pixels and, where they are known, the 3D keypoints less the root.

    - ``"mean"``: the mean of the training labels. It does not look at the features, so it is the baseline to beat.
    - ``"linear"``: ridge regression (Hoerl and Kennard, Technometrics 1970). 2D and 3D have a penalty each, since their
      best penalties may differ: of 21 penalties, the one that best predicts each training view from all others. All is
      in closed form, so the order of the views does not matter.
    - ``"mlp"``: a network with 256 hidden units, ReLU and dropout, for all targets at once, trained by AdamW with a
      cosine schedule. A fifth of the training views chooses the number of steps; then the network trains on all of them
      for as many steps. The global random state does not change.

    Features are standardised by the moments of the training views. Features that are the same on all of these are left
    out.

    Args:
        train: Features and keypoints of N things to learn from, one view of each. With several views of one thing, a
            view left out would have twins among the others.
        test: Features and keypoints of other things, with the same K keypoints. They only serve to measure the errors.
        kind: The probe.
        fraction: The share of N to learn from, in (0, 1], at least 5 views. These are the first of a permutation that
            depends on the seed and on N alone. So the views of a smaller fraction are among those of a larger one.
        seed: Seed of the permutation and of ``"mlp"``, at least 0.
        root: The keypoint that 3D is measured from, in [0, K - 1], for example the wrist of a hand.
        names: Names of the K keypoints, all different, for ``by_name`` of the result.
        progress: Wraps the list of all steps that ``"mlp"`` may take, for example ``tqdm``. It mostly ends sooner.

    Returns:
        The errors on ``test``, and the number of labels.

    Raises:
        TypeError: If an argument is of the wrong type.
        ValueError: If shapes are wrong or disagree, a number is not finite, the kind is unknown, the root is none of
            the keypoints, names are too few, too many or equal, or there are too few labels.

    Examples:
        >>> xy = torch.rand(200, 2, 2)
        >>> train, test = (Features(part.flatten(1), part) for part in (xy[:150], xy[150:]))
        >>> found, mean = (probe(train, test, kind=kind, names=["nose", "tail"]) for kind in ("linear", "mean"))
        >>> found.px < 0.01 < mean.px, list(found.by_name)
        (True, ['nose', 'tail'])
    """
    check_pair(train, test)
    check_choice("kind", kind, get_args(Kind))
    seed, root = check_settings(train.xy.shape[1], seed, root, names, progress)
    labels = count_labels(len(train.z), fraction, "fraction")
    truth = [in_float64(test.xy)]
    if train.xyz is not None and test.xyz is not None:
        truth.append(_less_root(in_float64(test.xyz), root))
    found = _fit(train, in_float64(test.z), kind, labels, seed, root, progress)
    result = ProbeResult(kind, labels, px=epe(found[0], truth[0]).item())
    if names is not None:
        each = epe(found[0], truth[0], reduction="none").mean(dim=0).tolist()
        result = result._replace(by_name=dict(zip(names, each, strict=True)))
    if len(truth) == 1:
        return result
    aligned = procrustes_align(found[1], truth[1])
    mm, pa_mm = (1000 * epe(pred, truth[1]).item() for pred in (found[1], aligned))
    return result._replace(mm=mm, pa_mm=pa_mm, pa_auc=auc(aligned, truth[1]).item())


def predict_keypoints(
    train: Features, test: Features, *, kind: Kind = "linear", fraction: float = 1.0, seed: int = 0
) -> Tensor:
    """Learn to read keypoints out of frozen features as ``probe`` does, and predict those of other views.

    Args:
        train: As in ``probe``.
        test: As in ``probe``. Its keypoints are only checked.
        kind: As in ``probe``.
        fraction: As in ``probe``.
        seed: As in ``probe``.

    Returns:
        The 2D keypoints (N, K, 2) of the test views, in their pixels, in float64.

    Raises:
        TypeError: As in ``probe``.
        ValueError: As in ``probe``.

    Examples:
        >>> xy = torch.rand(200, 2, 2)
        >>> train, test = (Features(part.flatten(1), part) for part in (xy[:150], xy[150:]))
        >>> found = predict_keypoints(train, test)
        >>> found.shape, bool((found - test.xy).abs().max() < 0.1)
        (torch.Size([50, 2, 2]), True)
    """
    check_pair(train, test)
    check_choice("kind", kind, get_args(Kind))
    seed = check_int("seed", seed, low=0)
    labels = count_labels(len(train.z), fraction, "fraction")
    return _fit(train, in_float64(test.z), kind, labels, seed, 0, None)[0]


def _fit(
    train: Features, z_test: Tensor, kind: Kind, labels: int, seed: int, root: int, progress: Progress | None
) -> list[Tensor]:
    """Predict keypoints in 2D and, if the training views have 3D keypoints, in 3D relative to the root."""
    order = torch.randperm(len(train.z), generator=torch.Generator().manual_seed(seed), device="cpu")
    chosen = order[:labels].to(train.z.device)
    z, targets = in_float64(train.z[chosen]), [in_float64(train.xy[chosen])]
    if train.xyz is not None:
        targets.append(_less_root(in_float64(train.xyz[chosen]), root))
    if kind == "mlp":
        return predict_mlp(z, targets, z_test, seed=seed, progress=progress)
    return (predict_ridge if kind == "linear" else predict_mean)(z, targets, z_test)


def count_labels(n: int, fraction: Any, argument: str) -> int:
    """Count the labels of a fraction, and check that they are enough."""
    share = check_probability(argument, fraction)
    labels = round(share * n)
    if labels < _LEAST:
        came = f"{share:g} of {n}, which is {labels}"
        raise value_error(argument, f"at least {_LEAST} labels", came, "Raise it, or give more views to learn from.")
    return labels


def check_settings(count: int, seed: Any, root: Any, names: Any, progress: Any) -> tuple[int, int]:
    """Check the settings that all kinds of probe share, for ``count`` keypoints, and return seed and root."""
    seed, root = check_int("seed", seed, low=0), check_int("root", root, low=0)
    if root >= count:
        raise value_error("root", f"one of {count} keypoints, in [0, {count - 1}]", root)
    check_progress(progress)
    if names is None:
        return seed, root
    if isinstance(names, str) or not isinstance(names, Sequence) or not all(isinstance(name, str) for name in names):
        raise type_error("names", "a list of texts", describe(names))
    if len(names) != count:
        raise value_error("names", f"{count}, one for each keypoint", f"{len(names)}")
    if len(set(names)) < count:
        raise value_error("names", "a name of its own for each keypoint", describe(names), "Rename equal ones.")
    return seed, root


def _less_root(xyz: Tensor, root: int) -> Tensor:
    return xyz - xyz[:, root, None]
