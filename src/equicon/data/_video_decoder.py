"""Frames of a video by their number, decoded with PyAV."""

import os
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from equicon._checks import value_error
from equicon.data._corrupt import corrupt_image
from equicon.data._names import other_spelling

if TYPE_CHECKING:
    from collections.abc import Iterator

    import av

_CONVERT = "Convert it: ffmpeg -i VIDEO a.mp4."
_NEAR = 8  # frames ahead that are decoded rather than sought


def need_av() -> None:
    """Check that PyAV is installed."""
    if find_spec("av") is None:
        how = "pip install 'equicon[video]', or in a clone pip install -e '.[video]'"
        raise ModuleNotFoundError(f"not installed: av, which reads and writes videos. Install the extra: {how}.")


class VideoDecoder:
    """Decodes frames of a video in any order. What is decoded does not depend on the order.

    The times of all frames are read first, without decoding. To decode a frame, the file is opened at the last key
    frame before it, or further on if it is read in order. Each process opens the file for itself.

    Args:
        path: The video.

    Attributes:
        rate: Frames in a second.
        size: Height and width of the upright frames.

    Raises:
        ValueError: If the file is missing, or is no video that can be decoded.
    """

    def __init__(self, path: Path) -> None:
        need_av()
        import av

        self.path = path
        self._reset()
        try:
            with av.open(os.fspath(path)) as container:
                stream = next(iter(container.streams.video), None)
                if stream is None:
                    raise value_error("path", "a video", f"{path}, which has no pictures")
                if container.format.name == "avi" and stream.codec_context.has_b_frames:
                    raise value_error("path", "a video that says when each frame is shown", f"{path}, an AVI", _CONVERT)
                self.rate = float(stream.average_rate or stream.guessed_rate or 1)
                # Not the packets themselves: they hold the compressed pictures.
                shown = [(p.pts, p.is_keyframe) for p in container.demux(stream) if p.size and not p.is_discard]
        except (av.FFmpegError, OSError) as error:
            fix = other_spelling(path)
            raise value_error("path", "a video", f"{path}, which cannot be read: {error}", fix) from error
        keys = np.unique([pts for pts, key in shown if key and pts is not None])
        if not len(keys) or any(pts is None for pts, _ in shown):
            got = f"{path}, which does not say when each frame is shown"
            raise value_error("path", "a video", got, _CONVERT)
        pts = np.unique([pts for pts, _ in shown if pts is not None and pts >= keys[0]])
        self._pts = torch.from_numpy(pts)
        self._start = torch.from_numpy(keys[np.searchsorted(keys, pts, side="right") - 1])
        _, height, width = self.read(0).shape
        self.size = (height, width)

    def __len__(self) -> int:
        return len(self._pts)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name not in ("_container", "_frames")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._reset()

    def _reset(self) -> None:
        self._process, self._last = os.getpid(), -1
        self._container: av.container.InputContainer | None = None
        self._frames: Iterator[av.VideoFrame] = iter(())

    def read(self, index: int) -> Tensor:
        """Decode a frame: (3, H, W) uint8. Raise ``CorruptImage`` if that is not possible."""
        import av

        if self._process != os.getpid():  # the place in the file is shared with the process that opened it
            self._reset()
        target, start = int(self._pts[index]), int(self._start[index])
        ahead = index - self._last
        onward = self._container is not None and ahead > 0
        onward = onward and (ahead <= _NEAR or start == int(self._start[self._last]))
        try:
            # What lies before the frame is passed over. If a seek leads too far, the file is read from its beginning.
            for attempt in range(0 if onward else 1, 3):
                if attempt:
                    self._open(start if attempt == 1 else None)
                found = next((frame for frame in self._frames if frame.pts is not None and frame.pts >= target), None)
                if found is not None and found.pts == target and not found.is_corrupt:
                    self._last = index
                    return _upright(found)
            reason = "no such frame"
        except (av.FFmpegError, OSError) as error:
            reason = f"this: {error}"
        self._reset()
        raise corrupt_image(self.path, index, "a frame of a video", reason, "Go on without it: SkipCorrupt(data).")

    def _open(self, start: int | None) -> None:
        """Go to the key frame that is shown at a time, or to the beginning."""
        import av

        if self._container is None or start is None:
            self._container = av.open(os.fspath(self.path))
            self._container.streams.video[0].codec_context.thread_count = 1  # see _upright
        if start is not None:
            with suppress(av.FFmpegError):  # not every format can be sought in
                self._container.seek(start, stream=self._container.streams.video[0])
        self._frames = self._container.decode(video=0)


def _upright(frame: "av.VideoFrame") -> Tensor:
    # One thread: a process that is forked from this one would wait for the others for ever.
    picture = np.rot90(frame.to_ndarray(format="rgb24", threads=1), round(frame.rotation / 90))
    return torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1)
