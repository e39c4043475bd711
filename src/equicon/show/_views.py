"""``views``: a figure of a user's own pictures, their views, and views that are brought back, with labels."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from equicon._checks import check_batch, check_bool, check_int, check_size, value_error
from equicon._extra import need
from equicon._groups.affine import Affine, check_affine
from equicon._transforms.base import EquivariantTransform, check_transform
from equicon._views.warp import PaddingMode
from equicon.show._given import check_title, read_names, read_pictures, read_skeleton
from equicon.show._panel import Style, draw_rows
from equicon.show._rows import Row

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_ROWS = 8
"""How many pictures are drawn at most."""


@torch.no_grad()
def views(
    images: Tensor | Sequence[Tensor],
    augment: EquivariantTransform,
    *,
    points: Tensor | Sequence[Tensor] | None = None,
    boxes: Tensor | Sequence[Tensor] | None = None,
    masks: Tensor | Sequence[Tensor] | None = None,
    skeleton: Sequence[tuple[int, int]] | None = None,
    names: Sequence[str] | None = None,
    size: tuple[int, int] | None = None,
    frame: Affine | None = None,
    padding_mode: PaddingMode = "zeros",
    inside: bool = False,
    n: int = 3,
    back: int = 1,
    generator: torch.Generator | None = None,
    title: str | None = None,
) -> "Figure":
    """Draw pictures, views of each, and the first view brought back by the inverse, with the labels that move along.

    Each picture has a row. Below each view stands what was done to it: by how much the picture was turned, scaled and
    moved, and which share of the view lies outside the picture. Shifts are in percent of the view's shorter side. A
    mirrored view has an orange frame, and an arrow in its title. What a view did not show is pale in the picture that
    is brought back.

    - Points are hollow where a view does not show them: outside the view, or outside the source. NaN is not drawn.
    - A box of a view is ``Affine.boxes``: the smallest upright box around the moved corners. Brought back, it is
      turned, and it may be larger than the box of the picture.
    - Masks are moved by ``Affine.masks``. Where masks of one picture overlap, the last is drawn.
    - ``Normalize`` is left out, since normalised colours cannot be shown.

    It waits for the device. It does not use pyplot, so nothing has to be closed. A notebook shows the figure if a cell
    returns it.

    Args:
        images: (B, C, H, W), one picture (C, H, W), or a list of pictures of any sizes; uint8, or floating in [0, 1].
            At most eight are drawn. The first three channels are shown, and colour acts on these. Of two channels, the
            first is shown.
        augment: The transform that makes the views.
        points: Points in pixels of the pictures, (B, K, 2); for one picture (K, 2); for a list also a list.
        boxes: Boxes x1, y1, x2, y2 in pixels, (B, M, 4); for one picture (M, 4); for a list also a list.
        masks: Whole numbers (B, H, W), where 0 is not drawn, or bool; or K masks for each picture, (B, K, H, W). For
            one picture (H, W) or (K, H, W); for a list also a list.
        skeleton: Pairs of points that a line joins. Lines without a fork between them have one colour.
        names: The names of the K points. Then the points of the pictures are numbered, and a legend has the names.
        size: (h, w) of the views; by default, each view is as large as its picture.
        frame: Applied before the transform, as in training: B elements, and one for one picture.
        padding_mode: What lies outside the source: ``zeros``, ``border`` or ``reflection``.
        inside: Whether views are magnified until they show nothing outside, as ``Action.inside`` does.
        n: How many views are made of each picture, at least 1.
        back: How many of them are brought back, at most n.
        generator: Source of randomness; None takes torch's global CPU generator.
        title: A text above all.

    Returns:
        The figure, 2.4 inches wide for each column. Save it with ``figure.savefig("views.png")``.

    Raises:
        ModuleNotFoundError: If matplotlib is not installed.
        ValueError: If shapes, sizes or the numbers of pictures and labels do not fit, or values are not in [0, 1].
        TypeError: If something is not of the type above.

    Examples:
        >>> from equicon import show
        >>> pictures, points = torch.rand(2, 3, 48, 64), 48 * torch.rand(2, 5, 2)
        >>> figure = show.views(pictures, RandomRotation(45), points=points, size=(32, 32), n=2)
        >>> len(figure.axes)  # in each row: the picture, two views, and the first brought back
        8
    """
    check_transform("augment", augment)
    n, back = check_int("n", n, low=1), check_int("back", back, low=0)
    if back > n:
        raise value_error("back", f"at most {n}, the number of views", back)
    check_bool("inside", inside)
    check_title(title)
    view = None if size is None else check_size("size", size)
    pictures, count = read_pictures(images, points, boxes, masks, _ROWS)
    style = Style(
        () if skeleton is None else read_skeleton(skeleton, pictures),
        () if names is None else read_names(names, pictures),
    )
    if frame is not None:
        check_batch("frame", check_affine("frame", frame), count, "images")
    need("matplotlib")

    actions = [augment.sample(len(pictures), generator=generator, device="cpu") for _ in range(n)]
    rows = []
    for i, picture in enumerate(pictures):
        row = Row(picture, None if frame is None else frame[i].to("cpu"), view or picture.size, padding_mode)
        drawn = [action[i] for action in actions]
        if inside:
            drawn = [action.inside(picture.size, row.size, row.frame) for action in drawn]
        made = [row.view(k, action) for k, action in enumerate(drawn, 1)]
        home = [row.brought_back(k + 1, drawn[k], made[k]) for k in range(back)]
        rows.append([row.source(i + 1), *made, *home])
    notes = [f"The first {len(pictures)} of {count} pictures."] if count > len(pictures) else []
    if any(panel.hollow for row in rows for panel in row):
        notes.append("Hollow points: the view does not show them.")
    return draw_rows(rows, style, title, notes)
