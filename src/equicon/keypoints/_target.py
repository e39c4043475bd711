"""Inputs and targets of a keypoint model: views of samples, and where their keypoints go."""

from typing import NamedTuple

from torch import Tensor

from equicon._checks import check_batch, check_images, value_error
from equicon._groups.affine import Affine
from equicon._labels.sides import swap_sides
from equicon._plane.frames import within
from equicon.data import KeypointSample


class KeypointTarget(NamedTuple):
    """Views as a ``KeypointModel`` gets them, and what it should predict.

    Convention: pixel centres are integers.

    Args:
        images: (B, 3, h, w) views.
        xy: (B, K, 2) keypoints in pixels of the views.
        visible: (B, K) whole numbers, as in COCO. A keypoint that has left the view is 0 too.

    Examples:
        >>> target = KeypointTarget(torch.rand(2, 3, 64, 64), torch.rand(2, 17, 2), torch.ones(2, 17).byte())
        >>> target.xy.shape
        torch.Size([2, 17, 2])
    """

    images: Tensor
    xy: Tensor
    visible: Tensor


def keypoint_frame(sample: KeypointSample, margin: float) -> Affine:
    """Frame the square about the box of each sample, of side ``margin`` × the longer side of the box.

    Args:
        sample: A batch of samples.
        margin: Side of the square divided by the longer side of the box, in [1e-4, 1e4].

    Returns:
        The frames, from the images to the views.

    Raises:
        TypeError: If a tensor is of the wrong type.
        ValueError: If a shape or a number is wrong.

    Examples:
        >>> from equicon.data import KeypointSample
        >>> box = torch.tensor([[16.0, 16.0, 47.0, 47.0]])
        >>> image, points = torch.zeros(1, 3, 64, 64, dtype=torch.uint8), torch.zeros(1, 5, 2)
        >>> sample = KeypointSample(image, points, torch.ones(1, 5, dtype=torch.uint8), box, torch.zeros(1).long())
        >>> keypoint_frame(sample, 1.25).warp(sample.image, (32, 32)).shape
        torch.Size([1, 3, 32, 32])
    """
    check_images(sample.image)
    return Affine.from_boxes(sample.box, (sample.image.shape[-2], sample.image.shape[-1]), margin)


def keypoint_target(sample: KeypointSample, images: Tensor, g: Affine, flip: Tensor | None = None) -> KeypointTarget:
    """Compute the targets for views that ``g`` made of the images of samples.

    Points move as pixels do. In a view that is mirrored, left and right change their names too: what was the left ear
    looks like a right ear.

    Convention: as in ``KeypointTarget``.

    Args:
        sample: A batch of B samples.
        images: (B, 3, h, w) the views; they are passed on as they are.
        g: B maps from the images of the samples to the views.
        flip: (K,) for each keypoint the one that takes its place in a mirror, as a data set's ``flip`` says; None if no
            view is mirrored, or names have no sides.

    Returns:
        The views with their keypoints. Those that have left the view count as not labelled.

    Raises:
        TypeError: If a tensor is of the wrong type.
        ValueError: If a shape is wrong, or there is not a view and a map for each sample.

    Examples:
        >>> from equicon import RandomHorizontalFlip
        >>> from equicon.data import KeypointSample
        >>> points, visible = torch.tensor([[[10.0, 20.0], [30.0, 20.0]]]), torch.full((1, 2), 2)
        >>> image, box = torch.rand(1, 3, 64, 64), torch.tensor([[0.0, 0.0, 63.0, 63.0]])
        >>> sample = KeypointSample(image, points, visible, box, torch.zeros(1).long())
        >>> views, g = RandomHorizontalFlip(1.0)(image)
        >>> keypoint_target(sample, views, g, flip=torch.tensor([1, 0])).xy
        tensor([[[33., 20.],
                 [53., 20.]]])
    """
    check_images(images)
    check_batch("images", images, sample.xy, "sample")
    check_batch("g", g, sample.xy, "sample")
    source, size = (sample.image.shape[-2], sample.image.shape[-1]), (images.shape[-2], images.shape[-1])
    xy, visible = g.points(sample.xy, source, size), sample.visible
    if flip is not None:
        if flip.shape != visible.shape[1:]:
            raise value_error("flip", f"one keypoint for each of {visible.shape[1]}", flip)
        xy, visible = (swap_sides(values, flip, where=g.reflects) for values in (xy, visible))
    return KeypointTarget(images, xy, visible * within(xy, size))
