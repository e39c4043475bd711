import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from equicon.hands import SyntheticHands, SyntheticHandStream


@settings(max_examples=20)
@given(
    count=st.integers(0, 30), clip=st.integers(1, 7), scenes=st.none() | st.integers(1, 5), first=st.integers(0, 2**40)
)
def test_groups_are_scenes_of_clips(count, clip, scenes, first):
    hands = SyntheticHands(count, scenes=scenes, clip=clip)
    expected = [i // clip if scenes is None else (i // clip) % scenes for i in range(count)]
    assert hands.groups.dtype == torch.int64
    assert hands.groups.tolist() == expected
    stream = SyntheticHandStream(3, scenes=scenes, clip=clip)
    assert torch.equal(stream.groups_of(range(count)), hands.groups)
    far = first // clip
    assert stream.groups_of([first]).tolist() == [far if scenes is None else far % scenes]


@settings(max_examples=20)
@given(size=st.integers(8, 40), context=st.floats(1.0, 4.0))
def test_the_frame_cuts_out_the_square(size, context):
    hands = SyntheticHands(1, size, context=context)
    width = round(context * size)
    frame = hands.frame(2)
    edges = torch.tensor([-0.5, size - 0.5]) + (width - size) / 2  # in pixels of the picture
    corners = torch.stack([edges, edges], -1).expand(2, 2, 2)
    found = frame.points(corners, (width, width), (size, size))
    torch.testing.assert_close(found, torch.tensor([[-0.5, -0.5], [size - 0.5, size - 0.5]]).expand(2, 2, 2))
    assert torch.equal(SyntheticHandStream(2, size, context=context).frame(2).matrix, frame.matrix)
    assert len(hands.frame(0)) == 0


WRONG = [
    ({"context": 0.5}, ValueError, "context: expected a number of at least 1, got float 0.5"),
    ({"context": float("inf")}, ValueError, "context: expected a number of at least 1, got float inf"),
    ({"context": "wide"}, TypeError, "context: expected a number, got str 'wide'"),
    ({"scenes": 0}, ValueError, "scenes: expected a whole number of at least 1, got int 0"),
    ({"scenes": 2.0}, TypeError, "scenes: expected a whole number, got float 2.0"),
    ({"clip": 0}, ValueError, "clip: expected a whole number of at least 1, got int 0"),
    ({"clip": None}, TypeError, "clip: expected a whole number, got NoneType None"),
    ({"side": "up"}, ValueError, "side: expected one of both, left, right, got str 'up'"),
]


@pytest.mark.parametrize("kind", [SyntheticHands, SyntheticHandStream])
@pytest.mark.parametrize(("arguments", "error", "message"), WRONG)
def test_wrong_arguments_are_named(kind, arguments, error, message):
    with pytest.raises(error, match=message):
        kind(2, **arguments)


def test_a_frame_is_for_a_whole_number_of_pictures():
    with pytest.raises(TypeError, match=r"batch_size: expected a whole number, got float 2\.0"):
        SyntheticHands(2).frame(2.0)
