"""Every installed backend against a full sequential decode by PyAV: which files does it read differently?"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.frame import VideoFrame

from kinema.errors import VideoError
from kinema.video import VideoReader, installed_backends, open_backend, write_video

# Builds of FFmpeg differ by 1 in MPEG-4's inverse transform. Conversion to RGB is the same in all
# libraries for 8 bits.
MAX_DIFFERENCE = 1
# Mean over the pixels of a frame, in levels of 255. High bit depths are converted with other
# filters by each library.
MAX_MEAN_COLOUR_DIFFERENCE = 5.0
MAX_TIME_DIFFERENCE_SECONDS = 0.002

SUFFIXES = {".avi", ".gif", ".mkv", ".mov", ".mp4", ".mpg", ".webm"}
CLIPS = Path(__file__).parents[2].parent / "shared" / "clips"
SHARED_NAMES = sorted(
    path.relative_to(CLIPS).as_posix()
    for folder in ("formats", "kinetics_style")
    for path in (CLIPS / folder).glob("*")
    if path.suffix in SUFFIXES
)

# Backend -> file -> what is different, as `departure` words it. Measured with torchcodec 0.13.0,
# decord 0.6.0, OpenCV 5.0.0.
DEPARTURES: dict[str, dict[str, str]] = {
    "torchcodec": {
        # Another filter for the colour of high bit depths.
        "h264_10_bits.mp4": "other colours",
        "formats/h264_10bits.mp4": "other colours",
        "formats/h265_10bits.mp4": "other colours",
        # Frames are numbered by the times of packets, which in these are not in the order of the
        # frames or are missing.
        "mpeg4_b_frames.avi": "other frames",
        "mpeg1.mpg": "other frames",
        "formats/v_biking_01_01.mpg": "does not decode",
        "kinetics_style/v_ApplyEyeMakeup_g01_c01.avi": "other frames",
        # Fails on the last frame when it seeks to the key frame before it.
        "h264_open_gop.mkv": "does not decode",
    },
    "decord": {
        "h264_10_bits.mp4": "other colours",
        "formats/h264_10bits.mp4": "other colours",
        "formats/h265_10bits.mp4": "other colours",
        # Its FFmpeg 4 has no AV1 decoder, GIF files have no length in the header, and it takes the
        # second of two streams.
        "formats/av1_video.mkv": "does not open",
        "formats/newtonscradle.gif": "does not open",
        "formats/nasa_13013.mp4": "does not open",
        # Packets that the edit list cuts away count as frames.
        "formats/baseball.mp4": "counts 183 frames, there are 167; other frames",
        "formats/basketball.mp4": "counts 265 frames, there are 214; other frames",
        # After a seek it skips too many frames where B-frames precede the key frame in time (open
        # groups of pictures).
        "h264_open_gop.mkv": "other frames",
        "hevc.mp4": "other frames",
        "formats/h265_video.mp4": "other frames",
        # It numbers frames by the times of packets, which in these are not in the order of the
        # frames or are missing.
        "mpeg4_b_frames.avi": "other frames",
        "mpeg1.mpg": "other frames",
        "formats/v_biking_01_01.mpg": "other frames",
        "kinetics_style/v_ApplyEyeMakeup_g01_c01.avi": "other times",
    },
    "opencv": {
        "h264_10_bits.mp4": "other colours",
        "formats/h264_10bits.mp4": "other colours",
        "formats/h265_10bits.mp4": "other colours",
        # No software decoder for AV1.
        "formats/av1_video.mkv": "does not decode",
    },
}


# ---- made files


def encoded(codec: str, *, pixel_format: str = "yuv420p", **options: str) -> Callable[[Path, list[np.ndarray]], None]:
    def make(path: Path, frames: list[np.ndarray]) -> None:
        write_video(path, frames, 25, codec=codec, pixel_format=pixel_format, options=options)

    return make


def with_variable_rate(path: Path, frames: list[np.ndarray]) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"g": "12"})
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        for index, pixels in enumerate(frames):
            frame = VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = index * 40 + (index % 3) * 13, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


MADE: dict[str, Callable[[Path, list[np.ndarray]], None]] = {
    "h264_b_frames.mp4": encoded("libx264", g="12", bf="3"),
    "h264_open_gop.mkv": encoded("libx264", g="12", bf="3", **{"x264-params": "open-gop=1"}),
    "h264_one_key_frame.mov": encoded("libx264", g="1000"),
    "h264_10_bits.mp4": encoded("libx264", pixel_format="yuv420p10le"),
    "h264_444.mp4": encoded("libx264", pixel_format="yuv444p"),
    "hevc.mp4": encoded("libx265", g="12", **{"x265-params": "log-level=none"}),
    "mpeg4.avi": encoded("mpeg4", g="12"),
    "mpeg4_b_frames.avi": encoded("mpeg4", g="12", bf="2"),
    "mpeg1.mpg": encoded("mpeg1video", g="12", bf="2"),
    "vp9.webm": encoded("libvpx-vp9", deadline="realtime", **{"cpu-used": "8"}),
    "variable_rate.mp4": with_variable_rate,
    "turned.mp4": encoded("libx264"),
}


@pytest.fixture(scope="session")
def made_files(
    tmp_path_factory: pytest.TempPathFactory,
    moving_frames: list[np.ndarray],
    ask_for_rotation: Callable[[Path, int], None],
) -> Path:
    folder = tmp_path_factory.mktemp("made")
    for name, make in MADE.items():
        if name != "hevc.mp4" or "libx265" in av.codecs_available:
            make(folder / name, moving_frames)
    ask_for_rotation(folder / "turned.mp4", 1)
    return folder


# ---- comparison


@dataclass(frozen=True)
class Reference:
    """What a full sequential decode gives.

    Attributes:
        num_frames: that should decode.
        num_good: before the first one that does not.
        compared: numbers of the frames to compare.
        frames: those and their neighbours, (H, W, 3), turned as the file asks for.
        times: (num_good,) seconds, ascending; None where the file has none.
    """

    num_frames: int
    num_good: int
    compared: list[int]
    frames: dict[int, np.ndarray]
    times: np.ndarray | None


@lru_cache(maxsize=1)
def full_decode(path: Path) -> Reference:
    times: list[float | None] = []
    with av.open(str(path)) as container, suppress(av.FFmpegError):
        for frame in container.decode(container.streams.video[0]):
            times.append(frame.time)
    good = len(times)
    compared = sorted({0, 1 % good, good - 1, *np.linspace(0, good - 1, 8).astype(int).tolist()})
    kept = {index + step for index in compared for step in range(-2, 3)}
    frames = {}
    with av.open(str(path)) as container:
        for index, frame in zip(range(good), container.decode(container.streams.video[0]), strict=False):
            if index in kept:
                turns = round(frame.rotation / 90) % 4
                frames[index] = np.rot90(frame.to_ndarray(format="rgb24"), turns)
    known = [time for time in times if time is not None]
    with VideoReader(path) as reader:
        num_frames = len(reader)
    return Reference(num_frames, good, compared, frames, np.sort(known) if len(known) == good else None)


def departure(backend: str, path: Path) -> str:
    """What a backend reads differently from `path`, in a few words; empty when nothing."""
    reference = full_decode(path)
    try:
        video = open_backend(backend, path)
    except VideoError:
        return "does not open"
    try:
        found = []
        if video.num_frames != reference.num_frames:
            found.append(f"counts {video.num_frames} frames, there are {reference.num_frames}")
        found += _other_frames(video.decode, reference)
        if reference.num_good < reference.num_frames:
            with suppress(VideoError):
                video.decode(np.array([reference.num_good]))
                found.append("shows something for the frame that is damaged")
        if not found and reference.times is not None and reference.num_good == reference.num_frames:
            difference = np.abs(video.timestamps_seconds - reference.times).max()
            if difference > MAX_TIME_DIFFERENCE_SECONDS:
                found.append("other times")
        return "; ".join(found)
    finally:
        video.close()


def _other_frames(decode: Callable[[np.ndarray], np.ndarray], reference: Reference) -> list[str]:
    try:
        frames = decode(np.array(reference.compared))
    except VideoError:
        return ["does not decode"]
    if frames.shape[1:] != reference.frames[0].shape:
        return ["another size"]
    kinds = {_kind(frame, index, reference.frames) for index, frame in zip(reference.compared, frames, strict=True)}
    return [kind for kind in ("other frames", "other colours") if kind in kinds][:1]


def _kind(frame: np.ndarray, index: int, expected: dict[int, np.ndarray]) -> str:
    difference = np.abs(frame.astype(np.int16) - expected[index])
    if difference.max() <= MAX_DIFFERENCE:
        return ""
    near = {one: expected[one] for one in range(index - 2, index + 3) if one in expected}
    nearest = min(near, key=lambda one: float(np.abs(frame.astype(np.int16) - near[one]).mean()))
    same = np.array_equal(near[nearest], expected[index])
    return "other colours" if same and difference.mean() <= MAX_MEAN_COLOUR_DIFFERENCE else "other frames"


def check(backend: str, path: Path, name: str) -> None:
    if (reason := installed_backends()[backend]) is not None:
        pytest.skip(f"{backend}: {reason}")
    assert departure(backend, path) == DEPARTURES[backend].get(name, "")


@pytest.mark.parametrize("backend", DEPARTURES)
@pytest.mark.parametrize("name", MADE)
def test_a_backend_reads_a_made_file_like_a_full_decode_or_as_listed(name: str, backend: str, made_files: Path) -> None:
    if not (made_files / name).exists():
        pytest.skip("this FFmpeg has no encoder for it")
    check(backend, made_files / name, name)


@pytest.mark.slow
@pytest.mark.skipif(not SHARED_NAMES, reason="no folder of shared clips")
@pytest.mark.parametrize("backend", DEPARTURES)
@pytest.mark.parametrize("name", SHARED_NAMES or [""])
def test_a_backend_reads_a_real_clip_like_a_full_decode_or_as_listed(name: str, backend: str) -> None:
    check(backend, CLIPS / name, name)


@pytest.mark.skipif(not SHARED_NAMES, reason="no folder of shared clips")
def test_the_list_of_departures_names_files_that_exist() -> None:
    for files in DEPARTURES.values():
        assert set(files) <= {*MADE, *SHARED_NAMES}
