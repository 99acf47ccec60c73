"""VideoWriter and write_video: frames to a video file."""

import contextlib
import os
from collections.abc import Iterable, Mapping
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

import av
import numpy as np
from av.container import OutputContainer
from av.video.frame import VideoFrame
from av.video.reformatter import Colorspace
from av.video.stream import VideoStream

from kinema.errors import VideoError
from kinema.files import partial_path, rename_complete
from kinema.video.encoding import DEFAULT_QUALITY, encoder_options, gif_colours
from kinema.video.palette import PaletteGraph
from kinema.video.source import reason_of

_ENCODERS = {
    ".mp4": "libx264",
    ".m4v": "libx264",
    ".mov": "libx264",
    ".mkv": "libx264",
    ".webm": "libvpx-vp9",
    ".avi": "mpeg4",
    ".gif": "gif",
}
_NTSC_BASES = (24, 30, 48, 60, 120)
_TIMED = (".mp4", ".m4v", ".mov", ".mkv", ".webm")  # hold a time for each frame
_TICKS_PER_SECOND = 90_000  # of such times
_MAX_GIF_FPS = 50  # browsers show delays under 2/100 s as 10/100 s

# What forked processes inherited: freeing it would write into the parent's file.
_inherited: list[object] = []


class VideoWriter:
    """Encode frames into one video file, which appears under its name only when it is complete.

    The same frames give the same file on every machine: one encoder thread, and x264 without
    AVX-512. As a context manager it completes the file at the end of the block; when the block
    raises, there is no file, and an older one of that name stays.

        with VideoWriter("demo.mp4", fps=25) as writer:
            for frame in frames:
                writer.write(frame)

    | suffix         | encoder    | quality 0 .. 75 .. 100                         |
    |----------------|------------|------------------------------------------------|
    | .mp4 .mov .mkv | libx264    | crf 44 .. 23 .. 16, linear                     |
    | .webm          | libvpx-vp9 | crf 63 .. 29 .. 18, linear                     |
    | .avi           | mpeg4      | quantizer 31 .. 4 .. 2, geometric              |
    | .gif           | gif        | colours 16 .. 256 .. 256, geometric, dithered  |

    A GIF plays for ever; its frames stay in memory until it is closed, for its colours are chosen
    from all of them.

    Args:
        path: file to write; the suffix names the container, and FFmpeg's others work with `codec`.
            Folders are made.
        fps: frames a second; 23.976, 29.97 and 59.94 stand for 24000/1001, 30000/1001 and
            60000/1001.
        quality: 0 (small) to 100 (near lossless). Encoders not in the table or its kin (lossless
            ones) have no use for it.
        codec: FFmpeg's name of the encoder; default: by suffix.
        pixel_format: how the encoder stores colour; default: yuv420p, which every player knows,
            where the encoder has it, else the encoder's first. With halved colour, as in yuv420p,
            an odd width or height is made even by repeating the last column or row; "yuv444p" keeps
            the size, but not every player shows it.
        options: more options of the encoder, e.g. `{"preset": "veryfast"}`; one that sets the rate,
            such as "crf" or "qp", takes the place of `quality`.

    Attributes:
        path: the file.
        num_frames: frames written so far.

    Raises:
        ValueError: fps not positive, or above 50 for a GIF; quality out of range; unknown codec,
            pixel format or suffix.
    """

    def __init__(
        self,
        path: str | Path,
        fps: float | Fraction,
        *,
        quality: int = DEFAULT_QUALITY,
        codec: str | None = None,
        pixel_format: str | None = None,
        options: Mapping[str, str] | None = None,
    ) -> None:
        self.path = Path(path)
        self.num_frames = 0
        self._rate = frame_rate(fps)
        if not 0 <= quality <= 100:
            raise ValueError(f"quality must be from 0 (small) to 100 (near lossless), got {quality}")
        self._codec = codec or _default_codec(self.path)
        self._pixel_format = _chosen_pixel_format(self._codec, pixel_format)
        if self._codec == "gif" and self._rate > _MAX_GIF_FPS:
            raise ValueError(
                f"{self.path}: a GIF shows at most {_MAX_GIF_FPS} frames a second, got {fps}: "
                "leave out frames, or write .mp4 or .webm"
            )
        self._quality = quality
        self._options = encoder_options(self._codec, quality, options or {})
        # Hidden, beside its place, and with its suffix, by which FFmpeg chooses the container.
        self._partial = partial_path(self.path, keep_suffix=True)
        self._shape: tuple[int, ...] | None = None
        self._container: OutputContainer | None = None
        self._stream: VideoStream | None = None
        self._palette: PaletteGraph | None = None
        self._is_timed = False  # do the frames have times? as the first one
        self._last_tick = -1
        self._owner = os.getpid()
        self._closed = False

    def write(self, frame: np.ndarray, time_seconds: float | None = None) -> None:
        """Append a frame.

        Args:
            frame: (H, W, 3) uint8 RGB, of the size of the first.
            time_seconds: when it is shown, for a variable rate: 0 or later, above that of the frame
                before, kept to 1/90,000 s (.mp4, .mov) or 1/1,000 s (.mkv, .webm); None: by `fps`.
                Either all frames have a time or none has.

        Raises:
            ValueError: wrong shape, type or size, a time that does not ascend or that the file
                cannot hold, or the writer is closed.
            VideoError: the encoder refuses or the file cannot be written.
        """
        if self._closed:
            raise ValueError(f"{self.path}: this VideoWriter is closed")
        pixels = np.asarray(frame)
        self._check(pixels)
        tick = self._tick_of(time_seconds)
        try:
            if self._shape is None:
                self._shape = pixels.shape
                self._is_timed = time_seconds is not None
                self._open(*pixels.shape[:2])
            self._encode(pixels, tick)
        except (av.FFmpegError, OSError) as error:
            self._discard()
            raise self._refusal(error) from error
        self.num_frames += 1
        self._last_tick = tick

    def write_batch(self, frames: Iterable[np.ndarray]) -> None:
        """Append frames: an (N, H, W, 3) array, or any iterable of frames. Raises as `write`."""
        for frame in frames:
            self.write(frame)

    def close(self) -> None:
        """Complete the file and give it its name. Closing twice is fine.

        Raises:
            ValueError: no frame was written.
            VideoError: the encoder refuses or the file cannot be written.
        """
        if self._closed:
            return
        self._closed = True
        if self._shape is None:
            raise ValueError(f"{self.path}: there are no frames to write")
        assert self._container is not None
        assert self._stream is not None
        try:
            if self._palette is not None:
                for frame in self._palette.finish():
                    self._container.mux(self._stream.encode(frame))
            self._container.mux(self._stream.encode())
            self._container.close()
            rename_complete(self._partial, self.path)
        except (av.FFmpegError, OSError) as error:
            raise self._refusal(error) from error
        finally:
            self._discard()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self._discard()

    def __del__(self) -> None:
        if "_closed" not in self.__dict__ or self._closed:
            return
        if self._owner == os.getpid():
            self._discard()
        else:
            _inherited.append((self._container, self._stream))

    # ---- the file

    def _open(self, height: int, width: int) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        settings = {"fflags": "+bitexact"}  # Matroska would write a random identifier
        if self.path.suffix.lower() in (".mp4", ".mov", ".m4v"):
            settings["movflags"] = "+faststart"  # an index in front lets a browser play while it loads
        self._container = av.open(f"file:{self._partial}", "w", options=settings)
        try:
            stream = self._container.add_stream(self._codec, rate=self._rate, options=self._options)
        except ValueError:
            self._discard()
            raise ValueError(
                f"{self.path}: a {self.path.suffix} file does not hold {self._codec}: leave out codec, or use .mkv"
            ) from None
        assert isinstance(stream, VideoStream)  # _chosen_pixel_format saw to that
        self._stream = stream
        stream.thread_count = 1
        stream.pix_fmt = self._pixel_format
        if self._is_timed:
            stream.time_base = stream.codec_context.time_base = Fraction(1, _TICKS_PER_SECOND)
        across, down = _colour_steps(self._pixel_format)
        stream.height, stream.width = -height % down + height, -width % across + width
        if self._pixel_format.startswith("yuv"):
            stream.codec_context.colorspace = (
                Colorspace.ITU601
            )  # what the conversion below makes; players guess otherwise
        if self._pixel_format == "pal8":
            self._palette = PaletteGraph(width, height, self._rate, gif_colours(self._quality))

    def _tick_of(self, time_seconds: float | None) -> int:
        """The time of the next frame, in units of the file.

        Raises:
            ValueError: it does not ascend, or the file cannot hold it.
        """
        if self._shape is not None and self._is_timed is (time_seconds is None):
            raise ValueError(f"{self.path}: give all frames a time or none")
        if time_seconds is None:
            return self.num_frames
        if self.path.suffix.lower() not in _TIMED:
            raise ValueError(
                f"{self.path}: a {self.path.suffix} file has one frame rate: leave out the times, or write .mp4"
            )
        if not 0 <= time_seconds < float("inf"):
            raise ValueError(f"{self.path}: the time of a frame must be 0 or later, got {time_seconds}")
        tick = round(time_seconds * _TICKS_PER_SECOND)
        if tick <= self._last_tick:
            raise ValueError(
                f"{self.path}: the times of frames must ascend, got {time_seconds:g} s after"
                f" {self._last_tick / _TICKS_PER_SECOND:g} s"
            )
        return tick

    def _encode(self, pixels: np.ndarray, tick: int) -> None:
        assert self._container is not None
        assert self._stream is not None
        missing = (self._stream.height - pixels.shape[0], self._stream.width - pixels.shape[1])
        if any(missing):
            pixels = np.pad(pixels, ((0, missing[0]), (0, missing[1]), (0, 0)), mode="edge")
        frame = VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
        frame.pts, frame.time_base = tick, Fraction(1, _TICKS_PER_SECOND) if self._is_timed else 1 / self._rate
        if self._palette is not None:
            self._palette.push(frame)
        else:
            self._container.mux(self._stream.encode(frame))

    def _discard(self) -> None:
        """Leave nothing half-written."""
        self._closed = True
        container, self._container, self._stream, self._palette = self._container, None, None, None
        if container is not None:
            with contextlib.suppress(av.FFmpegError, OSError):  # it cannot be completed: that is why it goes
                container.close()
            self._partial.unlink(missing_ok=True)

    def _refusal(self, error: Exception) -> VideoError:
        return VideoError(f"{self.path}: cannot be written with {self._codec} ({reason_of(error)})")

    def _check(self, frame: np.ndarray) -> None:
        got = f"{self.path}: a frame must be (H, W, 3) uint8 RGB, got {frame.shape} {frame.dtype}"
        if frame.ndim == 2 or (frame.ndim == 3 and frame.shape[2] == 1):
            raise ValueError(f"{got}: give a grey picture three channels, np.repeat(grey.reshape(H, W, 1), 3, axis=2)")
        if frame.ndim == 4:
            raise ValueError(f"{got}: several frames go to write_batch")
        if frame.ndim != 3 or frame.shape[2] != 3:
            raise ValueError(got)
        if frame.dtype != np.uint8:
            raise ValueError(f"{got}: bring the values into 0 to 255 and round them, frame.round().astype(np.uint8)")
        if not frame.size:
            raise ValueError(f"{got}: it has no pixels")
        if self._shape is not None and frame.shape != self._shape:
            raise ValueError(f"{self.path}: all frames must have one size, got {self._shape} and then {frame.shape}")


