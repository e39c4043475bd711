import pytest
import torch

pytest.importorskip("torchvision", reason="the examples need torchvision")

from examples.loading import load

from equicon.data import VideoFrames, open_keypoints
from equicon.hands import SyntheticHands

write_keypoints = load("write_keypoints.py")


def test_labels_and_videos_of_hands_in_motion(tmp_path, capsys):
    pytest.importorskip("av", reason="videos need PyAV")
    write_keypoints.main(["--videos", "2", "--frames", "24", "--size", "32", "--out", str(tmp_path / "p")])
    data, test = (open_keypoints(folder, 32) for folder in (tmp_path / "p", tmp_path / "p" / "test"))
    assert (len(data), len(test)) == (5, 5)  # every fifth of 24 frames
    hands = SyntheticHands(48, 32, domain="studio", scenes=2, clip=24, side="right").render(range(48))
    assert torch.allclose(data.xy[1], hands.xy[5][[0, 4, 8, 12, 16, 20]], atol=1e-4)
    assert torch.equal(data[1].image, hands.image[5])
    video = VideoFrames(tmp_path / "p" / "videos" / "video1.mp4", 32)
    assert len(video) == 24
    assert (video[3].image.float() - hands.image[27].float()).abs().mean() < 8
    assert "10 labelled frames of 2 videos" in capsys.readouterr().out


def test_frames_are_whole_movements(tmp_path, capsys):
    with pytest.raises(SystemExit):
        write_keypoints.main(["--frames", "30", "--out", str(tmp_path)])
    assert "--frames: expected a multiple of 24, got 30" in capsys.readouterr().err


def test_labels_that_are_there_are_not_overwritten(tmp_path):
    words = ["--videos", "2", "--frames", "24", "--size", "16", "--out", str(tmp_path)]
    (tmp_path / "CollectedData.csv").write_text("mine")
    with pytest.raises(SystemExit, match=r"CollectedData"):
        write_keypoints.main(words)
    assert (tmp_path / "CollectedData.csv").read_text() == "mine"
