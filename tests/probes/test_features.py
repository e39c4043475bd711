import re
from collections.abc import Iterable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from equicon.probes import Features, extract_features

Batch = tuple[Tensor, Tensor, Tensor]


def batches(count: int = 3, n: int = 4) -> list[Batch]:
    g = torch.Generator().manual_seed(0)
    return [
        tuple(torch.rand(shape, generator=g) for shape in ((n, 3, 8, 8), (n, 21, 2), (n, 21, 3))) for _ in range(count)
    ]


def network() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.Dropout(), nn.AdaptiveAvgPool2d(1), nn.Flatten())


def test_keeps_what_the_encoder_says_in_the_order_of_the_batches() -> None:
    given, encoder = batches(), network()
    found = extract_features(encoder, iter(given))
    assert isinstance(found, Features)
    encoder.eval()
    wanted = [torch.cat([encoder(views) for views, _, _ in given]), *(torch.cat([b[i] for b in given]) for i in (1, 2))]
    assert found[3:] == (None, None)
    for value, want in zip(found[:3], wanted, strict=True):
        assert value.dtype == torch.float32
        torch.testing.assert_close(value, want.detach(), rtol=0, atol=0)


@pytest.mark.parametrize("fails", [False, True])
def test_leaves_the_encoder_as_it_was(fails: bool) -> None:
    encoder = network().train()
    encoder[1].eval()  # a frozen batch norm in an encoder that trains
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    given = batches()
    if fails:
        given[1] = (torch.rand(4, 5, 8, 8), *given[1][1:])
        with pytest.raises(RuntimeError, match="channels"):
            extract_features(encoder, given)
    else:
        assert not extract_features(encoder, given).z.requires_grad
    assert [module.training for module in encoder] == [True, False, True, True, True]
    assert encoder.training
    for name, value in encoder.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_the_features_can_be_learned_from() -> None:
    z = extract_features(network(), batches()).z
    weight = torch.zeros(6, 1, requires_grad=True)
    (z @ weight).sum().backward()
    assert weight.grad is not None


def test_stores_float32_under_autocast() -> None:
    with torch.autocast("cpu", torch.bfloat16):
        half = extract_features(network(), batches()).z
    assert half.dtype == torch.float32
    assert torch.equal(half, half.bfloat16().float())


def test_an_encoder_without_parameters_and_labels_of_other_types() -> None:
    views, xy, xyz = batches()[0]
    found = extract_features(nn.Flatten(), [(views.double(), xy.double(), xyz.half())])
    assert found.z.shape == (4, 192)
    assert {value.dtype for value in found[:3]} == {torch.float32}


@pytest.mark.parametrize("count", [1, 2, 17])
@pytest.mark.parametrize("spatial", [True, False])
@pytest.mark.parametrize("collate", [tuple, list])
def test_any_number_of_keypoints_with_or_without_3d(count: int, spatial: bool, collate: Any) -> None:
    several = [(v, xy[:, :count], *([xyz[:, :count]] if spatial else [])) for v, xy, xyz in batches()]
    found = extract_features(nn.Flatten(), [collate(batch) for batch in several])
    assert torch.equal(found.xy, torch.cat([batch[1] for batch in several]))
    if spatial:
        assert found.xyz is not None
        assert torch.equal(found.xyz, torch.cat([batch[2] for batch in several]))
    else:
        assert found.xyz is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda v, xy, xyz: (v, xy), "batches: xyz: expected keypoints in 3D, as in the first batch, got None"),
        (lambda v, xy, xyz: (v, xy[:, :4], xyz[:, :4]), "batches: xy: expected 21 keypoints, as in the first batch"),
        (lambda v, xy, xyz: (v[..., :7], xy, xyz), "batches: z: expected 192 features, as in the first batch, got"),
    ],
)
def test_refuses_batches_that_differ(change: Any, message: str) -> None:
    first, second, third = batches()
    with pytest.raises(ValueError, match=re.escape(message)):
        extract_features(nn.Flatten(), [first, change(*second), third])
    flat, *others = ((views, xy) for views, xy, _ in batches())
    with pytest.raises(ValueError, match=r"batches: xyz: expected None, as in the first batch, got a tensor of shape"):
        extract_features(nn.Flatten(), [flat, second, *others])


def test_wraps_progress_around_the_batches() -> None:
    seen: list[Any] = []

    def progress(wrapped: Iterable[Any]) -> Iterable[Any]:
        for batch in wrapped:
            seen.append(batch)
            yield batch

    given = batches()
    with_bar, without = (extract_features(nn.Flatten(), given, progress=p) for p in (progress, None))
    assert len(seen) == len(given)
    assert torch.equal(with_bar.z, without.z)


@pytest.mark.parametrize(
    ("encoder", "change", "error", "message"),
    [
        (nn.Identity(), lambda v, xy, xyz: (v, xy, xyz), ValueError, "batches: z: expected features of shape (N, D)"),
        (nn.Flatten(0), lambda v, xy, xyz: (v, xy, xyz), ValueError, "batches: z: expected features of shape (N, D)"),
        (
            nn.Flatten(),
            lambda v, xy, xyz: (v.int(), xy, xyz),
            TypeError,
            "batches: z: expected a floating tensor (N, D)",
        ),
        (
            nn.Flatten(),
            lambda v, xy, xyz: (v, xyz, xy),
            ValueError,
            "batches: xy: expected a tensor of shape (N, K, 2)",
        ),
        (
            nn.Flatten(),
            lambda v, xy, xyz: (v, xy, xyz[:, :20]),
            ValueError,
            "batches: xyz: expected a tensor of shape (N, 21, 3), got a tensor of shape (4, 20, 3)",
        ),
        (nn.Flatten(), lambda v, xy, xyz: (v, xy[:, :0]), ValueError, "batches: xy: expected at least one keypoint"),
        (nn.Flatten(), lambda v, xy, xyz: (v, xy.int()), TypeError, "batches: xy: expected a floating type"),
        (nn.Flatten(), lambda v, xy, xyz: (v, xy, xyz.tolist()), TypeError, "batches: xyz: expected a tensor (N, 21, "),
        (
            nn.Flatten(),
            lambda v, xy, xyz: (v,),
            ValueError,
            "groups after it, or None for them, got a tuple of 1",
        ),
        (
            nn.Flatten(),
            lambda v, xy, xyz: v,
            TypeError,
            "batches: expected tuples (views, xy), or with xyz, visible and groups after it",
        ),
        (nn.Flatten(), lambda v, xy, xyz: (v, xy[:3], xyz), ValueError, "batches: xy: expected a batch of 4"),
        (lambda views: views, lambda *batch: batch, TypeError, "encoder: expected a torch.nn.Module"),
    ],
)
def test_refuses_what_does_not_fit(encoder: Any, change: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=re.escape(message)):
        extract_features(encoder, [change(*batches()[0])])


def test_refuses_no_batches_and_a_progress_that_is_none() -> None:
    used = iter(batches())
    extract_features(nn.Flatten(), used)
    with pytest.raises(ValueError, match="at least one batch, got none"):
        extract_features(nn.Flatten(), used)
    with pytest.raises(TypeError, match="progress: expected a callable"):
        extract_features(nn.Flatten(), batches(), progress=True)
