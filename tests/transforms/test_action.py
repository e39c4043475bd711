import copy
import pickle

import pytest
import torch
from registry import TRANSFORMS, smooth_images
from torch.testing import assert_close

import equicon as eq

every = pytest.mark.parametrize("name", TRANSFORMS)
NOISY = eq.Compose(
    [eq.RandomRotation(45), eq.ColorJitter(0.4), eq.RandomGaussianNoise(0.1, p=1.0), eq.RandomErasing(p=1.0)]
)


@every
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_every_type_of_image(name, dtype):
    images = smooth_images(0, 3, (60, 48))
    stored = (images * 255).round().to(torch.uint8) if dtype == torch.uint8 else images.to(dtype)
    action = TRANSFORMS[name].transform.sample(3, generator=torch.Generator().manual_seed(0))
    views = action(stored, size=(40, 52))
    assert views.dtype == (torch.float32 if dtype == torch.uint8 else dtype)
    assert views.shape == (3, 3, 40, 52)
    assert views.isfinite().all()
    if name not in ("noise", "compose", "random appearance"):  # these draw pixels, in the type they are computed in
        reference = action(images, size=(40, 52))
        coarse = dtype in (torch.bfloat16, torch.uint8, torch.float16)
        # A Sobel or a normalisation by 0.2 magnifies the rounding of the input.
        assert float((views.double() - reference).abs().max()) < (0.06 if coarse else 1e-4)


@every
def test_an_action_replays_pickles_and_copies(name):
    action = TRANSFORMS[name].transform.sample(3)
    images = torch.rand(3, 3, 48, 60)
    views = action(images)
    for again in (action, copy.deepcopy(action), pickle.loads(pickle.dumps(action))):
        assert again(images).equal(views)


@every
def test_views_do_not_depend_on_autocast(name):
    action = TRANSFORMS[name].transform.sample(3)
    images = torch.rand(3, 3, 48, 60)
    views = action(images)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert action(images).equal(views)
        assert (action @ eq.RandomRotation(45).sample(3)).affine.matrix.dtype == torch.float32


@every
@pytest.mark.parametrize("index", [1, -1, slice(1, None), [2, 0, 2, 2], torch.tensor([True, False, True])], ids=repr)
def test_a_part_of_an_action_is_the_action_of_the_part(name, index):
    images = torch.rand(3, 3, 24, 30)
    action = TRANSFORMS[name].transform.sample(3, generator=torch.Generator().manual_seed(0))
    part = action[index]
    rows = torch.arange(3)[index].reshape(-1)
    assert len(part) == len(rows)
    assert part.affine.matrix.equal(action.affine.matrix[rows])
    if name != "random appearance":  # whose draws belong to the whole batch, as its docstring says
        assert_close(part(images[rows]), action(images)[rows], atol=1e-6, rtol=0)


def test_one_draw_for_all_frames_of_a_clip():
    clips = torch.rand(2, 5, 3, 24, 24)
    action = NOISY.sample(2)
    views = action.repeat_interleave(5)(clips.flatten(0, 1)).unflatten(0, (2, 5))
    for frame in range(5):
        assert_close(views[:, frame], action(clips[:, frame]), atol=1e-6, rtol=0)
    with pytest.raises(ValueError, match="repeats: expected a whole number of at least 1, got int 0"):
        action.repeat_interleave(0)


def test_an_action_of_ones_own_is_checked():
    g, f = eq.Affine.identity(2), eq.RandomSobel(1.0).sample(2).filters[0]
    assert eq.Action(g, filters=[f]).filters == (f,)
    for call, error, match in [
        (lambda: eq.Action(g.matrix), TypeError, "affine: expected an equicon.Affine"),
        (lambda: eq.Action(g, filters=f), TypeError, r"filters: expected a tuple .* filters=\(one,\), with the comma"),
        (lambda: eq.Action(g, filters=(torch.relu,)), TypeError, "filters: expected a tuple of equicon.Filter"),
        (lambda: eq.Action(g, torch.eye(6)), TypeError, "color: expected an equicon.ColorMap or None"),
        (lambda: eq.Action(g, eq.ColorMap.make(torch.eye(3)[None])), ValueError, "color: expected a batch of 2"),
        (lambda: eq.Action(g, normalization=(0.5, 0.5)), TypeError, "normalization: expected an equicon.Normalization"),
        (lambda: eq.ColorMap(torch.eye(3)[None], False), ValueError, r"matrix: expected a tensor of shape \(B, 6, 6\)"),
        (lambda: eq.ColorMap.make(torch.eye(3)), ValueError, r"pixel: expected a tensor of shape \(B, 3, 3\)"),
        (lambda: eq.Normalization((0.5, 0.5), (0.2,)), ValueError, "std: expected 2 numbers, as in mean"),
        (lambda: eq.Normalization((), ()), TypeError, "mean: expected one number for each channel"),
    ]:
        with pytest.raises(error, match=match):
            call()


