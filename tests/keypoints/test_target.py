import pytest
import torch

import equicon as eq
from equicon.data import KeypointSample
from equicon.keypoints import keypoint_frame, keypoint_target


def blobs(count: int = 3, keypoints: int = 4, size: int = 64) -> KeypointSample:
    """Samples with a bright blob at each keypoint, in a channel of the picture of its own where there are three."""
    generator = torch.Generator().manual_seed(0)
    xy = 16 + 32 * torch.rand(count, keypoints, 2, generator=generator)
    at = torch.arange(size)
    image = torch.zeros(count, 3, size, size)
    for b in range(count):
        for k in range(keypoints):
            blob = torch.exp(-((at - xy[b, k, 0]) ** 2)[None] / 8 - ((at - xy[b, k, 1]) ** 2)[:, None] / 8)
            image[b, k % 3] += blob
    visible = torch.full((count, keypoints), 2, dtype=torch.uint8)
    return KeypointSample(
        image, xy, visible, torch.tensor([[8.0, 8.0, 55.0, 55.0]]).repeat(count, 1), torch.arange(count)
    )


def test_keypoints_move_where_pixels_move():
    sample = blobs(keypoints=3)
    augment = eq.Compose(
        [eq.RandomRotation(60), eq.RandomScale((0.8, 1.2)), eq.RandomTranslate(0.1), eq.RandomHorizontalFlip(0.5)]
    )
    frame = keypoint_frame(sample, 1.3)
    images, g = augment(sample.image, size=(96, 96), frame=frame, generator=torch.Generator().manual_seed(1))
    target = keypoint_target(sample, images, g @ frame)
    for b in range(3):
        for k in range(3):
            if target.visible[b, k]:
                y, x = divmod(int(images[b, k].argmax()), 96)
                assert torch.dist(target.xy[b, k], torch.tensor([x, y]).float()) < 1.5


def test_the_frame_is_the_square_about_the_box():
    sample = blobs()
    frame = keypoint_frame(sample._replace(box=torch.tensor([[10.0, 20.0, 30.0, 30.0]]).repeat(3, 1)), 2.0)
    corners = torch.tensor([[[0.0, 5.0], [40.0, 45.0]]]).repeat(3, 1, 1)  # a side of twice 20, about (20, 25)
    wanted = torch.tensor([[-0.5, -0.5], [63.5, 63.5]]).expand(3, 2, 2)
    assert torch.allclose(frame.points(corners, (64, 64)), wanted, atol=1e-4)


def test_left_and_right_change_names_in_a_mirror_and_only_there():
    sample = blobs()
    sample = sample._replace(visible=torch.tensor([[2, 1, 0, 2]], dtype=torch.uint8).repeat(3, 1))
    flip = torch.tensor([1, 0, 3, 2])
    mirrored = torch.tensor([True, False, True])
    linear = torch.where(mirrored[:, None, None], torch.tensor([[-1.0, 0], [0, 1]]), torch.eye(2))
    g = eq.Affine.from_linear(linear)
    target = keypoint_target(sample, g.warp(sample.image), g, flip)
    for b in range(3):
        for k in range(4):
            other = flip[k] if mirrored[b] else k
            x, y = sample.xy[b, other].tolist()
            assert target.xy[b, k].tolist() == pytest.approx([63 - x if mirrored[b] else x, y], abs=1e-4)
            assert target.visible[b, k] == sample.visible[b, other]
    once = keypoint_target(sample, sample.image, g, flip)
    moved = sample._replace(xy=once.xy, visible=once.visible)
    twice = keypoint_target(moved, sample.image, g, flip)
    assert torch.allclose(twice.xy, sample.xy, atol=1e-4)
    assert torch.equal(twice.visible, sample.visible)


def test_a_keypoint_that_has_left_the_view_counts_as_not_labelled():
    sample = blobs(count=1)
    g = eq.Affine.from_linear(torch.eye(2)[None], torch.tensor([[1.0, 0.0]]))
    target = keypoint_target(sample, g.warp(sample.image), g)
    assert torch.equal(target.visible > 0, sample.xy[..., 0] + 32 <= 63.5)


def test_bad_input_is_named():
    sample = blobs()
    identity = eq.Affine.identity(3)
    with pytest.raises(ValueError, match=r"images: expected .*3"):
        keypoint_target(sample, sample.image[:2], identity)
    with pytest.raises(ValueError, match=r"g: expected .*3"):
        keypoint_target(sample, sample.image, eq.Affine.identity(2))
    with pytest.raises(ValueError, match=r"flip: expected one keypoint for each of 4"):
        keypoint_target(sample, sample.image, identity, torch.tensor([1, 0]))
    with pytest.raises(ValueError, match=r"margin"):
        keypoint_frame(sample, 0.0)
