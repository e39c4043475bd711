"""A probe: how well keypoints can be read out of frozen features (Alain and Bengio 2016, arXiv 1610.01644)."""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

from torch import Tensor

from equicon._checks import (
    check_choice,
    check_int,
    check_progress,
    describe,
    type_error,
    value_error,
)
from equicon._devices import in_float64
from equicon.metrics import auc, epe, procrustes_align
from equicon.probes._features import Features, check_pair
from equicon.probes._intervals import bootstrap
from equicon.probes._labels import choose_labels, targets_of
from equicon.probes._moments import labelled, mean_of
from equicon.probes._regressors import Progress, predict_mean, predict_mlp
from equicon.probes._ridge import predict_ridge

Kind: TypeAlias = Literal["mean", "linear", "mlp"]


class ProbeResult(NamedTuple):
    """The errors of a probe: means over all keypoints of the test views that have a label.

    What was not measured is None: the errors in 3D if keypoints are known in 2D only, ``by_name`` without names, and an
    interval if all labels are of one group.

    The intervals are of 95 %, by a bootstrap over the groups of the test views, or over the views if there are no
    groups: the errors of 1,000 draws with replacement, between their quantiles of 2.5 and 97.5 %. They tell how far the
    error depends on which views were tested, but not on which views were learned from. They are too narrow if there are
    fewer than about ten groups.

    Args:
        kind: The probe: ``"mean"``, ``"linear"`` or ``"mlp"``.
        labels: The number of views that it learned from.
        px: End-point error of the 2D keypoints in pixels of the view.
        mm: End-point error of the 3D keypoints in millimetres, with the root keypoints of prediction and truth at the
            origin. The root is one of the K.
        pa_mm: The same after ``procrustes_align``, which aligns one or two keypoints without any error.
        pa_auc: Area under the curve of ``pck`` from 0 to 5 cm, after ``procrustes_align``.
        by_name: ``px`` of each keypoint, by its name; NaN if no test view has a label of it.
        px_interval: The lowest and the highest ``px`` that other groups would be likely to give.
        mm_interval: The same for ``mm``.

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
    px_interval: tuple[float, float] | None = None
    mm_interval: tuple[float, float] | None = None


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
      best penalties may differ: of 21 penalties, the one that best predicts each group of training views from all other
      groups. Without groups, that is each view from all others. All is in closed form, so the order of the views does
      not matter.
    - ``"mlp"``: a network with 256 hidden units, ReLU and dropout, for all targets at once, trained by AdamW with a
      cosine schedule. About a fifth of the training views, in whole groups, chooses the number of steps; then the
      network trains on all of them for as many steps. The global random state does not change.

    Features are standardised by the moments of the training views. Features that are the same on all of these are left
    out. Features of test views are clamped to the range of the training views (``"mlp"``) or three times that range
    (``"linear"``): a feature that is nearly always zero may be enormous in another video.

    Each keypoint is learned from the views that have a label of it, and measured on such views. In 3D, they must have a
    label of the root too.

    **Groups.** Give them wherever views are alike: the video of a frame, the person in a picture. If all labels are of
    one video, nothing tells how the probe would do on another. Then number blocks of consecutive frames, such as
    ``torch.arange(90) // 15`` for 90 frames, and test on frames that are not next to those. Make blocks longer than a
    pose lasts. What is found then holds for this video alone.

    Args:
        train: Features and keypoints of N views to learn from. Several views of one thing belong to one group.
        test: Features and keypoints of other things, with the same K keypoints. They only serve to measure the errors.
            Groups of the two are never compared. So put no video into both.
        kind: The probe.
        fraction: The share of N to learn from, in (0, 1], at least 5 views. These are the first of a permutation that
            depends on the seed and on N alone. So the views of a smaller fraction are among those of a larger one.
            They are drawn from all groups alike, as one would label a few frames of each video. So a group may be
            learned from in part.
        seed: Seed of the permutation, of ``"mlp"`` and of the intervals, at least 0.
        root: The keypoint that 3D is measured from, in [0, K - 1], for example the wrist of a hand.
        names: Names of the K keypoints, all different, for ``by_name`` of the result.
        progress: Wraps the list of all steps that ``"mlp"`` may take, for example ``tqdm``. It mostly ends sooner.

    Returns:
        The errors on ``test``, and the number of labels.

    Raises:
        TypeError: If an argument is of the wrong type.
        ValueError: If shapes are wrong or disagree, a number is not finite, the kind is unknown, the root is none of
            the keypoints, names are too few, too many or equal, there are too few labels, or all of one group.

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
    chosen = choose_labels(train, fraction, seed, root, "fraction")
    truth = targets_of(test, root)
    found = _fit(train, in_float64(test.z), kind, chosen, seed, root, progress)
    px, interval, each = _measure(found[0], truth[0], test.groups, seed)
    by_name = None if names is None else dict(zip(names, each, strict=True))
    result = ProbeResult(kind, len(chosen), px, by_name=by_name, px_interval=interval)
    if len(truth) == 1 or not bool(labelled(truth[1]).any()):
        return result
    m, interval, _ = _measure(found[1], truth[1], test.groups, seed)
    visible = _mask(truth[1])
    aligned = procrustes_align(found[1], truth[1], visible=visible)
    return result._replace(
        mm=1000 * m,
        pa_mm=1000 * epe(aligned, truth[1], visible=visible).item(),
        pa_auc=auc(aligned, truth[1], visible=visible).item(),
        mm_interval=None if interval is None else (1000 * interval[0], 1000 * interval[1]),
    )


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
    chosen = choose_labels(train, fraction, seed, 0, "fraction")
    return _fit(train, in_float64(test.z), kind, chosen, seed, 0, None)[0]


def _fit(
    train: Features, z_test: Tensor, kind: Kind, chosen: Tensor, seed: int, root: int, progress: Progress | None
) -> list[Tensor]:
    """Predict keypoints in 2D and, if the training views have 3D keypoints, in 3D relative to the root."""
    part = Features(*(None if value is None else value[chosen.to(value.device)] for value in train))  # type: ignore[arg-type]
    z, targets = in_float64(part.z), targets_of(part, root)
    if kind == "mean":
        return predict_mean(z, targets, z_test)
    groups = None if part.groups is None else part.groups.to(z.device)
    if kind == "mlp":
        return predict_mlp(z, targets, z_test, seed=seed, groups=groups, progress=progress)
    return predict_ridge(z, targets, z_test, groups=groups)


def _mask(target: Tensor) -> Tensor | None:
    """Tell which keypoints (N, K) have a label; None for all, since a mean of all is rounded in its own way."""
    known = labelled(target)
    return None if bool(known.all()) else known


def _measure(
    pred: Tensor, target: Tensor, groups: Tensor | None, seed: int
) -> tuple[float, tuple[float, float] | None, list[float]]:
    """Return the mean error, its interval, and the mean error of each keypoint."""
    visible = _mask(target)
    distances = epe(pred, target, visible=visible, reduction="none")
    interval = bootstrap(distances, groups, seed)
    return epe(pred, target, visible=visible).item(), interval, mean_of(distances).tolist()


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
