"""Laws of clips (B, T, C, H, W), over the registry: one draw for all frames, or one for each along a path."""

import copy
import pickle
from typing import Any, get_args

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from registry import TRANSFORMS
from torch.testing import assert_close

import equicon as eq
from equicon._views import view as _view

every = pytest.mark.parametrize("name", TRANSFORMS)
B, T, SOURCE, VIEW = 3, 4, (30, 36), (20, 24)
CLIPS = torch.rand(B, T, 3, *SOURCE, generator=torch.Generator().manual_seed(0))
FRAME = eq.Affine.from_boxes(torch.tensor([[2.0, 2, 26, 26], [4, 0, 30, 20], [0, 0, 29, 29]]), SOURCE)
ANCHOR = torch.tensor([[10.0, 12], [20, 8], [15, 15]])
GIVEN: dict[str, Any] = {"size": VIEW, "frame": FRAME, "anchor": ANCHOR, "padding_mode": "reflection"}
FUSED = eq.Compose([eq.RandomAffine(45, 0.1), eq.ColorJitter(0.4, 0.4), eq.RandomErasing(), eq.RandomGaussianNoise()])


def draw(name: str, seed: int = 0, batch_size: int = B) -> eq.Action:
    return TRANSFORMS[name].transform.sample(batch_size, generator=torch.Generator().manual_seed(seed))


# --- one draw for a clip


@every
@settings(max_examples=4)
@given(seed=st.integers(0, 2**31), clips=st.integers(0, 3), frames=st.integers(1, 4))
def test_frames_of_a_clip_are_a_batch_with_repeated_draws(name, seed, clips, frames):
    images, action = CLIPS[:clips, :frames], draw(name, seed, clips)
    views = action(images, size=VIEW)
    assert views.shape == (clips, frames, 3, *VIEW)
    expected = action.repeat_interleave(frames)(images.flatten(0, 1), size=VIEW)
    assert views.equal(expected.unflatten(0, (clips, frames)))


@every
def test_each_frame_is_what_the_action_makes_of_it_alone(name):
    """The reference: a loop over the frames, in which nothing is repeated."""
    action = draw(name)
    views = action(CLIPS, **GIVEN)
    assert views.shape == (B, T, 3, *VIEW)
    for t in range(T):
        assert_close(views[:, t], action(CLIPS[:, t], **GIVEN), atol=1e-5, rtol=0)


@every
def test_a_clip_of_equal_frames_stays_equal(name):
    views = draw(name)(CLIPS[:, :1].expand(-1, T, -1, -1, -1), size=VIEW)
    assert views.equal(views[:, :1].expand_as(views))


@every
def test_a_clip_of_one_frame_is_the_picture(name):
    action = draw(name)
    assert action(CLIPS[:, :1], **GIVEN)[:, 0].equal(action(CLIPS[:, 0], **GIVEN))


@every
def test_a_transform_draws_once_for_a_clip_and_its_element_moves_all_labels(name):
    transform = TRANSFORMS[name].transform
    views, g = transform(CLIPS, generator=torch.Generator().manual_seed(0), **GIVEN)
    action = draw(name)
    assert len(g) == B
    assert g.matrix.equal(action.affine.matrix)
    assert views.equal(action(CLIPS, **GIVEN))
    xy = 30 * torch.rand(B, T, 5, 2, generator=torch.Generator().manual_seed(1))
    moved, all_frames = g.points(xy, SOURCE, VIEW), g.repeat_interleave(T)
    assert_close(moved, all_frames.points(xy.flatten(0, 1), SOURCE, VIEW).unflatten(0, (B, T)))
    for t in range(T):
        assert_close(moved[:, t], g.points(xy[:, t], SOURCE, VIEW))


