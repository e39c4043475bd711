import pytest
import torch

pytest.importorskip("torchvision", reason="the examples need torchvision")
pytest.importorskip("safetensors", reason="the model is a file of safetensors")
pytest.importorskip("matplotlib", reason="the examples need matplotlib")

from examples.loading import load
from torchvision.utils import save_image

from equicon.hands import SyntheticHands, predict

predict_hands = load("predict_hands.py")


@pytest.fixture
def pictures(tmp_path):
    hands = SyntheticHands(2, 64, side="right").render(range(2))
    paths = [tmp_path / "a.png", tmp_path / "b.png"]
    save_image(hands.image[0] / 255, paths[0])
    save_image(hands.image[1, :, :, 4:] / 255, paths[1])  # of another size
    return paths


def test_joints_are_found_and_drawn(pictures, tmp_path, capsys):
    out = tmp_path / "new" / "joints.png"
    predict_hands.main([*map(str, pictures), "--out", str(out)])
    assert out.read_bytes().startswith(b"\x89PNG")
    said = capsys.readouterr().out
    x, y = predict(SyntheticHands(2, 64, side="right").render([0]).image).xy[0, 8].tolist()
    assert f"{pictures[0]}: the tip of the index finger is at ({x:.0f}, {y:.0f})\n" in said
    assert said.endswith(f"See {out}.\n")


def test_left_hands_are_mirrored(pictures, tmp_path, capsys):
    save_image(SyntheticHands(1, 64, side="right").render([0]).image.flip(-1)[0] / 255, tmp_path / "left.png")
    predict_hands.main([str(tmp_path / "left.png"), "--side", "left", "--out", str(tmp_path / "joints.png")])
    x, y = predict(SyntheticHands(1, 64, side="right").render([0]).image).xy[0, 8].tolist()
    assert f"({63 - x:.0f}, {y:.0f})" in capsys.readouterr().out


def test_what_is_no_picture_is_named(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"nothing")
    for path in (tmp_path / "a.jpg", tmp_path / "nowhere.png"):
        with pytest.raises(SystemExit, match=path.name):
            predict_hands.main([str(path), "--out", str(tmp_path / "joints.png")])
    assert not (tmp_path / "joints.png").exists()
    assert torch.is_grad_enabled()
