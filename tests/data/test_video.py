import pickle
import random
from fractions import Fraction
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from equicon.data import Boxed, CorruptImage, SkipCorrupt, VideoFrames, read_rgb, write_video

av = pytest.importorskip("av", reason="reads and writes videos")

COUNT = 50
H264 = ("libx264", {"bf": "3", "g": "12", "sc_threshold": "0"})
KINDS = {
    "a.mp4": H264,
    "a.mkv": H264,
    "b.mp4": ("mpeg4", {"bf": "2", "g": "10"}),
    "a.avi": ("mpeg4", {"g": "10"}),
}


def pictures(count: int = COUNT, height: int = 48, width: int = 64) -> Tensor:
    """Frames that all differ: a bright bar moves over noise."""
    frames = torch.randint(0, 120, (1, 3, height, width), generator=torch.Generator().manual_seed(0)).repeat(
        count, 1, 1, 1
    )
    for i in range(count):
        frames[i, :, :, i % width : i % width + 3] = 255
        frames[i, 0] += 2 * i % 100
    return frames.clamp(max=255).byte()


def encode(path: Path, codec: str, options: dict[str, str], rotation: int = 0) -> Path:
    if codec not in av.codecs_available:
        pytest.skip(f"this FFmpeg has no {codec}")
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=Fraction(30000, 1001), options=options)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        if rotation:
            stream.set_display_rotation(rotation)
        for frame in pictures():
            array = frame.permute(1, 2, 0).contiguous().numpy()
            container.mux(stream.encode(av.VideoFrame.from_ndarray(array, format="rgb24")))
        container.mux(stream.encode())
    return path


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("videos")


def made(videos: Path, name: str) -> Path:
    return videos / name if (videos / name).exists() else encode(videos / name, *KINDS[name])