@every
def test_a_drawn_action_replays_pickles_and_copies(name):
    action = draw(name)
    views = action(CLIPS, **GIVEN)
    for again in (action, copy.deepcopy(action), pickle.loads(pickle.dumps(action))):
        assert again(CLIPS, **GIVEN).equal(views)
    assert not views[0].equal(views[1])


def test_a_clip_has_its_filters_as_a_whole_or_not_at_all():
    grey = torch.full((40, 3, 3, 8, 8), 0.5)
    for transform in (eq.RandomErasing(p=0.5), eq.RandomApply(eq.RandomGaussianNoise(0.1, p=1.0), 0.5)):
        changed = (transform(grey)[0] - grey).abs().amax((2, 3, 4)) > 1e-3
        assert changed.equal(changed[:, :1].expand(-1, 3))
        assert 5 < int(changed[:, 0].sum()) < 35


def test_contrast_is_relative_to_the_mean_of_each_frame():
    clips = torch.tensor([0.2, 0.6]).view(1, 2, 1, 1, 1).expand(-1, -1, 3, 8, 8)
    assert_close(eq.ColorJitter(contrast=(0.0, 0.0))(clips)[0], clips)  # each frame is its own mean


# --- what Appearance wraps


class Drawn(torch.nn.Module):
    """Adds a number drawn for each image, and notes with how many images it was called."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[int] = []

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.calls.append(len(images))
        return images + torch.rand(len(images), 1, 1, 1)


def test_appearance_draws_for_each_clip():
    module = Drawn()
    action = eq.Appearance(module).sample(B)
    added = action(CLIPS) - eq.Action(action.affine)(CLIPS)
    assert module.calls == [B] * T
    assert_close(added, added[:, :1, :1, :1, :1].expand_as(added), atol=1e-6, rtol=0)
    assert len(added[:, 0, 0, 0, 0].unique()) == B
    # A part of a repeated action need not be whole clips: it is one batch again.
    module.calls.clear()
    action.repeat_interleave(T)[1:7](CLIPS.flatten(0, 1)[1:7])
    assert module.calls == [6]
    module.calls.clear()
    moved = action.repeat_interleave(2).to("cpu").repeat_interleave(2)(CLIPS)
    assert module.calls == [B] * T
    assert_close(moved - eq.Action(action.affine)(CLIPS), added, atol=1e-6, rtol=0)


# --- what belongs to frames


@every
def test_frame_and_anchor_may_be_those_of_clips_or_of_frames(name):
    action = draw(name)
    all_frames = {"frame": FRAME.repeat_interleave(T), "anchor": ANCHOR.repeat_interleave(T, 0)}
    assert action(CLIPS, **GIVEN | all_frames).equal(action(CLIPS, **GIVEN))
    assert action.repeat_interleave(T)(CLIPS, **GIVEN).equal(action(CLIPS, **GIVEN))


def test_an_anchor_of_each_frame_is_followed():
    cut = eq.RandomErasing((0.02, 0.02), (1.0, 1.0), value=2.0, p=1.0).sample(2)
    anchor = 5 + 20 * torch.rand(2, 6, 2, generator=torch.Generator().manual_seed(0))
    views = cut(torch.zeros(2, 6, 1, 30, 30), anchor=anchor.flatten(0, 1))
    frames = [cut(torch.zeros(2, 1, 30, 30), anchor=anchor[:, t]) for t in range(6)]
    assert views.equal(torch.stack(frames, 1))
    assert not views[:, 0].equal(views[:, 1])


def test_an_anchor_of_each_clip_holds_for_its_frames():
    cut = eq.RandomErasing((0.02, 0.02), (1.0, 1.0), value=2.0, p=1.0).sample(B)
    views = cut(CLIPS, anchor=ANCHOR)
    y, x = ((views[:, :, 0] == 2).nonzero()[:, k].view(B, T, -1).double() for k in (2, 3))
    assert_close(torch.stack([x.mean(-1), y.mean(-1)], -1), ANCHOR.double()[:, None].expand(-1, T, -1))


def test_a_crop_of_each_frame_is_warped_by_it():
    boxes = torch.tensor([[0.0, 0, 9, 9], [5, 5, 14, 14], [3, 0, 22, 19], [9, 9, 28, 28]]).repeat(3, 1)
    frame, action = eq.Affine.from_boxes(boxes, SOURCE), eq.RandomRotation(45).sample(B)
    views = action(CLIPS, size=VIEW, frame=frame)
    expected = (action.affine.repeat_interleave(T) @ frame).warp(CLIPS.flatten(0, 1), VIEW)
    assert views.equal(expected.unflatten(0, (B, T)))


# --- a path


@every
def test_along_a_path_only_the_geometry_moves(name):
    first, last = draw(name), draw(name, 1)
    path = first.path(last, T)
    assert len(path) == B * T
    assert path.affine.matrix.equal(first.affine.path(last.affine, T).matrix)
    views = path(CLIPS, **GIVEN)
    for t in range(T):
        steps = eq.Affine(path.affine.matrix.unflatten(0, (B, T))[:, t])
        alone = eq.Action(steps, first.color, first.filters, first.normalization)
        assert_close(views[:, t], alone(CLIPS[:, t], **GIVEN), atol=1e-5, rtol=0)
    assert path(CLIPS, **GIVEN).equal(views)
    assert_close(first.path(last, 1)(CLIPS[:, :1]), first(CLIPS[:, :1]), atol=0, rtol=0)


@every
def test_a_path_to_itself_is_one_draw(name):
    action = draw(name)
    assert_close(action.path(action, T)(CLIPS, **GIVEN), action(CLIPS, **GIVEN), atol=2e-3, rtol=0)


def test_a_path_may_stay_inside():
    augment = eq.RandomAffine(45, 0.2, (0.6, 1.2))
    path = augment.sample(B).path(augment.sample(B), T)
    inside = path.inside(SOURCE, VIEW, FRAME.repeat_interleave(T))
    assert float((inside.affine @ FRAME.repeat_interleave(T)).coverage(SOURCE, VIEW).min()) > 1 - 1e-4
    black, mirrored = (inside(CLIPS, size=VIEW, frame=FRAME, padding_mode=m) for m in ("zeros", "reflection"))
    assert_close(black, mirrored, atol=1e-3, rtol=0)


# --- backends, types, memory


@pytest.mark.parametrize("padding_mode", get_args(eq.PaddingMode))
@pytest.mark.parametrize("backend", get_args(eq.Backend))
def test_clips_on_every_backend(backend, padding_mode, monkeypatch):
    if backend == "triton":
        pytest.importorskip("triton", reason="Triton comes with the CUDA builds of torch")
    monkeypatch.setattr(_view, "choose", lambda *_: backend)  # Triton's interpreter takes what is on a CPU
    action = eq.Compose([eq.RandomAffine(90, 0.2), eq.ColorJitter(0.4, 0.4), eq.Normalize.imagenet()]).sample(2)
    clips, given = (CLIPS[:2, :2, :, :14, :18] * 255).to(torch.uint8), {"size": (6, 9), "padding_mode": padding_mode}
    views = action(clips, **given)
    assert views.equal(action.repeat_interleave(2)(clips.flatten(0, 1), **given).unflatten(0, (2, 2)))
    for t in range(2):
        assert_close(views[:, t], action(clips[:, t], **given), atol=1e-5, rtol=0)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float16, torch.bfloat16, torch.float64])
def test_types_and_memory_formats_are_those_of_pictures(dtype):
    clips = (CLIPS * 255).to(dtype) if dtype == torch.uint8 else CLIPS.to(dtype)
    action = eq.Compose([eq.RandomRotation(45), eq.ColorJitter(0.4)]).sample(B)
    views = action(clips, size=VIEW, memory_format=torch.channels_last)
    assert views.dtype == (torch.float32 if dtype == torch.uint8 else dtype)
    assert views.flatten(0, 1).is_contiguous(memory_format=torch.channels_last)
    assert views.equal(action(clips, size=VIEW))
    assert action(clips, dtype=torch.bfloat16).dtype == torch.bfloat16


def test_the_frames_of_a_clip_are_read_where_they_lie(monkeypatch):
    seen = []
    original = _view.cached_view
    monkeypatch.setattr(_view, "cached_view", lambda images, *rest: seen.append(images) or original(images, *rest))
    kept = CLIPS.clone()
    eq.RandomRotation(45)(CLIPS)
    assert seen[0].data_ptr() == CLIPS.data_ptr()
    assert kept.equal(CLIPS)


def test_the_backend_of_clips_is_that_of_their_frames(monkeypatch):
    action = draw("affine")
    assert action.backend(CLIPS) == action.backend(CLIPS[:, 0]) == "torch"
    monkeypatch.setenv("EQUICON_BACKEND", "kornia")
    assert action.backend(CLIPS) == "kornia"


def test_gradients_reach_clips():
    clips = CLIPS.clone().requires_grad_()
    matrix = draw("affine").affine.matrix.clone().requires_grad_()
    eq.Action(eq.Affine(matrix))(clips, size=VIEW).square().sum().backward()
    other = matrix.detach().clone().requires_grad_()
    sum(eq.Action(eq.Affine(other))(CLIPS[:, t], size=VIEW).square().sum() for t in range(T)).backward()
    assert_close(matrix.grad, other.grad, atol=1e-2, rtol=1e-4)
    assert bool((clips.grad != 0).any(-1).any(-1).any(-1).all())


@pytest.mark.parametrize("moving", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["one draw", "a path"])
def test_clips_compile_whole(moving):
    torch.compiler.reset()
    generator = torch.Generator().manual_seed(0)
    action, other = (FUSED.sample(B, generator=generator) for _ in range(2))
    action, given = action.path(other, T) if moving else action, GIVEN | {"size": (60, 72)}  # no pyramid
    compiled = torch.compile(lambda clips: action(clips, **given), fullgraph=True, backend="aot_eager")
    assert_close(compiled(CLIPS), action(CLIPS, **given), atol=1e-4, rtol=0)


@pytest.mark.slow
def test_drawing_for_clips_compiles_whole():
    torch.compiler.reset()
    augment = eq.Compose([eq.RandomRotation(45), eq.ColorJitter(0.4), eq.RandomErasing(p=0.5)])
    compiled = torch.compile(lambda clips: augment(clips, size=(60, 72)), fullgraph=True, backend="aot_eager")
    torch.manual_seed(0)
    views, g = compiled(CLIPS)
    torch.manual_seed(0)
    expected, h = augment(CLIPS, size=(60, 72))
    assert_close(g.matrix, h.matrix)
    assert_close(views, expected, atol=1e-4, rtol=0)
    for part in (CLIPS[:2], CLIPS[:, :2]):
        assert compiled(part)[0].shape == (*part.shape[:3], 60, 72)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
@pytest.mark.parametrize("backend", get_args(eq.Backend))
def test_nothing_waits_for_the_device(backend, monkeypatch):
    monkeypatch.setenv("EQUICON_BACKEND", backend)
    clips, anchor = CLIPS.cuda(), ANCHOR.cuda()
    for check in ("default", "error"):  # the first round allocates and compiles
        torch.cuda.set_sync_debug_mode(check)
        try:
            frame = FRAME.to("cuda")
            first, last = (FUSED.sample(B, device="cuda") for _ in range(2))
            for action in (first, first.path(last, T)):
                action(clips, size=VIEW, frame=frame, anchor=anchor)
        finally:
            torch.cuda.set_sync_debug_mode("default")


# --- what is refused, and what is warned of


def test_bad_input_is_refused():
    action = eq.RandomRotation(45).sample(B)
    part = CLIPS[:2]
    for call, error, match in [
        (
            lambda: action(part),
            ValueError,
            "images: expected a batch of 3 clips, or of clips with 3 frames in all, like the Action, got 2 clips of 4",
        ),
        (
            lambda: action(CLIPS[None]),
            ValueError,
            r"images: .* \(B, C, H, W\), or of clips \(B, T, C, H, W\), got a te",
        ),
        (lambda: eq.RandomRotation(9)(CLIPS[None]), ValueError, r"\(B, C, H, W\), or of clips \(B, T, C, H, W\)"),
        (lambda: action.backend(CLIPS[None]), ValueError, r"\(B, C, H, W\), or of clips \(B, T, C, H, W\)"),
        (lambda: action([CLIPS]), TypeError, r"a tensor \(B, C, H, W\), or of clips \(B, T, C, H, W\)"),
        (lambda: action(CLIPS[:, :0]), ValueError, "images: expected at least one frame, one channel and one pixel"),
        (lambda: action(CLIPS, size=64), TypeError, r"size: expected a pair \(height, width\)"),
        (
            lambda: action(CLIPS, frame=eq.Affine.identity(2)),
            ValueError,
            "frame: expected a batch of 3, like the clips of images, or of 12, like their frames, got a batch of 2",
        ),
        (
            lambda: action(CLIPS, anchor=torch.zeros(4, 2)),
            ValueError,
            "anchor: expected a batch of 3, like the clips of images, or of 12, like their frames, got a batch of 4",
        ),
        (
            lambda: action(CLIPS, anchor=torch.zeros(3, 4, 2)),
            ValueError,
            r"anchor: expected a tensor of shape \(B, 2\), or \(B · T, 2\) for clips",
        ),
        (lambda: action.path(action.affine, 3), TypeError, "to: expected an equicon.Action, .* transform.sample"),
        (lambda: action.path(action[:2], 3), ValueError, "to: expected a batch of 3, like the map, got a batch of 2"),
        (
            lambda: action.path(action, 4).affine.points(torch.rand(3, 4, 5, 2)),
            ValueError,
            r"xy: expected a batch of 12, like the map, got a batch of 3\. For clips, write xy\.flatten\(0, 1\)",
        ),
        (
            lambda: action.path(action, 4).affine.masks(CLIPS[:, :, 0]),
            ValueError,
            r"masks: expected a batch of 12, .* For clips, write masks\.flatten\(0, 1\)",
        ),
        (
            lambda: eq.ColorJitter(0.4)(CLIPS.transpose(1, 2)),
            ValueError,
            r"3 channels for a colour .* channels come before the frames, write images\.transpose\(1, 2\)",
        ),
        (lambda: action.path(action, 0), ValueError, "steps: expected a whole number of at least 1, got int 0"),
        (lambda: eq.ColorJitter(0.4)(CLIPS[:, :, :1]), ValueError, r"3 channels for a colour .* \(3, 4, 1, 30, 36\)"),
        (
            lambda: eq.Normalize((0.5,), (0.5,))(CLIPS),
            ValueError,
            r"1 channels, as in mean, got .* \(3, 4, 3, 30, 36\)",
        ),
    ]:
        with pytest.raises(error, match=match):
            call()


def test_clips_that_look_wrong_are_warned_of():
    last = CLIPS.permute(0, 1, 3, 4, 2)
    with pytest.warns(
        UserWarning, match=r"expected \(B, T, C, H, W\), got \(3, 4, 30, 36, 3\): .*permute\(0, 1, 4, 2, 3\)"
    ) as seen:
        eq.RandomRotation(45)(last)
    assert seen[0].filename == __file__
    with pytest.warns(UserWarning, match="Colour would clamp .* divide by 255") as seen:
        draw("jitter")(CLIPS * 255)
    assert seen[0].filename == __file__
