"""Videos: their frames as pictures without labels, and a writer."""

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, final, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from equicon._checks import (
    check_choice,
    check_factor,
    check_index,
    check_int,
    check_positive,
    describe,
    type_error,
    value_error,
)
from equicon._plane.frames import edges
from equicon._views.warp import PaddingMode
from equicon.data._boxes import Boxed
from equicon.data._cutting import cut_box
from equicon.data._squares import to_picture
from equicon.data._video_decoder import VideoDecoder, need_av

if TYPE_CHECKING:
    import av

_FINEST = 90_000  # a second in the steps that most containers can write


@final
class VideoFrames(Dataset[Boxed]):
    """Frames of a video, without labels, cut to squares of one size: for pre-training, and for predictions.

    An item is a whole frame, upright, in a square of ``margin`` × the frame's longer side, resized to ``size`` with
    anti-aliasing. Its box is the whole frame. So a frame looks as it does from ``DeepLabCutKeypoints``.

    Nothing is copied to disk. Frames may be asked for in any order, and frame i is always the same. Each process opens
    the video for itself. To give a frame, all frames since the key frame before it are decoded, and some videos have
    only one key frame in 250. Frames that are asked for in order are decoded once each. A ``DataLoader`` asks for a
    batch at a time, which is decoded in order.

    The groups are blocks of consecutive items. Batches from few of them show scenes that are alike, and take less
    decoding: see ``GroupedBatchSampler``.

    It needs PyAV, of the extra ``video``.

    Convention: boxes and points are in integer pixel centres.

    Args:
        video: The file, in any format that FFmpeg reads.
        size: Side of the items in pixels, at least 1.
        every: Only every n-th frame is an item, from the first one on.
        block: Number of items in a group, at least 1.
        margin: Side of the square divided by the frame's longer side, in [1e-4, 1e4].
        padding_mode: What the square shows outside the frame: ``zeros``, which is black, ``border`` or ``reflection``.

    Attributes:
        frame_rate: Frames of the video in a second.
        frame_size: Height and width of its frames.

    Raises:
        TypeError: If an argument is of the wrong type.
        ValueError: If an argument is out of range, or the file is missing or is no video.
        ModuleNotFoundError: If PyAV is not installed.
        CorruptImage: From an item that cannot be decoded. Damage inside a frame often goes unnoticed: FFmpeg conceals
            it, up to the next key frame.

    Examples:
        >>> import pathlib, tempfile
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "a.mp4"
        >>> write_video(path, torch.zeros(6, 3, 48, 64, dtype=torch.uint8), rate=25)
        >>> data = VideoFrames(path, 32, every=2)
        >>> len(data), data[2].image.shape, data.frame_rate, data.frame_size
        (3, torch.Size([3, 32, 32]), 25.0, (48, 64))
    """

    def __init__(
        self,
        video: str | os.PathLike[str],
        size: int,
        *,
        every: int = 1,
        block: int = 64,
        margin: float = 1.0,
        padding_mode: PaddingMode = "zeros",
    ) -> None:
        self.size = check_int("size", size, low=1)
        self.every, self.block = check_int("every", every, low=1), check_int("block", block, low=1)
        self.margin = check_factor("margin", margin)
        check_choice("padding_mode", padding_mode, get_args(PaddingMode))
        self.padding_mode = padding_mode
        self._decoder = VideoDecoder(Path(video))
        self.frame_rate, self.frame_size = self._decoder.rate, self._decoder.size
        self._box = torch.tensor(edges(self.frame_size), dtype=torch.float32, device="cpu")

    @property
    def groups(self) -> Tensor:
        """The number of each item's block, (n,) int64, for ``GroupedBatchSampler``."""
        return torch.arange(len(self), device="cpu") // self.block

    def path(self, index: int) -> Path:
        """Return the path of the video, whichever item it is."""
        check_index(index, len(self))
        return self._decoder.path

    def __len__(self) -> int:
        """Return the number of items."""
        return -(-len(self._decoder) // self.every)

    def __getitem__(self, index: int) -> Boxed:
        """Decode one frame and cut it. Raise ``CorruptImage`` if it cannot be decoded."""
        position = check_index(index, len(self))
        return self.cut(self._decoder.read(position * self.every), position)

    def __getitems__(self, indices: list[int]) -> list[Boxed]:
        """Decode the frames of a batch, in the order of the video. A ``DataLoader`` calls it."""
        found = {index: self[index] for index in sorted({check_index(index, len(self)) for index in indices})}
        return [found[check_index(index, len(self))] for index in indices]

    def cut(self, frame: Tensor, index: int = 0) -> Boxed:
        """Cut a frame (3, H, W) as an item is cut, such as one that ``frames`` gives."""
        return cut_box(
            frame,
            self._box,
            self.margin,
            self.size,
            path=self._decoder.path,
            index=index,
            clip=False,
            padding_mode=self.padding_mode,
        )

    def to_source(self, xy: Tensor) -> Tensor:
        """Move points (..., K, 2) from pixels of the items to pixels of the frames that these are cut from."""
        return to_picture(xy, self._box, self.margin, self.size)

    def frames(self) -> Iterator[tuple[int, Tensor]]:
        """Yield all frames of the video in order, whatever ``every`` is: the number, and (3, H, W) uint8."""
        decoder = VideoDecoder(self._decoder.path)
        return ((number, decoder.read(number)) for number in range(len(decoder)))


def write_video(path: str | os.PathLike[str], frames: Iterable[Tensor], rate: float) -> None:
    """Write frames as a video in H.264, or in MPEG-4 where that is missing. It appears whole or not at all.

    A frame of odd height or width gets one more row or column, which repeats the last: the codecs need even numbers.

    Args:
        path: The file to write, such as ``a.mp4``; its ending chooses the container. An earlier file is replaced.
        frames: (3, H, W) uint8 each, all of one size; at least one.
        rate: Frames in a second, above 0: ``VideoFrames.frame_rate``.

    Raises:
        TypeError: If a frame is no such tensor.
        ValueError: If there is no frame, they differ in size, or the ending is of no container.
        ModuleNotFoundError: If PyAV is not installed.

    Examples:
        >>> import pathlib, tempfile
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "a.mp4"
        >>> write_video(path, (torch.full((3, 48, 64), 20 * i, dtype=torch.uint8) for i in range(5)), rate=12.5)
        >>> [round(float(frame.float().mean()) / 20) for _, frame in VideoFrames(path, 32).frames()]
        [0, 1, 2, 3, 4]
    """
    need_av()
    import av

    steps = Fraction(check_positive("rate", rate)).limit_denominator(_FINEST)
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}")  # the container follows the ending
    pictures = _even_pictures(frames)
    first = next(pictures, None)
    if first is None:
        raise value_error("frames", "at least one frame", "none")
    try:
        with _create(part, target) as container:
            if "libx264" in av.codecs_available:
                # AVI does not say when a frame is shown, so there frames must be in the order in which they are shown.
                order = {"bf": "0"} if target.suffix.lower() == ".avi" else {}
                stream = container.add_stream("libx264", rate=steps, options={"crf": "18", **order})
            else:
                stream = container.add_stream("mpeg4", rate=steps, options={"qscale": "3"})
            stream.height, stream.width, stream.pix_fmt = *first.shape[:2], "yuv420p"
            for picture in chain([first], pictures):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            container.mux(stream.encode())
        part.replace(target)
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def _create(part: Path, target: Path) -> "av.container.OutputContainer":
    import av

    try:
        return av.open(os.fspath(part), "w")
    except (ValueError, OSError) as error:
        wanted = "the path of a video, such as a.mp4"
        raise value_error("path", wanted, f"{target}, which cannot be written: {error}") from error


def _even_pictures(frames: Iterable[Tensor]) -> Iterator[NDArray[np.uint8]]:
    """Yield frames as arrays (H, W, 3) of even height and width."""
    shape: tuple[int, ...] | None = None
    for number, frame in enumerate(frames):
        if not isinstance(frame, Tensor) or frame.dtype != torch.uint8 or frame.ndim != 3 or len(frame) != 3:
            raise type_error(f"frames: {number}", "a tensor (3, H, W) of uint8", describe(frame))
        shape = shape or tuple(frame.shape)
        if frame.shape != shape:
            raise value_error(f"frames: {number}", f"a frame of shape {shape}, as the first", frame)
        array = frame.cpu().permute(1, 2, 0).numpy()
        height, width = array.shape[:2]
        yield np.ascontiguousarray(np.pad(array, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge"))
