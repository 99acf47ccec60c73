"""`mmcv.VideoReader` and its companions: frames in OpenCV's BGR order, over `kinema.video`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from kinema.compat.parts.images.files import imread, imwrite
from kinema.compat.parts.images.resizing import imresize, rescale_size
from kinema.errors import VideoError
from kinema.progress import track_iter_progress
from kinema.video import VideoReader as _VideoReader
from kinema.video import VideoWriter as _VideoWriter
from kinema.video import write_video

_ENCODERS = {  # FFmpeg's names; None: by the suffix
    "XVID": None,
    **dict.fromkeys(("DIVX", "FMP4", "MP4V", "mp4v"), "mpeg4"),
    **dict.fromkeys(("MJPG", "mjpg"), "mjpeg"),
    **dict.fromkeys(("AVC1", "H264", "X264", "avc1", "h264", "x264"), "libx264"),
    **dict.fromkeys(("HEVC", "hev1", "hvc1"), "libx265"),
    **dict.fromkeys(("VP90", "vp09"), "libvpx-vp9"),
}


class Cache:
    """The values put in last, by key.

    Args:
        capacity: how many are kept.

    Raises:
        ValueError: `capacity` is below 1.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = int(capacity)
        if self._capacity < 1:
            raise ValueError(f"capacity must be a whole number above 0, got {capacity!r}")
        self._cache: dict[Any, Any] = {}

    @property
    def capacity(self) -> int:
        """How many values are kept."""
        return self._capacity

    @property
    def size(self) -> int:
        """How many values there are."""
        return len(self._cache)

    def put(self, key: Any, val: Any) -> None:
        """Keep a value; the oldest gives way. A key that is there keeps the value that it has."""
        if key in self._cache:
            return
        if self.size >= self._capacity:
            del self._cache[next(iter(self._cache))]
        self._cache[key] = val

    def get(self, key: Any, default: Any = None) -> Any:
        """The value of a key, or `default`."""
        return self._cache.get(key, default)


class VideoReader:
    """A video as a sequence of BGR frames, with a position that `read` moves on.

    Args:
        filename: path of the video.
        cache_capacity: without effect: the reader keeps what it needs.

    Raises:
        VideoError: it cannot be opened as a video.
        ValueError: `cache_capacity` is below 1.
    """

    def __init__(self, filename: str | Path, cache_capacity: int = 10) -> None:
        if cache_capacity < 1:
            raise ValueError(f"cache_capacity must be above 0, got {cache_capacity}")
        self._filename = filename
        self._reader = _VideoReader(filename)
        self._is_open = True
        self.position = 0
        self._current: np.ndarray | None = None
        self._capture: cv2.VideoCapture | None = None

    @property
    def opened(self) -> bool:
        """True until the reader is left by `with`; one that cannot be opened is an error."""
        return self._is_open

    @property
    def width(self) -> int:
        """Of the frames, in pixels."""
        return self._reader.width

    @property
    def height(self) -> int:
        """Of the frames, in pixels."""
        return self._reader.height

    @property
    def resolution(self) -> tuple[int, int]:
        """(width, height), in pixels."""
        return self.width, self.height

    @property
    def fps(self) -> float:
        """Frames a second."""
        return float(self._reader.fps)

    @property
    def fourcc(self) -> float:
        """Code of the codec, as OpenCV gives it: `cv2.VideoWriter_fourcc(*"FMP4")` of MPEG-4."""
        return float(self.vcap.get(cv2.CAP_PROP_FOURCC))

    @property
    def vcap(self) -> cv2.VideoCapture:
        """OpenCV's own reader of the file, for what else it knows of it; its position is not this reader's."""
        if self._capture is None:
            self._capture = cv2.VideoCapture(str(self._filename))
        return self._capture

    @property
    def frame_cnt(self) -> int:
        """Number of frames."""
        return len(self._reader)

    def __len__(self) -> int:
        return self.frame_cnt

    def get_frame(self, frame_id: int) -> np.ndarray:
        """(H, W, 3) BGR; the position moves behind that frame.

        Raises:
            IndexError: there is no such frame.
        """
        if not 0 <= frame_id < self.frame_cnt:
            raise IndexError(f'"frame_id" must be between 0 and {self.frame_cnt - 1}, got {frame_id}')
        self._current = np.ascontiguousarray(self._reader[frame_id][..., ::-1])
        self.position = frame_id + 1
        return self._current

    def read(self) -> np.ndarray | None:
        """The next frame, None at the end."""
        return self.get_frame(self.position) if self.position < self.frame_cnt else None

    def current_frame(self) -> np.ndarray | None:
        """The frame read last, None before the first."""
        return self._current

    def __getitem__(self, index: int | slice) -> np.ndarray | list[np.ndarray]:
        if isinstance(index, slice):
            return [self.get_frame(i) for i in range(*index.indices(self.frame_cnt))]
        return self.get_frame(index + self.frame_cnt if index < 0 else index)

    def __iter__(self) -> Iterator[np.ndarray]:
        self.position = 0
        return self

    def __next__(self) -> np.ndarray:
        frame = self.read()
        if frame is None:
            raise StopIteration
        return frame

    next = __next__

    def __enter__(self) -> "VideoReader":
        return self

    def __exit__(self, *error: object) -> None:
        self._reader.close()
        if self._capture is not None:
            self._capture.release()
        self._is_open = False

    def cvt2frames(
        self,
        frame_dir: str | Path,
        file_start: int = 0,
        filename_tmpl: str = "{:06d}.jpg",
        start: int = 0,
        max_num: int = 0,
        show_progress: bool = True,
    ) -> None:
        """Write the frames as images.

        Args:
            frame_dir: folder for them.
            file_start: number of the first file.
            filename_tmpl: name of a file.
            start: first frame.
            max_num: at most so many frames; 0 for all.
            show_progress: show a progress bar.

        Raises:
            ValueError: `start` is behind the last frame.
        """
        if start >= self.frame_cnt:
            raise ValueError(f"start must be below the number of frames, {self.frame_cnt}, got {start}")
        stop = min(start + max_num, self.frame_cnt) if max_num > 0 else self.frame_cnt
        frames: Any = range(start, stop)
        for number, index in enumerate(track_iter_progress(frames) if show_progress else frames):
            imwrite(self.get_frame(index), Path(frame_dir) / filename_tmpl.format(file_start + number))