def write_video(
    path: str | Path,
    frames: Iterable[np.ndarray],
    fps: float | Fraction,
    *,
    quality: int = DEFAULT_QUALITY,
    codec: str | None = None,
    crf: int | None = None,
    pixel_format: str | None = None,
    options: Mapping[str, str] | None = None,
) -> Path:
    """Encode frames into one video file by `VideoWriter`.

    Args:
        path: see `VideoWriter`, as for all that is not described here.
        frames: (H, W, 3) uint8 RGB, all of one size; an (N, H, W, 3) array or any iterable.
        fps: frames a second.
        quality: 0 (small) to 100 (near lossless).
        codec: FFmpeg's name of the encoder.
        crf: the encoder's constant rate factor, lower is better, in place of `quality`.
        pixel_format: how the encoder stores colour.
        options: more options of the encoder.

    Returns:
        The path.

    Raises:
        ValueError: no frames, or an argument or a frame that `VideoWriter` refuses.
        VideoError: the encoder refuses or the file cannot be written.
    """
    settings = {**({} if crf is None else {"crf": str(crf)}), **(options or {})}
    with VideoWriter(path, fps, quality=quality, codec=codec, pixel_format=pixel_format, options=settings) as writer:
        writer.write_batch(frames)
    return writer.path


def frame_rate(fps: float | Fraction) -> Fraction:
    """Frames a second as the fraction that a file stores: 29.97 is 30000/1001, and so its kin; a fraction stays.

    Raises:
        ValueError: not a positive number.
    """
    if not 0 < fps < float("inf"):
        raise ValueError(f"fps must be positive, got {fps}")
    if isinstance(fps, Fraction):
        return fps
    for base in _NTSC_BASES:
        if abs(fps * 1.001 - base) < 2e-4 * base:
            return Fraction(base * 1000, 1001)
    return Fraction(fps).limit_denominator(1001)


