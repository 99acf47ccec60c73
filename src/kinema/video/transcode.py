"""Re-encode a video so that frames at random places are cheap to read, as training does."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter
from av.video.stream import VideoStream

from kinema.errors import VideoError
from kinema.files import partial_path, rename_complete
from kinema.video.encoding import x264_parameters
from kinema.video.probe import SAME_TIME_SECONDS, VideoFacts, is_variable_rate, probe_video
from kinema.video.reader import VideoReader
from kinema.video.source import open_video, packets_of, reason_of

# What makes frames cheap to decode, by measurement: entropy coding without arithmetic, no
# deblocking, one reference. Five of six frames refer to others and none to them, so that a reader
# who does not want them need not decode them: clips of 8 frames, 8 apart, took 0.69 of the time
# without such frames (with three in a row 0.73, with seven 0.64, but there sizes grow by 5 % and
# pictures get worse by 0.25 dB). Key frames stand in equal distance, and nothing refers across
# them.
_FOR_RANDOM_ACCESS = (
    "scenecut=0:open-gop=0:bframes=5:b-adapt=0:b-pyramid=none:ref=1:cabac=0:no-deblock=1:weightp=0:weightb=0"
)
_PRESET = "fast"
# Of these, streams with key frames close enough are as cheap as what we would write, and cheaper
# (MPEG-4: half).
_CHEAP_CODECS = ("mpeg4", "mpeg1video", "mpeg2video", "h264")
_TICKS_PER_SECOND = 90_000
_BT601 = 6  # FFmpeg's number of SMPTE 170M, for matrix, primaries and transfer


@dataclass(frozen=True)
class TranscodeSettings:
    """What the new file is to be.

    Attributes:
        short_side: pixels of the shorter side; a smaller video is left as it is, so is any with
            None.
        keyframe_interval: frames from one key frame to the next.
        fps: frames a second; None keeps every frame and its time.
        crf: constant rate factor of x264, lower is better and larger.
        keep_good: of a damaged video, take the frames that can be decoded.

    Raises:
        ValueError: a number is out of its range.
    """

    short_side: int | None = 256
    keyframe_interval: int = 16
    fps: float | None = None
    crf: int = 23
    keep_good: bool = False

    def __post_init__(self) -> None:
        if self.short_side is not None and self.short_side < 16:
            raise ValueError(f"the short side must be at least 16 pixels, got {self.short_side}")
        if self.keyframe_interval < 1:
            raise ValueError(f"the key-frame interval must be at least 1 frame, got {self.keyframe_interval}")
        if self.fps is not None and not 0 < self.fps <= 1000:
            raise ValueError(f"fps must be above 0 and at most 1000, got {self.fps}")
        if not 0 <= self.crf <= 51:
            raise ValueError(f"crf must be from 0 (lossless) to 51, got {self.crf}")


@dataclass(frozen=True)
class Transcoded:
    """What became of a video.

    Attributes:
        num_frames: of the new file.
        num_lost: frames of the source that cannot be decoded, left out.
        is_copy: the pictures are the source's, bit for bit, as it was cheap to read already; only
            audio was dropped.
    """

    num_frames: int
    num_lost: int = 0
    is_copy: bool = False


def transcode(source: Path, target: Path, settings: TranscodeSettings) -> Transcoded:
    """Write `source` as an H.264 file without audio, upright, of even size, that appears only when it is complete.

    A video that is small enough and has its key frames close together already is copied without
    decoding it anew.

    Args:
        source: a video.
        target: file to write, `*.mp4`; its folder is made.
        settings: of the new file.

    Raises:
        VideoError: the source cannot be read to its end (see `keep_good`), or the target cannot be
            written. Names the file.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = partial_path(target, keep_suffix=True)
    try:
        facts = probe_video(source, decode=False)
        if is_cheap(facts, settings) and _copied(source, partial):
            result = Transcoded(facts.num_frames, is_copy=True)
        else:
            result = _encoded(source, partial, facts, settings)
        rename_complete(partial, target)
    except (av.FFmpegError, OSError) as error:
        raise VideoError(f"{target}: cannot be written ({reason_of(error)})") from error
    finally:
        partial.unlink(missing_ok=True)
    return result