def test_an_index_that_reaches_beyond_the_batch_dimension_is_refused():
    for index in ((0, 1), None, torch.zeros(2, 2, dtype=torch.long)):
        with pytest.raises(TypeError, match="index: expected an int, a slice, a list"):
            NOISY.sample(2)[index]


def test_images_may_have_any_number_of_channels_without_colour():
    for channels in (1, 2, 7):
        assert eq.RandomRotation(45)(torch.rand(2, channels, 9, 9))[0].shape == (2, channels, 9, 9)
    with pytest.raises(ValueError, match="images: expected 3 channels"):
        eq.ColorJitter(0.4)(torch.rand(2, 1, 9, 9))


def test_at_applies_the_right_operand_first():
    turn, shift = eq.RandomRotation((90, 90)).sample(1), eq.RandomTranslate(0.2).sample(1)
    images = smooth_images(0, 1, (32, 32))
    assert_close((shift @ turn).affine.matrix, (shift.affine @ turn.affine).matrix)
    darker, grey = eq.ColorJitter((0.5, 0.5)).sample(1), eq.RandomGrayscale(1.0).sample(1)
    assert_close((grey @ darker)(images), grey(darker(images)))
    assert_close((turn @ darker)(images), turn(darker(images)), atol=1e-6, rtol=0)
    invert, lift = eq.Appearance(lambda x: 1 - x).sample(1), eq.Appearance(lambda x: x / 2).sample(1)
    assert_close((lift @ invert)(images), (1 - images) / 2, atol=1e-6, rtol=0)
    with pytest.raises(ValueError, match="right operand of @"):
        turn @ eq.RandomRotation(45).sample(2)
    with pytest.raises(TypeError, match="unsupported operand"):
        turn @ turn.affine


def test_a_frame_is_warped_in_the_same_interpolation_and_left_out_of_what_is_returned():
    images = torch.rand(2, 3, 64, 80, dtype=torch.float64)
    frame = eq.Affine.from_boxes(torch.tensor([[10.0, 10.0, 40.0, 40.0], [20.0, 20.0, 60.0, 60.0]]), (64, 80))
    generator = torch.Generator().manual_seed(0)
    views, g = eq.RandomRotation(45)(images, size=(32, 32), frame=frame, generator=generator)
    assert_close(views, (g @ frame).warp(images, (32, 32)))
    alone = eq.RandomRotation(45).sample(2, generator=torch.Generator().manual_seed(0)).affine
    assert_close(g.matrix, alone.matrix)


def test_an_anchor_is_carried_to_the_view():
    images = torch.ones(3, 3, 60, 80)
    anchor = torch.tensor([[40.0, 30.0], [30.0, 20.0], [50.0, 40.0]])
    frame = eq.Affine.from_boxes(torch.tensor([[15.0, 5.0, 65.0, 55.0]]).repeat(3, 1), (60, 80))
    cut = eq.Compose([eq.RandomRotation(45), eq.RandomErasing((0.02, 0.02), (1.0, 1.0), p=1.0)]).sample(3)
    views = cut(images, size=(50, 50), frame=frame, anchor=anchor)
    total = cut.affine @ frame
    y, x = torch.meshgrid(torch.arange(50.0), torch.arange(50.0), indexing="ij")
    painted = (total.warp(images, (50, 50)) - views)[:, 0]
    centers = torch.stack([(painted * x).sum((1, 2)), (painted * y).sum((1, 2))], -1) / painted.sum((1, 2))[:, None]
    assert_close(centers, total.points(anchor, (60, 80), (50, 50)), atol=0.6, rtol=0)


def test_nothing_drawn_touches_the_input():
    images = torch.rand(3, 3, 32, 32)
    kept = images.clone()
    NOISY(images)
    eq.Appearance(lambda x: x.mul_(0))(images)
    assert images.equal(kept)


def test_bad_input_is_refused():
    action = eq.RandomRotation(45).sample(2)
    images = torch.rand(2, 3, 8, 8)
    for call, error, match in [
        (lambda: action(torch.rand(3, 3, 8, 8)), ValueError, "images: expected a batch of 2, like the Action"),
        (lambda: action(images[0]), ValueError, "Add the batch dimension"),
        (lambda: action(images.long()), TypeError, "uint8, or a floating type"),
        (lambda: action(images, size=64), TypeError, r"size: expected a pair \(height, width\)"),
        (lambda: action(images, size=(0, 8)), ValueError, "size: expected a whole number of at least 1"),
        (lambda: action(images, frame=torch.eye(3)[None]), TypeError, "frame: expected an equicon.Affine"),
        (lambda: action(images, frame=eq.Affine.identity(1)), ValueError, "frame: expected a batch of 2"),
        (lambda: action(images, anchor=torch.rand(2, 3)), ValueError, "anchor: expected a tensor of shape"),
        (lambda: action(images, anchor=torch.rand(1, 2)), ValueError, "anchor: expected a batch of 2"),
        (lambda: action(images.to("meta")), ValueError, "images on cpu, got images on meta"),
    ]:
        with pytest.raises(error, match=match):
            call()