def frames2video(
    frame_dir: str | Path,
    video_file: str | Path,
    fps: float = 30,
    fourcc: str = "XVID",
    filename_tmpl: str = "{:06d}.jpg",
    start: int = 0,
    end: int = 0,
    show_progress: bool = True,
) -> None:
    """Make a video of numbered images.

    Args:
        frame_dir: folder of the images.
        video_file: where to.
        fps: frames a second.
        fourcc: the codec; the default, "XVID", chooses it by the suffix.
        filename_tmpl: name of an image.
        start: number of the first image.
        end: number behind the last; 0 for all there are.
        show_progress: show a progress bar.

    Raises:
        VideoError: the first image is not there.
        ValueError: a codec that Kinema does not know by that name.
    """
    if fourcc not in _ENCODERS:
        raise ValueError(f"fourcc must be one of {', '.join(_ENCODERS)}, got {fourcc!r}")
    paths = []
    number = start
    while (end == 0 or number < end) and (path := Path(frame_dir) / filename_tmpl.format(number)).is_file():
        paths.append(path)
        number += 1
    if not paths:
        raise VideoError(f"there is no image {Path(frame_dir) / filename_tmpl.format(start)} to start the video with")
    steps: Any = track_iter_progress(paths) if show_progress else paths
    codec = _ENCODERS[fourcc]
    pictures = (imread(path, channel_order="rgb") for path in steps)
    write_video(video_file, pictures, fps, codec=codec, pixel_format="yuvj420p" if codec == "mjpeg" else None)


def frame_extract(
    video_path: str | Path, short_side: int | None = None, out_dir: str | Path = "./tmp"
) -> tuple[list[str], list[np.ndarray]]:
    """Write a video's frames as `OUT_DIR/STEM/img_000001.jpg`, ... and return them.

    Args:
        video_path: the video.
        short_side: of the frames, in pixels, with their shape kept; None keeps the video's size.
        out_dir: folder that gets a folder of the video's name.

    Returns:
        the paths, and the frames (H, W, 3) in BGR order.
    """
    folder = Path(out_dir) / Path(video_path).stem
    paths: list[str] = []
    frames: list[np.ndarray] = []
    with _VideoReader(video_path) as reader:
        size = rescale_size((reader.width, reader.height), (float("inf"), short_side)) if short_side else None
        for number, picture in enumerate(reader, start=1):
            frame: Any = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
            if size is not None:
                frame = imresize(frame, size)  # type: ignore[arg-type]
            paths.append(str(folder / f"img_{number:06d}.jpg"))
            imwrite(frame, paths[-1])
            frames.append(frame)
    return paths, frames


class VideoWriter:
    """Writes BGR frames into a video; the file is there after `release`, or at the end of a `with` block.

    Args:
        video_file: where to; the suffix names the kind.
        fps: frames a second.
    """

    def __init__(self, video_file: str | Path, fps: float) -> None:
        self.video_file = video_file
        self.fps = fps
        self._writer = _VideoWriter(video_file, fps)

    def write_frame(self, frame: np.ndarray) -> None:
        """Append (H, W, 3) uint8, BGR."""
        self._writer.write(np.ascontiguousarray(frame[..., ::-1]))

    def release(self) -> None:
        """Complete the file."""
        self._writer.close()

    def __enter__(self) -> "VideoWriter":
        return self

    def __exit__(self, *error: Any) -> None:
        self._writer.__exit__(*error)