def _default_codec(path: Path) -> str:
    suffix = path.suffix.lower()
    if suffix not in _ENCODERS and suffix.removeprefix(".") not in _written_suffixes():
        raise ValueError(
            f"{path}: no video format has the suffix {path.suffix!r}: use {', '.join(_ENCODERS)} or another of FFmpeg's"
        )
    return _ENCODERS.get(suffix, "libx264")


def _written_suffixes() -> set[str]:
    """Suffixes of all containers that this FFmpeg writes."""
    suffixes: set[str] = set()
    for name in av.formats_available:
        try:
            suffixes |= av.ContainerFormat(name, "w").extensions
        except ValueError:
            continue  # it is only read
    return suffixes


def _chosen_pixel_format(codec: str, wanted: str | None) -> str:
    try:
        encoder = av.Codec(codec, "w")
    except av.codec.codec.UnknownCodecError:
        raise ValueError(f"this FFmpeg has no encoder {codec!r}") from None
    if encoder.type != "video":
        raise ValueError(f"{codec} encodes {encoder.type}, not video")
    names = [video_format.name for video_format in encoder.video_formats or ()]
    if wanted is not None:
        if names and wanted not in names:
            raise ValueError(f"{codec} has no pixel format {wanted!r}, but {', '.join(names)}")
        return wanted
    if codec == "gif":
        return "pal8"
    return "yuv420p" if not names or "yuv420p" in names else names[0]


def _colour_steps(pixel_format: str) -> tuple[int, int]:
    """Pixels across and down that share one colour value."""
    chroma = av.VideoFormat(pixel_format, 64, 64).components
    return 64 // min(component.width for component in chroma), 64 // min(component.height for component in chroma)
