"""One picture, its views, and views that are brought back: what is on each panel of a row."""

from dataclasses import dataclass

import torch
from torch import Tensor

from equicon._checks import Size
from equicon._groups.affine import Affine
from equicon._groups.polygons import corners_of
from equicon._plane.frames import edges, within
from equicon._transforms.action import Action
from equicon._views.warp import PaddingMode
from equicon.show._captions import lines_of, mirrored, words_of
from equicon.show._given import Picture
from equicon.show._panel import Labels, Panel


@dataclass(frozen=True)
class Row:
    """A picture, and how views of it are made.

    Args:
        picture: The picture and its labels.
        frame: Applied before each action: one element on the CPU, or None.
        size: (h, w) of the views.
        padding_mode: What lies outside the source.
    """

    picture: Picture
    frame: Affine | None
    size: Size
    padding_mode: PaddingMode

    def source(self, number: int) -> Panel:
        """Show the picture itself, with the frame if there is one."""
        picture, outline = self.picture, None
        points, boxes = picture.points, picture.boxes
        caption = f"{picture.size[1]} × {picture.size[0]} pixels"
        if self.frame is not None:
            outline = self.frame.inverse().points(_edge(self.size), self.size, picture.size)[0]
            caption += "; dashed: the frame"
        labels = Labels(
            points,
            None if points is None else within(points, picture.size),
            None if boxes is None else corners_of(boxes),
            picture.mask,
        )
        return Panel(self._image(), labels, f"picture {number}", caption, outline=outline, named=True)

    def view(self, number: int, action: Action) -> Panel:
        """Make a view and move the labels along, by an action of one element on the CPU."""
        image, source, view = self.picture.image, self.picture.size, self.size
        g, frame = self._total(action), None if self.frame is None else self.frame.to(image.device)
        # Without the normalisation, since normalised colours cannot be shown.
        shown = Action(action.affine, action.color, action.filters).to(image.device)(
            image[None], size=view, frame=frame, padding_mode=self.padding_mode, rgb_first=image.shape[0] > 3
        )
        if action.normalization is not None:
            action.normalization.check(shown)
        points, boxes, mask = self.picture.points, self.picture.boxes, self.picture.mask
        labels = Labels(
            None if points is None else g.points(points[None], source, view)[0],
            None if points is None else g.visible(points[None], source, view)[0],
            None if boxes is None else corners_of(g.boxes(boxes[None], source, view)[0]),
            None if mask is None else g.masks(mask[None], view)[0],
        )
        outside = 1 - float(g.coverage(source, view).mean())
        sign = mirrored(action.affine)
        title = f"view {number}" + (f"  {sign} mirrored" if sign else "")
        return Panel(_shown(shown[0]), labels, title, lines_of(words_of(action.affine, outside)), marked=bool(sign))

    def brought_back(self, number: int, action: Action, panel: Panel) -> Panel:
        """Bring a view and its labels back to the picture by the inverse. What the view did not show is pale."""
        source, view, labels = self.picture.size, self.size, panel.labels
        home = self._total(action).inverse()
        pale = 0.72 + 0.28 * self._image().mean(0, keepdim=True)
        image = home.warp(panel.image[None], source)[0] + pale * (1 - home.coverage(view, source)[0])
        points, boxes, mask = labels.points, labels.boxes, labels.mask
        moved = Labels(
            None if points is None else home.points(points[None], view, source)[0],
            labels.seen,
            None if boxes is None else home.points(boxes[None], view, source)[0],
            None if mask is None else home.masks(mask[None], source)[0],
        )
        return Panel(image, moved, f"view {number}, brought back", "by the inverse; pale: not in the view")

    def _total(self, action: Action) -> Affine:
        return action.affine if self.frame is None else action.affine @ self.frame

    def _image(self) -> Tensor:
        image = self.picture.image
        return _shown(image if image.is_floating_point() else image / 255)


def _shown(image: Tensor) -> Tensor:
    """Choose three channels (3, h, w) of an image (C, h, w) in [0, 1], on the CPU."""
    colours: Tensor = image[:3] if image.shape[0] >= 3 else image[:1].expand(3, -1, -1)
    return torch.clamp(colours.cpu(), 0, 1)


def _edge(size: Size) -> Tensor:
    """Give the corners (1, 4, 2) of a picture in its own pixels."""
    return corners_of(torch.tensor([edges(size)], device="cpu"))
