"""What a recognizer takes as a video.

A path, the bytes of a file, an open file, a folder of frames, or the frames themselves.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TypeAlias

import numpy as np
import torch

from kinema.errors import ConfigError, VideoError
from kinema.registry import TRANSFORMS
from kinema.transforms.decoding import ArrayDecode, DecodeVideo, OpenVideo, RawFrameDecode, is_kind
from kinema.video import FrameFolder, VideoReader
from kinema.video.remote import NamedBytes
from kinema.video.suffixes import has_video_suffix

VideoInput: TypeAlias = str | os.PathLike[str] | bytes | bytearray | memoryview | IO[bytes] | np.ndarray | torch.Tensor
Step: TypeAlias = dict[str, Any]
_EXPECTED = (
    "a path, the bytes of a video file, a file opened with 'rb', frames as a uint8 array or tensor (T, H, W, 3), or a"
    " list of these"
)


class FramesInMemory:
    """Frames that are there already, behind the part of `VideoReader`'s interface that transforms use.

    Args:
        frames: (T, H, W, 3) uint8 RGB.
        fps: frames a second; 0 where unknown.
    """

    def __init__(self, frames: np.ndarray, fps: float = 0.0) -> None:
        self.frames = frames
        self.fps = fps
        self.num_replaced = 0

    def __len__(self) -> int:
        return len(self.frames)

    def get_batch(self, indices: np.ndarray) -> np.ndarray:
        """(N, H, W, 3) uint8, a copy."""
        return self.frames[indices]

    def close(self) -> None:
        """Nothing is open."""


class FramesInFolder(FramesInMemory):
    """Numbered images of a folder, read when they are asked for.

    Args:
        folder: of the images.
        fps: frames a second; 0 where unknown.
    """

    def __init__(self, folder: Path, fps: float = 0.0) -> None:
        self.folder = FrameFolder(folder, fps=fps)
        self.fps = fps
        self.num_replaced = 0

    def __len__(self) -> int:
        return self.folder.num_frames

    def get_batch(self, indices: np.ndarray) -> np.ndarray:
        return self.folder.decode(np.asarray(indices, dtype=np.int64))


@dataclass(frozen=True)
class VideoSource:
    """A video as the pipeline of a recognizer begins with it.

    Attributes:
        name: the path, or what the frames are.
        sample: the keys that the first transform finds.
        is_open: the frames need no opening: steps that open a video are left out.
    """

    name: str
    sample: dict[str, Any]
    is_open: bool


def video_source(video: Any, fps: float | None = None) -> VideoSource:
    """Make a sample of what a user gives as a video.

    Args:
        video: a path; the bytes of a video file; a binary file object, which is read from its
            beginning; (T, H, W, 3) uint8 RGB frames, as an array or a tensor (of a tensor also (T,
            3, H, W)); or a folder of numbered images.
        fps: frames a second of frames and folders, which do not state it; None: unknown.

    Raises:
        TypeError: it is none of these, or the frames are no bytes.
        ValueError: the frames have another shape.
        VideoError: there is no such file, a folder holds no frames, or a file object is empty.
    """
    if isinstance(video, str | os.PathLike):
        return _from_path(os.fspath(video), fps)
    if isinstance(video, bytes | bytearray | memoryview):
        return _from_bytes(bytes(video), name_of(video))
    if isinstance(video, np.ndarray | torch.Tensor):
        return _opened(FramesInMemory(_rgb_frames(video), fps or 0.0), name_of(video))
    if hasattr(video, "read"):
        return _from_bytes(_read_whole(video, name_of(video)), name_of(video))
    raise TypeError(f"a video must be {_EXPECTED}; got {type(video).__name__}")


def name_of(video: Any) -> str:
    """What messages call a video: its path, or what it is."""
    if isinstance(video, str | os.PathLike):
        return os.fspath(video)
    if isinstance(video, bytes | bytearray | memoryview):
        return f"{len(video)} bytes of a video"
    if isinstance(video, np.ndarray | torch.Tensor):
        return f"frames of shape {tuple(video.shape)}"
    name = getattr(video, "name", None)
    return name if isinstance(name, str) else f"a {type(video).__name__} object"


def require_videos(videos: Sequence[Any]) -> None:
    """Require of a list that it holds videos.

    Raises:
        ValueError: it is empty, or holds the single frames of a video.
    """
    if not videos:
        raise ValueError("no videos were given: the list is empty")
    if all(isinstance(clip, np.ndarray | torch.Tensor) and clip.ndim == 3 for clip in videos):
        raise ValueError(
            f"a list holds several videos, this one {len(videos)} single frames of shape {tuple(videos[0].shape)}: "
            "put them together as one array (T, H, W, 3), by np.stack(frames)"
        )


def _from_path(path: str, fps: float | None) -> VideoSource:
    if "://" not in path:
        place = Path(path)
        if place.is_dir():
            _require_no_videos(place)
            return _opened(FramesInFolder(place, fps or 0.0), path)
        if not place.is_file():  # said here, for a pipeline takes a name without suffix for that of an mp4 file
            raise VideoError(f"{path}: no such file")
    return VideoSource(path, {"filename": path}, is_open=False)


def _require_no_videos(folder: Path) -> None:
    videos = sorted(entry.name for entry in folder.iterdir() if has_video_suffix(entry.name))
    if videos:
        raise VideoError(
            f"{folder}: is a folder of videos, not of frames: give the videos themselves, such as {folder / videos[0]}"
        )


def _from_bytes(content: bytes, name: str) -> VideoSource:
    if not content:
        raise VideoError(f"{name}: is empty: expected the content of a video file")
    return VideoSource(name, {"filename": name, "video_bytes": content}, is_open=False)


def _opened(reader: FramesInMemory, name: str) -> VideoSource:
    facts = {"video_reader": reader, "total_frames": len(reader), "avg_fps": reader.fps}
    return VideoSource(name, {"filename": name, **facts}, is_open=True)


def _read_whole(file: Any, name: str) -> bytes:
    """All of a file object, from its beginning where it can go there; its position stays."""
    is_seekable = bool(getattr(file, "seekable", lambda: False)())
    position = file.tell() if is_seekable else 0
    if is_seekable:
        file.seek(0)
    content = file.read()
    if is_seekable:
        file.seek(position)
    if not isinstance(content, bytes | bytearray | memoryview):
        raise TypeError(f"{name}: reading it gives {type(content).__name__}, not bytes: open the file with mode 'rb'")
    return bytes(content)


def _rgb_frames(video: np.ndarray | torch.Tensor) -> np.ndarray:
    """(T, H, W, 3) uint8."""
    what = "a tensor" if isinstance(video, torch.Tensor) else "an array"
    if video.dtype not in (np.uint8, torch.uint8):
        raise TypeError(
            f"frames must be uint8 RGB, 0 to 255, of shape (T, H, W, 3); got {what} of {video.dtype}"
            f"{_float_hint(video)}"
        )
    is_channels_first = isinstance(video, torch.Tensor) and video.ndim == 4 and video.shape[3] != 3 == video.shape[1]
    frames = video.permute(0, 2, 3, 1) if isinstance(video, torch.Tensor) and is_channels_first else video
    if frames.ndim != 4 or frames.shape[3] != 3 or 0 in frames.shape:
        hint = {
            3: ": one frame alone is frame[None]; a list of frames is np.stack(frames)",
            5: ": give several videos as a list, one after the other",
        }.get(video.ndim, "")
        raise ValueError(
            f"frames must have the shape (T, H, W, 3), with at least one frame; got {what} {tuple(video.shape)}{hint}"
        )
    return frames.cpu().numpy() if isinstance(frames, torch.Tensor) else frames


def _float_hint(video: np.ndarray | torch.Tensor) -> str:
    is_float = video.is_floating_point() if isinstance(video, torch.Tensor) else video.dtype.kind == "f"
    if not is_float:
        return ": convert it, with values from 0 to 255"
    return ": for values from 0 to 1, (frames * 255).round() and convert that to uint8"


def pipeline_of_frames(pipeline: Sequence[Step]) -> list[Step]:
    """A pipeline that opens a video, for frames that need no opening: it takes them from `video_reader`.

    Args:
        pipeline: configs of transforms.

    Raises:
        ConfigError: it reads no frames that way, as one for joints or sound.
    """
    parts = [
        TRANSFORMS.get(step["type"]) if isinstance(step.get("type"), str) else step.get("type") for step in pipeline
    ]
    decoding = (DecodeVideo, RawFrameDecode, ArrayDecode)
    if not any(is_kind(part, *decoding) for part in parts):
        names = ", ".join(str(step.get("type")) for step in pipeline)
        raise ConfigError(f"the recognizer's pipeline decodes no video frames, so it takes none: {names}")
    kept = zip(pipeline, parts, strict=True)
    return [
        {"type": "DecodeVideo"} if is_kind(part, *decoding) else dict(step)
        for step, part in kept
        if not is_kind(part, OpenVideo)
    ]


def opens_videos(pipeline: Sequence[Step]) -> bool:
    """Does a step of the pipeline open a video file?"""
    types = [step.get("type") for step in pipeline]
    return any(is_kind(TRANSFORMS.get(kind) if isinstance(kind, str) else kind, OpenVideo) for kind in types)


def open_source(source: VideoSource, fps: float | None = None) -> VideoSource:
    """A file that a pipeline without a step for it does not open itself, such as one for folders of frames."""
    if source.is_open:
        return source
    content = source.sample.get("video_bytes")
    reader = VideoReader(source.name if content is None else NamedBytes(content, source.name))
    facts = {"video_reader": reader, "total_frames": len(reader), "avg_fps": fps or reader.fps}
    return VideoSource(source.name, {"filename": source.name, **facts}, is_open=True)
