import pytest
import torch

pytest.importorskip("torchvision", reason="the encoders are torchvision's")
pytest.importorskip("safetensors", reason="the files are of safetensors")

from pretrained.test_encoders import write_pose

from equicon.hands import HandJoints, SyntheticHands, predict, project

SIZE = 32


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    path = tmp_path_factory.mktemp("pose") / "pose.safetensors"
    return path, write_pose(path)


@pytest.fixture(scope="module")
def hand():
    return SyntheticHands(num_samples=3, size=48, side="right").render(range(3))


def test_a_picture_of_the_size_that_the_model_knows_is_seen_as_it_is(made):
    path, model = made
    images = torch.rand(2, 3, SIZE, SIZE)
    found = predict(images, model=path)
    middle = (SIZE - 1) / 2
    K = torch.tensor([[4.0 * SIZE, 0.0, middle], [0.0, 4.0 * SIZE, middle], [0.0, 0.0, 1.0]]).expand(2, 3, 3)
    with torch.no_grad():
        joints = model((images - 0.5) / 0.2, K).joints(torch.full((2,), 0.03))
    torch.testing.assert_close(found.xyz, joints - joints[:, :1], rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(found.xy, project(joints, K), rtol=1e-3, atol=1e-2)


def test_joints_are_in_pixels_of_the_picture_and_metres_from_the_wrist(made, hand):
    found = predict(hand.image, model=made[0])
    assert isinstance(found, HandJoints)
    assert found.xy.shape == (3, 21, 2)
    assert found.xyz.shape == (3, 21, 3)
    assert torch.equal(found.xyz[:, 0], torch.zeros(3, 3))
    for dtype, off in ((torch.float32, 1e-3), (torch.float64, 1e-3), (torch.float16, 0.1), (torch.bfloat16, 0.5)):
        floating = predict((hand.image / 255).to(dtype), model=made[0])
        torch.testing.assert_close(floating.xy, found.xy, atol=off, rtol=0)


def test_points_move_where_pixels_move(made, hand):
    """A picture with bars beside it has its joints shifted by their width."""
    path = made[0]
    image = hand.image[:1].float() / 255
    wide = torch.nn.functional.pad(image, (12, 12, 0, 0), mode="replicate")
    tall = torch.nn.functional.pad(image, (0, 0, 12, 12), mode="replicate")
    square = torch.nn.functional.pad(image, (12, 12, 12, 12), mode="replicate")
    whole = predict(square, model=path).xy
    torch.testing.assert_close(predict(wide, model=path).xy + torch.tensor([0.0, 12.0]), whole, atol=0.2, rtol=0)
    torch.testing.assert_close(predict(tall, model=path).xy + torch.tensor([12.0, 0.0]), whole, atol=0.2, rtol=0)


def test_one_picture_is_a_batch_of_one(made, hand):
    one, batch = predict(hand.image[0], model=made[0]), predict(hand.image[:1], model=made[0])
    assert all(torch.equal(a, b) for a, b in zip(one, batch, strict=True))


def test_left_hands_are_mirrored_there_and_back(made, hand):
    left = predict(hand.image.flip(-1), side="left", model=made[0])
    right = predict(hand.image, model=made[0])
    width = hand.image.shape[-1]
    torch.testing.assert_close(width - 1 - left.xy[..., 0], right.xy[..., 0])
    torch.testing.assert_close(left.xyz * torch.tensor([-1.0, 1.0, 1.0]), right.xyz)


def test_a_file_that_is_written_again_is_read_again(tmp_path, hand):
    path = tmp_path / "pose.safetensors"
    write_pose(path)
    before = predict(hand.image, model=path).xyz
    write_pose(path, bone_length=0.06)
    torch.testing.assert_close(predict(hand.image, model=path).xyz, 2 * before)


def test_what_comes_out_may_be_trained_through(made, hand):
    found = predict(hand.image, model=made[0])
    scale = torch.ones(1, requires_grad=True)
    (found.xy.sum() * scale + found.xyz.sum() * scale).backward()
    assert scale.grad is not None


@pytest.mark.parametrize(
    ("words", "match"),
    [
        ({"images": torch.rand(3, 4, 32, 32)}, "images: expected"),
        ({"side": "both"}, r"side: expected one of right, left, got str 'both'"),
        (
            {"model": "weights.pt"},
            r"model: expected one of .*, or a file of safetensors, got weights\.pt",
        ),
    ],
)
def test_bad_input_is_named(made, hand, words, match):
    usual = {"images": hand.image, "model": made[0]}
    with pytest.raises(ValueError, match=match):
        predict(**(usual | words))
