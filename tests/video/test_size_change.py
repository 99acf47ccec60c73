"""Videos whose pictures change size or colour format in the middle: the answer never depends on what was asked
first.
"""

from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
import pytest
from av.video.codeccontext import VideoCodecContext
from av.video.reformatter import Interpolation

from kinema.transforms import DecodeVideo, OpenVideo
from kinema.video import VideoReader, probe_video

FIRST, SECOND = (96, 64), (48, 80)  # width and height
PART = 12  # frames of one size


def picture(index: int, size: tuple[int, int]) -> np.ndarray:
    width, height = size
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 255 // width, y * 255 // height, np.full_like(x, 20 * (index % 12))], axis=-1).astype(np.uint8)


def encoded(
    codec: str, size: tuple[int, int], start: int, pixel_format: str, options: dict[str, str]
) -> list[av.Packet]:
    context = cast(VideoCodecContext, av.CodecContext.create(codec, "w"))
    context.width, context.height = size
    context.pix_fmt, context.time_base, context.framerate = pixel_format, Fraction(1, 25), Fraction(25)
    context.options = options
    packets: list[av.Packet] = []
    for index in range(start, start + PART):
        frame = av.VideoFrame.from_ndarray(picture(index, size), format="rgb24").reformat(format=pixel_format)
        frame.pts, frame.time_base = index, Fraction(1, 25)
        packets += context.encode(frame)
    return packets + context.encode(None)


KINDS: dict[str, dict[str, Any]] = {
    "vp9.webm": {"codec": "libvpx-vp9"},
    "vp8.webm": {"codec": "libvpx"},
    "h264.ts": {"codec": "libx264", "muxer": "mpegts", "options": {"bf": "2", "g": "6"}},
    "h264.h264": {"codec": "libx264", "options": {"bf": "0"}},
    "mjpeg.mkv": {"codec": "mjpeg", "muxer": "matroska", "pixel_formats": ("yuvj420p", "yuvj422p")},
    "mpeg4.avi": {"codec": "mpeg4"},
}


def write_changing(
    path: Path, sizes: tuple[tuple[int, int], ...], codec: str, muxer: str | None = None,
    options: dict[str, str] | None = None, pixel_formats: tuple[str, str] = ("yuv420p", "yuv420p"),
) -> Path:  # fmt: skip
    """One stream whose parts have several sizes, and one of two pixel formats each."""
    with av.open(str(path), "w", format=muxer) as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height = sizes[0]
        stream.pix_fmt = pixel_formats[0]
        stream.codec_context.time_base = stream.time_base = Fraction(1, 25)
        if codec == "libx264":
            stream.codec_context.options = {"x264-params": "annexb=1"}
        for part, size in enumerate(sizes):
            for packet in encoded(codec, size, part * PART, pixel_formats[part % 2], options or {}):
                packet.stream, packet.time_base = stream, Fraction(1, 25)
                container.mux(packet)
    return path


def decoded(path: Path) -> list[np.ndarray]:
    """Every frame as a plain decode gives it, scaled to the first with the bicubic filter."""
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
    width, height = frames[0].width, frames[0].height
    return [
        frame.to_ndarray(format="rgb24", width=width, height=height, interpolation=Interpolation.BICUBIC)
        for frame in frames
    ]


@pytest.fixture(params=KINDS)
def changing(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    kind = KINDS[request.param]
    return write_changing(tmp_path / request.param, (FIRST, SECOND, FIRST), **kind)


def test_all_frames_have_the_size_of_the_first_whatever_is_asked_first(changing: Path) -> None:
    expected = decoded(changing)
    last = len(expected) - 1
    assert last >= 3 * PART - 3
    for first in ([last], [PART + 2], [0], [last - 1, PART + 1, 0], [2 * PART + 3, PART + 3]):
        reader = VideoReader(changing)
        assert len(reader) == len(expected)
        for asked in (first, [0], [PART + 4, 1], [last]):
            frames = reader.get_batch(asked)
            for number, frame in zip(asked, frames, strict=True):
                assert np.array_equal(frame, expected[number]), (first, asked, number)
        assert (reader.width, reader.height) == FIRST
        assert reader.find_damage() is None


def test_sizes_asked_for_hold_for_all_parts(changing: Path) -> None:
    assert VideoReader(changing, size=(20, 30))[:].shape[1:] == (20, 30, 3)
    reader = VideoReader(changing, short_side=32)
    assert reader[PART + 1].shape == (32, 48, 3)
    assert (reader.width, reader.height) == (48, 32)


def test_transforms_and_facts_agree(changing: Path) -> None:
    sample = OpenVideo().transform({"filename": str(changing)})
    sample["frame_inds"] = np.array([PART + 1, 0])
    sample = DecodeVideo().transform(sample)
    assert sample["img_shape"] == FIRST[::-1]
    assert sample["imgs"].shape == (2, *FIRST[::-1], 3)
    facts = probe_video(changing)
    assert (facts.width, facts.height, facts.damage) == (*FIRST, None)


def test_each_frame_is_converted_from_its_own_pixel_format(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    write_changing(path, (FIRST, FIRST), "mjpeg", "matroska", pixel_formats=("yuvj420p", "yuvj444p"))
    expected = decoded(path)
    reader = VideoReader(path)
    for number in (PART + 1, 0, PART - 1, PART):
        assert np.array_equal(reader[number], expected[number])


def test_the_size_is_that_of_the_first_good_frame_when_the_first_is_lost(tmp_path: Path) -> None:
    path = write_changing(tmp_path / "a.mkv", (FIRST, SECOND), **KINDS["mjpeg.mkv"])
    content = bytearray(path.read_bytes())
    start = content.index(b"\xff\xd8\xff")
    content[start + 2 : start + 300] = bytes(298)
    for ask in (20, 3):
        reader = VideoReader(bytes(content), errors="keep-good")
        assert reader[ask].shape == (*FIRST[::-1], 3)
        assert (reader.width, reader.height) == FIRST
    assert "frame 0 cannot be decoded" in str(VideoReader(bytes(content)).find_damage())