def decoded(path: Path) -> Tensor:
    """All frames, decoded from the first to the last."""
    with av.open(str(path)) as container:
        frames = [torch.from_numpy(frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]
    return torch.stack(frames).permute(0, 3, 1, 2)


@pytest.mark.parametrize("name", KINDS)
def test_a_frame_is_the_same_in_any_order(videos, name):
    path = made(videos, name)
    wanted = decoded(path)
    data = VideoFrames(path, 64)
    assert len(data) == len(wanted) == COUNT
    for seed in range(3):
        order = random.Random(seed).sample(range(COUNT), COUNT)
        for i in [*order, order[-1], COUNT - 1, 0]:
            image, box = data[i]
            assert torch.equal(image[:, 8:56], wanted[i]), i
    assert box.tolist() == [-0.5, 7.5, 63.5, 55.5]
    assert [number for number, frame in data.frames() if torch.equal(frame, wanted[number])] == list(range(COUNT))


def test_the_videos_have_frames_out_of_order_and_few_key_frames(videos):
    with av.open(str(made(videos, "a.mp4"))) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    times = [packet.pts for packet in packets]
    assert times != sorted(times)
    assert 1 < sum(packet.is_keyframe for packet in packets) < 8


def test_what_stands_is_read_once_in_order(videos, monkeypatch):
    data = VideoFrames(made(videos, "a.mp4"), 16)
    opened: list[int | None] = []
    open_at = data._decoder._open
    monkeypatch.setattr(data._decoder, "_open", lambda start: (opened.append(start), open_at(start)))
    for i in range(1, COUNT):
        data[i]
    assert opened == []
    data[0], data[40]
    assert len(opened) == 2
    assert opened[1] > 0


def test_every_third_frame(videos):
    path = made(videos, "a.mp4")
    data = VideoFrames(path, 64, every=3, block=4)
    wanted = decoded(path)
    assert len(data) == 17
    assert all(torch.equal(data[i].image[:, 8:56], wanted[3 * i]) for i in (16, 3, 8))
    assert torch.equal(data[-14].image, data[3].image)
    assert data.groups.tolist() == [i // 4 for i in range(17)]
    assert data.path(5) == path
    assert (data.frame_rate, data.frame_size) == (pytest.approx(30000 / 1001), (48, 64))
    assert len(list(data.frames())) == COUNT
    with pytest.raises(IndexError):
        data[17]


def test_points_come_home(videos):
    path = made(videos, "a.mp4")
    data = VideoFrames(path, 32, margin=1.5, padding_mode="border")
    box = data[0].box
    corners = data.to_source(box.view(2, 2))
    torch.testing.assert_close(corners, torch.tensor([[-0.5, -0.5], [63.5, 47.5]]))
    assert torch.equal(data.cut(next(data.frames())[1]).image, data[0].image)


@pytest.mark.parametrize("method", ["fork", pytest.param("spawn", marks=pytest.mark.slow)])
def test_workers_open_the_video_for_themselves(videos, method):
    data = VideoFrames(made(videos, "a.mp4"), 16)
    alone = torch.stack([data[i].image for i in range(COUNT)])
    data[20]  # this process is in the middle of the file
    order = torch.randperm(COUNT, generator=torch.Generator().manual_seed(0)).tolist()
    loader = DataLoader(data, 10, sampler=order, num_workers=1, multiprocessing_context=method)
    batches = list(loader)
    assert isinstance(batches[0], Boxed)
    assert torch.equal(torch.cat([batch.image for batch in batches]), alone[order])
    assert torch.equal(data[21].image, alone[21])
    assert torch.equal(pickle.loads(pickle.dumps(data))[7].image, alone[7])


def test_a_forked_process_leaves_the_open_file_alone(videos, monkeypatch):
    data = VideoFrames(made(videos, "a.mp4"), 16)
    data[3]
    before = data._decoder._container
    data[4]
    assert data._decoder._container is before
    monkeypatch.setattr("equicon.data._video_decoder.os.getpid", lambda: -1)
    data[5]
    assert data._decoder._container is not before


def test_a_batch_is_decoded_in_order(videos, monkeypatch):
    data = VideoFrames(made(videos, "a.mp4"), 16)
    read, asked = data._decoder.read, []
    monkeypatch.setattr(data._decoder, "read", lambda index: (asked.append(index), read(index))[1])
    found = data.__getitems__([9, 3, -1, 3])
    assert asked == [3, 9, COUNT - 1]
    assert all(torch.equal(item.image, data[i].image) for item, i in zip(found, [9, 3, -1, 3], strict=True))


@pytest.mark.parametrize("rotation", [90, -90, 180])
def test_a_video_that_was_taken_on_its_side_stands_upright(tmp_path, rotation):
    path = encode(tmp_path / "a.mp4", *H264, rotation=rotation)
    data = VideoFrames(path, 64)
    wanted = torch.rot90(decoded(path)[5], rotation // 90, (1, 2))
    assert data.frame_size == tuple(wanted.shape[1:])
    assert torch.equal(next(frame for i, frame in data.frames() if i == 5), wanted)


# --- writing


@pytest.mark.parametrize("size", [(48, 64), (47, 63)])
def test_what_is_written_is_read(tmp_path, size):
    frames = torch.nn.functional.avg_pool2d(pictures(12, 2 * size[0], 2 * size[1]).float(), 2)
    frames = torch.linspace(0, 200, 12).view(-1, 1, 1, 1) + 0.1 * frames
    write_video(tmp_path / "new" / "a.mp4", iter(frames.byte()), 12.5)
    data = VideoFrames(tmp_path / "new" / "a.mp4", 32)
    assert (len(data), data.frame_rate, data.frame_size) == (12, 12.5, (48, 64))
    found = torch.stack([frame for _, frame in data.frames()])[..., : size[0], : size[1]].float()
    assert float((found.mean((1, 2, 3)) - frames.mean((1, 2, 3))).abs().max()) < 3
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.mp4"]


def test_frames_of_an_avi_have_their_numbers_and_one_without_times_is_refused(tmp_path):
    # Moving noise makes the encoder put frames out of their order, which an AVI would not tell.
    still = torch.randint(0, 256, (3, 48, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    moving = [still.roll(3 * i, 2) for i in range(20)]
    write_video(tmp_path / "a.avi", moving, 25)
    video = VideoFrames(tmp_path / "a.avi", 64)
    assert len(video) == 20
    for i, frame in video.frames():
        far = [float((frame.float() - other.float()).abs().mean()) for other in moving]
        assert min(range(20), key=far.__getitem__) == i
    path = tmp_path / "b.avi"
    if "libx264" not in av.codecs_available:
        pytest.skip("this FFmpeg has no libx264")
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"bf": "3"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for frame in moving:
            container.mux(
                stream.encode(av.VideoFrame.from_ndarray(frame.permute(1, 2, 0).numpy().copy(), format="rgb24"))
            )
        container.mux(stream.encode())
    with pytest.raises(ValueError, match=r"path: expected a video that says when each frame is shown.*Convert it"):
        VideoFrames(path, 64)


def test_the_last_row_and_column_are_repeated(tmp_path):
    frame = torch.zeros(3, 47, 63, dtype=torch.uint8)
    frame[:, :, 40:] = 255
    write_video(tmp_path / "a.mp4", [frame] * 3, 30000 / 1001)
    data = VideoFrames(tmp_path / "a.mp4", 32)
    assert data.frame_rate == pytest.approx(30000 / 1001, rel=1e-6)
    assert int(next(data.frames())[1][..., 63].min()) > 200


@pytest.mark.parametrize(
    ("frames", "error", "message"),
    [
        ([], ValueError, "frames: expected at least one frame, got none"),
        ([torch.zeros(3, 8, 8)], TypeError, r"frames: 0: expected a tensor \(3, H, W\) of uint8"),
        (
            [torch.zeros(3, 8, 8, dtype=torch.uint8), torch.zeros(3, 8, 10, dtype=torch.uint8)],
            ValueError,
            r"frames: 1: expected a frame of shape \(3, 8, 8\), as the first",
        ),
    ],
)
def test_a_video_appears_whole_or_not_at_all(tmp_path, frames, error, message):
    (tmp_path / "a.mp4").write_text("earlier")
    with pytest.raises(error, match=message):
        write_video(tmp_path / "a.mp4", frames, 10)
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("a.mp4", "earlier")]


def test_an_ending_of_no_container_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"path: expected the path of a video, such as a\.mp4, got .*a\.odd"):
        write_video(tmp_path / "a.odd", pictures(2), 10)
    with pytest.raises(ValueError, match="rate: expected a number above 0"):
        write_video(tmp_path / "a.mp4", pictures(2), 0)


# --- what is no video


def test_what_is_no_video_is_named(tmp_path):
    with pytest.raises(
        ValueError, match=r"path: expected a video, got .*gone\.mp4, which cannot be read: .*No such file"
    ):
        VideoFrames(tmp_path / "gone.mp4", 16)
    (tmp_path / "a.mp4").write_bytes(b"nothing" * 99)
    with pytest.raises(ValueError, match=r"path: expected a video, got .*a\.mp4, which cannot be read: .*Invalid data"):
        VideoFrames(tmp_path / "a.mp4", 16)
    with av.open(str(tmp_path / "a.wav"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        sound = av.AudioFrame(format="s16", layout="mono", samples=800)
        sound.rate = 8000
        container.mux(stream.encode(sound))
        container.mux(stream.encode())
    with pytest.raises(ValueError, match=r"path: expected a video, got .*a\.wav, which has no pictures"):
        VideoFrames(tmp_path / "a.wav", 16)
    with pytest.raises(ValueError, match=r"a\.h264, which does not say when each frame is shown.*ffmpeg -i"):
        VideoFrames(encode(tmp_path / "a.h264", *H264), 16)


def test_a_frame_that_cannot_be_decoded_is_replaced(tmp_path, videos):
    path = tmp_path / "a.mkv"
    whole = made(videos, "a.mkv").read_bytes()
    path.write_bytes(whole)
    data = VideoFrames(path, 16)
    path.write_bytes(whole[: len(whole) // 2])
    lost = pickle.loads(pickle.dumps(data))  # opens what is there now
    with pytest.raises(CorruptImage, match=r"a\.mkv \(index 49\): expected a frame of a video, got "):
        lost[49]
    assert torch.equal(lost[3].image, data[3].image)
    assert torch.equal(SkipCorrupt(lost)[49].image, data[0].image)


def test_without_pyav_the_extra_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr("equicon.data._video_decoder.find_spec", lambda name: None)
    for call in (lambda: VideoFrames(tmp_path / "a.mp4", 8), lambda: write_video(tmp_path / "a.mp4", [], 1)):
        with pytest.raises(ModuleNotFoundError, match=r"not installed: av, .*pip install 'equicon\[video\]'"):
            call()


def test_a_frame_is_as_pictures_are_read(videos, tmp_path):
    from kornia.io import write_image

    frame = next(VideoFrames(made(videos, "a.mp4"), 16).frames())[1]
    write_image(tmp_path / "a.png", frame.contiguous())
    assert torch.equal(read_rgb(tmp_path / "a.png"), frame)