def is_cheap(facts: VideoFacts, settings: TranscodeSettings) -> bool:
    """Is the video already as `settings` ask, so that another encoding would only cost quality?"""
    return (
        settings.fps is None
        and facts.codec in _CHEAP_CODECS
        and facts.pixel_format == "yuv420p"
        and facts.rotation_degrees == 0
        and facts.keyframe_spacing_max <= settings.keyframe_interval
        and (settings.short_side is None or min(facts.width, facts.height) <= settings.short_side)
    )


def target_size(width: int, height: int, short_side: int | None) -> tuple[int, int]:
    """Width and height of the new file: never enlarged, both even.

    A side that is scaled is rounded to the nearest even number; one that is not loses its last
    pixel.
    """
    if short_side is None or min(width, height) <= short_side:
        return max(width // 2 * 2, 2), max(height // 2 * 2, 2)
    scale = short_side / min(width, height)
    return max(round(width * scale / 2) * 2, 2), max(round(height * scale / 2) * 2, 2)


def frame_plan(
    timestamps_seconds: np.ndarray, duration_seconds: float, fps: float | None
) -> tuple[np.ndarray, np.ndarray]:
    """Which frames the new file shows, and when.

    Args:
        timestamps_seconds: (N,) float64, when each frame of the source is shown.
        duration_seconds: of the source.
        fps: frames a second; None: every frame at its time.

    Returns:
        (M,) int64 numbers of frames, ascending, repeated where the source has too few; (M,) float64
        seconds from 0.
    """
    times = timestamps_seconds - timestamps_seconds[0]
    if fps is None:
        return np.arange(len(times)), times
    wanted = np.arange(max(round(duration_seconds * fps), 1)) / fps
    # A frame that begins a rounding error late is still the one shown.
    shown = np.searchsorted(np.maximum.accumulate(times), wanted + 1e-4, side="right") - 1
    return shown.astype(np.int64), wanted


def steady_rate(timestamps_seconds: np.ndarray, fps: float) -> float:
    """The rate at which frames come, where all come at one: `fps` unless its frames would come at other times.

    An average over a video whose last frame is shown for long is lower.

    Args:
        timestamps_seconds: (N,) float64, when each frame is shown.
        fps: frames a second on average, 0 where it is not known.
    """
    span = float(timestamps_seconds[-1] - timestamps_seconds[0])
    if not span > 0:
        return fps
    num_steps = len(timestamps_seconds) - 1
    is_right = fps > 0 and abs(num_steps / fps - span) <= SAME_TIME_SECONDS
    return fps if is_right else num_steps / span


# ---- copying


def _copied(source: Path, partial: Path) -> bool:
    """Move the packets into a new container; False when the result is not the same video to the last frame."""
    original = VideoReader(source)
    if original.find_damage() is not None or original.index.lasting:
        return False  # what lasts beside packets need not survive in another container
    container, stream = open_video(source)
    with container, av.open(f"file:{partial}", "w", format="mp4") as out:
        copy = out.add_stream_from_template(stream)
        for packet in packets_of(container, stream):
            if packet.is_discard or (packet.size and packet.pts is None):
                return False
            if packet.size:
                packet.stream = copy
                out.mux(packet)
    copied = VideoReader(partial)
    if len(copied) != len(original):
        return False
    places = sorted({0, int(original.index.key_frames[-1]), len(original) - 1}, reverse=True)
    return np.array_equal(copied.get_batch(places), original.get_batch(places))


# ---- encoding


def _encoded(source: Path, partial: Path, facts: VideoFacts, settings: TranscodeSettings) -> Transcoded:
    size = target_size(facts.width, facts.height, settings.short_side)
    is_smaller = settings.short_side is not None and min(facts.width, facts.height) > settings.short_side
    reader = VideoReader(source, size=size[::-1] if is_smaller else None)
    timestamps = reader.timestamps_seconds
    indices, times = frame_plan(timestamps, reader.duration_seconds, settings.fps)
    even = settings.fps is not None or not is_variable_rate(timestamps)
    encoder = _Encoder(partial, size, steady_rate(timestamps, reader.fps), facts.sample_aspect_ratio, settings, even)
    lost: set[int] = set()
    with encoder:
        pixels, held = None, -1
        for place, index in enumerate(indices.tolist()):
            if index != held:
                try:
                    pixels, held = reader[index], index
                except VideoError:
                    if not settings.keep_good:
                        raise
                    lost.add(index)
                    continue
            assert pixels is not None
            encoder.add(pixels, place, float(times[place]))
    if encoder.num_frames == 0:
        raise VideoError(f"{source}: none of its {len(reader)} frames can be decoded")
    written = len(VideoReader(partial))
    if written != encoder.num_frames:
        raise VideoError(f"{source}: {encoder.num_frames} frames became {written}: please report this file")
    return Transcoded(written, len(lost))


class _Encoder:
    """An H.264 file in the making; frames go in as (H, W, 3) uint8 RGB.

    Args:
        path: of the file.
        size: width and height; a larger frame loses its last column or row.
        fps: frames a second, on average, when `settings` do not say.
        sample_aspect_ratio: of a pixel.
        settings: of the encoding.
        even: all frames last equally long.
    """

    def __init__(
        self,
        path: Path,
        size: tuple[int, int],
        fps: float,
        sample_aspect_ratio: Fraction | None,
        settings: TranscodeSettings,
        even: bool,
    ) -> None:
        self.width, self.height = size
        self._rate = Fraction(settings.fps or fps or 25).limit_denominator(1001)
        self._tick = 1 / self._rate if even else Fraction(1, _TICKS_PER_SECOND)
        self._even = even
        self._last_tick = -1
        self._reformatter = VideoReformatter()
        self.num_frames = 0
        self._container = av.open(f"file:{path}", "w", format="mp4", options={"movflags": "+faststart"})
        options = {"preset": _PRESET, "crf": str(settings.crf), "x264-params": _x264_params(settings)}
        stream = self._container.add_stream("libx264", rate=self._rate, options=options)
        assert isinstance(stream, VideoStream)
        stream.thread_count = 1  # the same file on every machine
        stream.width, stream.height, stream.pix_fmt = self.width, self.height, "yuv420p"
        stream.time_base = stream.codec_context.time_base = self._tick
        context = stream.codec_context
        context.color_range = ColorRange.MPEG
        context.colorspace = context.color_primaries = context.color_trc = _BT601
        if sample_aspect_ratio is not None:
            context.sample_aspect_ratio = sample_aspect_ratio
        self._stream = stream

    def add(self, pixels: np.ndarray, place: int, seconds: float) -> None:
        """Encode a frame that is shown `seconds` from the start, the one number `place` where all last equally long."""
        even_sided = np.ascontiguousarray(pixels[: self.height, : self.width])
        frame = self._reformatter.reformat(
            VideoFrame.from_ndarray(even_sided, format="rgb24"),
            format="yuv420p",
            dst_colorspace=Colorspace.ITU601,
            dst_color_range=ColorRange.MPEG,
        )
        # Times may stand still or go back where a file's are wrong; an encoder needs them to grow.
        tick = place if self._even else max(round(seconds * _TICKS_PER_SECOND), self._last_tick + 1)
        frame.pts, frame.time_base, self._last_tick = tick, self._tick, tick
        frame.duration = max(round(1 / (self._rate * self._tick)), 1)
        self._container.mux(self._stream.encode(frame))
        self.num_frames += 1

    def __enter__(self) -> "_Encoder":
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if kind is None and self.num_frames:
            self._container.mux(self._stream.encode())
        self._container.close()


def _x264_params(settings: TranscodeSettings) -> str:
    interval = settings.keyframe_interval
    return x264_parameters(f"keyint={interval}:min-keyint={interval}:{_FOR_RANDOM_ACCESS}")


# ---- what it is good for


def random_clip_starts(num_frames: int, span: int, repeats: int, seed: int) -> Iterator[int]:
    """First frames of `repeats` clips of `span` frames at random places; 0 where the video is shorter."""
    rng = np.random.default_rng(seed)
    for _ in range(repeats):
        yield int(rng.integers(0, max(num_frames - span, 0) + 1))


def access_seconds(
    source: Path, *, clip_len: int = 8, frame_interval: int = 8, repeats: int = 3, seed: int = 0
) -> float:
    """CPU time to open a video and read a clip from a random place of it, as a training sample does.

    Args:
        source: a video.
        clip_len: frames of the clip.
        frame_interval: from one frame of it to the next.
        repeats: clips to read; the time is their mean.
        seed: the same seed and length choose the same places.

    Returns:
        Seconds of CPU time a clip.
    """
    span = (clip_len - 1) * frame_interval + 1
    length = len(VideoReader(source))
    spent = 0.0
    for start in random_clip_starts(length, span, repeats, seed):
        started = time.process_time()
        with VideoReader(source) as reader:
            reader.get_batch(np.minimum(start + frame_interval * np.arange(clip_len), len(reader) - 1))
        spent += time.process_time() - started
    return spent / repeats
