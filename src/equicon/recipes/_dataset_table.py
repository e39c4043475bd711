"""The data sets of hands, in one table. To add a data set, add an entry.

``Source`` explains the fields of an entry. ``SOURCES`` is searched from the top. Photographs come last, because any
folder may hold some. For an entry on disk, ``sign`` and ``inside`` say how people, and the search for mistaken folders,
recognise its folder. An entry that is rendered is chosen by its name.
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch.utils.data import Subset
from tqdm import tqdm

from equicon.data import UnlabelledImages, is_video
from equicon.data._layouts import Layout, layouts_in
from equicon.data._names import other_spelling
from equicon.hands import FreiHAND, SyntheticHands, YouTube3DHands
from equicon.recipes._keypoint_sources import pretrain_keypoints, pretrain_video
from equicon.recipes._opening import MARGIN, beyond, count_known, probe_counts, reader
from equicon.recipes._run_data import FinetuneData, PretrainData, Rendered, render

# Labelled hands have other seeds than unlabelled ones. They are in a studio, since people label what they record there.
_PROBED, _LABELLED = 2**31, 2**32


@dataclass(frozen=True)
class Source:
    """A kind of data set.

    Args:
        name: What people call it. If it is rendered, ``--data`` takes this name.
        recognises: Says whether a value of ``--data`` is of this kind.
        pretrain: Opens the data set without labels. It takes the options, the value of ``--data``, and whether to be
            quiet.
        finetune: Opens the data set with its labels, with the same arguments. None if there are no labels.
        rendered: Whether it is rendered at the size of the views, with ``--hands`` hands in an epoch. It cannot be
            mixed with other data sets.
        probed: Whether the probes use its samples. It can then be given only once.
        boxes: Whether ``--boxes`` may say where its hands are.
        keypoints: Whether ``finetune_keypoints.py`` learns from its labels.
        groups: What ``--groups-per-batch`` groups its images by, as a text for people. The images then have ``groups``,
            whole numbers (n,). Empty if there are no groups.
        sign: What its folder has and other folders lack, as a text for people.
        inside: A file that its folder has. It helps people who give the folder above or below by mistake.
    """

    name: str
    recognises: Callable[[str], bool]
    pretrain: Callable[[argparse.Namespace, str, bool], PretrainData]
    finetune: Callable[[argparse.Namespace, str, bool], FinetuneData] | None = None
    rendered: bool = False
    probed: bool = False
    boxes: bool = False
    keypoints: bool = False
    groups: str = ""
    sign: str = ""
    inside: str = ""


def source_of(data: str) -> Source:
    """Find the kind of data set of a value of ``--data``."""
    return next(source for source in SOURCES if source.recognises(data))


def is_rendered(data: Sequence[str]) -> bool:
    """Say whether the hands are rendered, which cannot be mixed, or come from disk."""
    return source_of(data[0]).rendered


def find_unlabelled(data: str) -> Source:
    """Find the kind of a data set for pre-training. This takes no time.

    Raises:
        ValueError: If the value of ``--data`` is of no known kind, or of more than one.
    """
    source = source_of(data)
    if not source.rendered:
        if not Path(data).is_dir() and source.name == "photographs":
            called = ", ".join(f"'{each.name}'" for each in SOURCES if each.rendered)
            raise ValueError(f"expected {called}, a folder, a file of labels or a video, got {_no_folder(data)}")
        held = [each.name for each in SOURCES if each.sign and each.recognises(data)]
        if len(held) > 1:
            raise ValueError(f"expected one data set in a folder, got {Path(data)}, which holds {' and '.join(held)}.")
    return source


def find_labelled(data: str) -> Source:
    """Find the kind of a data set for fine-tuning. This takes no time.

    Raises:
        ValueError: If the data set has no labels.
    """
    source = source_of(data)
    if source.finetune is None:
        folders = [each for each in SOURCES if each.finetune and not each.rendered]
        wanted = " or ".join(f"the folder of {each.name}" for each in folders)
        if not Path(data).is_dir():
            called = ", ".join(f"'{each.name}'" for each in SOURCES if each.finetune and each.rendered)
            raise ValueError(f"expected {called} or {wanted}, got {_no_folder(data)}")
        lacks = " and ".join(f"no {each.sign}" for each in folders)
        raise ValueError(f"expected {wanted}, got {Path(data)}, which has {lacks}.")
    return source


def load_finetune_data(args: argparse.Namespace, *, quiet: bool) -> FinetuneData:
    """Open the data set that ``--data`` names, with its labels.

    Args:
        args: The options of ``finetune_freihand.py``.
        quiet: Whether to hide progress bars.

    Raises:
        ValueError: If the data set has no labels, or cannot be opened.
    """
    data: str = args.data
    return find_labelled(data).finetune(args, data, quiet)  # type: ignore[misc]  # find_labelled made sure of it


def _no_folder(data: str) -> str:
    return " ".join(filter(None, (f"{Path(data)}, which is no folder.", other_spelling(Path(data)))))


# --- rendered hands


def _pretrain_synthetic(args: argparse.Namespace, _: str, quiet: bool) -> PretrainData:
    (images,) = render(unlabelled_hands(args, args.hands), quiet=quiet)
    what = f"rendered hands in {args.scenes:,} scenes" if args.scenes else "rendered hands"
    return PretrainData(images, args.hands, _probed(args, quiet), what)


def _pretrain_stream(args: argparse.Namespace, _: str, quiet: bool) -> PretrainData:
    return PretrainData(None, args.hands, _probed(args, quiet), "rendered hands in each epoch, always new ones")


def unlabelled_hands(args: argparse.Namespace, count: int) -> SyntheticHands:
    """Describe ``count`` hands without labels, in the domain ``wild`` and with their surroundings."""
    return SyntheticHands(count, args.size, args.seed, context=args.context, scenes=args.scenes or None, side=args.side)


def _probed(args: argparse.Namespace, quiet: bool) -> tuple[Rendered, Rendered]:
    hands = SyntheticHands(sum(probe_counts(args)), args.size, args.seed + _PROBED, "studio", side=args.side)
    fitting, testing = render(hands, args.labelled, quiet=quiet)
    return fitting, testing


def _finetune_synthetic(args: argparse.Namespace, _: str, quiet: bool) -> FinetuneData:
    held = max(1, round(args.holdout * args.hands))
    labelled = count_known(args.hands, args.fraction)
    source = SyntheticHands(args.hands + held, args.size, args.seed + _LABELLED, "studio", side=args.side)
    wanted = [*range(labelled), *range(args.hands, len(source))]
    train, validation = render(Subset(source, wanted), labelled, quiet=quiet)
    return FinetuneData(train, validation, args.hands, "rendered hands")


# --- FreiHAND


def _pretrain_freihand(args: argparse.Namespace, data: str, _: bool) -> PretrainData:
    everything = FreiHAND(data)
    what = _named(everything)
    if args.holdout == 0:
        return PretrainData(reader(everything, args), len(everything), None, what)
    training, probing = everything.holdout(args.holdout, seed=args.seed)
    halves = _once(probing).holdout(1 / 3, seed=args.seed)
    fit, test = (part.select(range(min(n, len(part)))) for part, n in zip(halves, probe_counts(args), strict=True))
    if len(fit) < 5:
        few = f"{len(probing.samples)} labelled hands are too few for probes: raise --holdout"
        return PretrainData(reader(training, args), len(training), None, what, few)
    return PretrainData(reader(training, args), len(training), (reader(fit, args), reader(test, args)), what)


def _finetune_freihand(args: argparse.Namespace, data: str, _: bool) -> FinetuneData:
    everything = FreiHAND(data)
    rest, held_out = everything.holdout(args.holdout, seed=args.seed)
    chosen = torch.randperm(len(rest.samples), generator=torch.Generator().manual_seed(args.seed), device="cpu")
    few = rest.select(chosen[: count_known(len(rest.samples), args.fraction)].sort().values)
    validation = _once(held_out)
    return FinetuneData(reader(few, args), reader(validation, args), len(rest), _named(everything))


def _once(data: FreiHAND) -> FreiHAND:
    """Take one image of each sample: the photograph, if it is on disk."""
    return data.select(versions=[min(data.versions)])


def _named(data: FreiHAND) -> str:
    name = f"images of FreiHAND in {data.root}"
    return f"{name} ({data.left_out:,} annotated samples have no image)" if data.left_out else name


def _is_freihand(data: str) -> bool:
    # A folder with the evaluation set alone is FreiHAND too, not photographs. Opening it says what it lacks.
    return (Path(data) / "training").is_dir() or (Path(data) / "evaluation_K.json").is_file()


# --- without labels


def _pretrain_youtube(args: argparse.Namespace, data: str, quiet: bool) -> PretrainData:
    bar = partial(tqdm, desc="read annotations", unit="record", disable=quiet)
    size = round(MARGIN * args.size)
    hands = YouTube3DHands(
        data, size=size, margin=MARGIN, padding_mode=beyond(args), mirror_left=args.mirror_left, progress=bar
    )
    notes = (f"YouTube3DHands: {hands.summary}",)
    return PretrainData(reader(hands, args), len(hands), None, f"hands of YouTube3DHands in {Path(data)}", notes=notes)


def _pretrain_photographs(args: argparse.Namespace, data: str, _: bool) -> PretrainData:
    root = Path(data)
    for near in (root.parent, *sorted(root.iterdir())):
        for each in SOURCES:
            if each.inside and (near / each.inside).exists():
                fix = f"{each.name} is in {near}: give that folder."
                raise ValueError(f"expected a folder of photographs, got {root}. {fix}")
    size = round(MARGIN * args.size) if args.boxes else 2 * args.size
    photographs = UnlabelledImages(root, size, boxes=args.boxes, margin=MARGIN, padding_mode=beyond(args))
    what = f"boxes in photographs in {root}" if args.boxes else f"photographs in {root}"
    return PretrainData(reader(photographs, args), len(photographs), None, what)


# --- keypoints of anything


def _has_layout(layout: Layout) -> Callable[[str], bool]:
    return lambda data: layout in layouts_in(Path(data))


SOURCES = (
    Source(
        "synthetic",
        lambda data: data == "synthetic",
        _pretrain_synthetic,
        _finetune_synthetic,
        rendered=True,
        groups="scenes",
    ),
    Source("stream", lambda data: data == "stream", _pretrain_stream, rendered=True, groups="scenes"),
    Source(
        "FreiHAND",
        _is_freihand,
        _pretrain_freihand,
        _finetune_freihand,
        probed=True,
        groups="blocks of 64 neighbouring samples in one version",
        sign="folder 'training'",
        inside="training_K.json",
    ),
    Source(
        "YouTube3DHands",
        lambda data: (Path(data) / "youtube_train.json").is_file(),
        _pretrain_youtube,
        groups="videos",
        sign="file 'youtube_train.json'",
        inside="youtube_train.json",
    ),
    Source(
        "keypoints in COCO's layout",
        _has_layout("coco"),
        pretrain_keypoints,
        probed=True,
        keypoints=True,
        groups="videos, folders or stretches of pictures",
        sign="file 'annotations.json'",
        inside="annotations.json",
    ),
    Source(
        "keypoints in DeepLabCut's layout",
        _has_layout("deeplabcut"),
        pretrain_keypoints,
        probed=True,
        keypoints=True,
        groups="videos, folders or stretches of pictures",
        sign="file 'CollectedData.csv'",
        inside="CollectedData.csv",
    ),
    Source("video", is_video, pretrain_video, groups="stretches of frames"),
    Source("photographs", lambda data: True, _pretrain_photographs, boxes=True, groups="folders"),
)
