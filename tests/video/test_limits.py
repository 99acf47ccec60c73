"""Small files that claim to be large, and limits that stop them before memory or time is spent."""

import os
import resource
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from kinema.errors import VideoError
from kinema.transforms import OpenVideo
from kinema.video import (
    FrameFolder,
    VideoLimitError,
    VideoLimits,
    VideoReader,
    default_limits,
    open_backend,
    probe_video,
    set_default_limits,
)
from kinema.video.images import image_size, read_image
from kinema.video.limits import Watch
from kinema.video.mp4_tables import read_claims

MakeVideo = Callable[..., Path]


@pytest.fixture(autouse=True)
def usual_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KINEMA_VIDEO_LIMITS", raising=False)


def claims_of(content: bytes) -> object:
    return read_claims(lambda place, count: content[place : place + count], len(content))


def box(kind: bytes, *content: bytes) -> bytes:
    inside = b"".join(content)
    return struct.pack(">I4s", 8 + len(inside), kind) + inside


def gif_of(width: int, height: int) -> bytes:
    """One frame of a single colour, claimed to be large."""
    head = b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + bytes(6)
    return head + b"," + struct.pack("<HHHHB", 0, 0, width, height, 0) + b"\x02\x02\x4c\x01\x00;"


def with_claimed_samples(path: Path, count: int) -> Path:
    """The table of an mp4 says that it holds `count` samples of a byte each."""
    content = bytearray(path.read_bytes())
    place = content.index(b"stsz") + 8
    content[place : place + 8] = struct.pack(">II", 1, count)
    bomb = path.with_name("bomb.mp4")
    bomb.write_bytes(content)
    return bomb


# ---- the limits


def test_a_frame_above_the_limit_of_pixels_is_refused_before_it_is_decoded(make_video: MakeVideo) -> None:
    path = make_video(size=(64, 48))
    assert VideoReader(path, limits=VideoLimits(pixels=64 * 48))[0].shape == (48, 64, 3)
    for open_it in (VideoReader, OpenVideoOf, probe_of):
        with pytest.raises(
            VideoLimitError, match=r"video\.mp4: a frame has 64x48 pixels, above the limit pixels=3000; .*"
        ):
            open_it(path, limits=VideoLimits(pixels=3000))


def OpenVideoOf(path: Path, limits: VideoLimits) -> object:  # noqa: N802 - stands beside VideoReader
    return OpenVideo(limits=limits).transform({"filename": str(path)})


def probe_of(path: Path, limits: VideoLimits) -> object:
    return probe_video(path, limits=limits)


def test_a_size_that_only_the_decoder_learns_is_held_to_the_limit_too(tmp_path: Path) -> None:
    path = tmp_path / "a.m2v"  # without a container
    with av.open(str(path), "w", format="mpeg2video") as container:
        stream = container.add_stream("mpeg2video", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        frame = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24")
        container.mux([*stream.encode(frame), *stream.encode()])
    assert VideoReader(path)[0].shape == (48, 64, 3)
    with pytest.raises(
        VideoError, match=r"frame 0 cannot be decoded: .* above the limit pixels=3000 .*; of 1 frames none is good$"
    ):
        VideoReader(path, limits=VideoLimits(pixels=3000))[0]


def test_the_error_says_how_to_raise_the_limit(make_video: MakeVideo) -> None:
    with pytest.raises(
        VideoLimitError, match=r"limits=VideoLimits\(pixels=3072\)\) or the .* KINEMA_VIDEO_LIMITS=pixels=3072"
    ):
        VideoReader(make_video(size=(64, 48)), limits=VideoLimits(pixels=3071))


@pytest.mark.parametrize("backend", ["opencv", "pyav"])
def test_every_library_keeps_to_the_limits(make_video: MakeVideo, backend: str) -> None:
    path = make_video(num_frames=20)
    for limits, name in [(VideoLimits(pixels=100), "pixels"), (VideoLimits(frames=19), "frames")]:
        with pytest.raises(VideoLimitError, match=f"above the limit {name}="):
            VideoReader(path, backend=backend, limits=limits)[0]
        with pytest.raises(VideoLimitError, match=f"above the limit {name}="):
            open_backend(backend, path, limits=limits).decode(np.array([0]))
    reader = VideoReader(path, backend=backend, limits=VideoLimits(memory_bytes=5 * 64 * 48 * 3))
    assert reader[:5].shape == (5, 48, 64, 3)
    with pytest.raises(
        VideoLimitError, match=r"6 frames of 64x48 pixels take 55296 bytes, above the limit memory_bytes=46080"
    ):
        reader[:6]
    with pytest.raises(VideoLimitError, match="above the limit memory_bytes="):
        reader.get_batch([0] * 6)


def test_frames_are_counted_in_the_header_and_in_the_packets(make_video: MakeVideo, tmp_path: Path) -> None:
    for path in (make_video(num_frames=20), make_video(tmp_path / "a.mkv", num_frames=20)):
        assert len(VideoReader(path, limits=VideoLimits(frames=20))) == 20
        with pytest.raises(VideoLimitError, match=r"holds more than 19 frames, above the limit frames=19"):
            len(VideoReader(path, limits=VideoLimits(frames=19)))


def test_a_call_that_takes_too_long_is_given_up(make_video: MakeVideo) -> None:
    reader = VideoReader(make_video(), limits=VideoLimits(seconds=1e-9))
    with pytest.raises(VideoLimitError, match=r"takes more than 1e-09 s, above the limit seconds=1e-09"):
        reader[3]
    with pytest.raises(VideoLimitError, match="seconds"):
        VideoReader(make_video(), errors="keep-good", limits=VideoLimits(seconds=1e-9))[3]
    assert VideoReader(make_video()).find_damage() is None


def test_a_file_of_many_streams_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "many.mp4"
    with av.open(str(path), "w") as container:
        streams = [container.add_stream("libx264", rate=10) for _ in range(3)]
        for stream in streams:
            stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        for stream in streams:
            frame = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
            container.mux([*stream.encode(frame), *stream.encode()])
    assert len(VideoReader(path, limits=VideoLimits(streams=24))) == 1
    with pytest.raises(VideoLimitError, match="has 3 streams, 3 of them video, above the limit streams=16"):
        VideoReader(path, limits=VideoLimits(streams=16))
    with pytest.raises(VideoLimitError, match="above the limit streams=1;"):
        VideoReader(path.read_bytes(), limits=VideoLimits(streams=1))
    remuxed = tmp_path / "many.mkv"
    with av.open(str(path)) as source, av.open(str(remuxed), "w") as target:
        copies = {one.index: target.add_stream_from_template(one) for one in source.streams}
        for packet in source.demux():
            if packet.size:
                packet.stream = copies[packet.stream.index]
                target.mux(packet)
    with pytest.raises(VideoLimitError, match="above the limit streams="):
        VideoReader(remuxed, limits=VideoLimits(streams=16))
    with pytest.raises(VideoLimitError, match="above the limit streams=1;"):
        VideoReader(remuxed, limits=VideoLimits(streams=1))


# ---- bombs, each in a process that may take little


RUN = """
import resource, sys
from kinema.errors import VideoError
from kinema.video import VideoReader
VideoReader(sys.argv[2])[0]  # what any reading takes
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    reader = VideoReader(sys.argv[1])
    len(reader)
    reader.get_batch([0])
except VideoError as error:
    print(error)
grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
assert grown < 100_000, f"{grown} kB"
"""


def refusal(path: Path, good: Path) -> str:
    command = [sys.executable, "-c", RUN, str(path), str(good)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_bombs_are_refused_for_little_memory(make_video: MakeVideo, tmp_path: Path) -> None:
    good = make_video()
    (tmp_path / "large.gif").write_bytes(gif_of(16000, 16000))
    assert "large.gif: a frame has 16000x16000 pixels, above the limit pixels" in refusal(tmp_path / "large.gif", good)
    bomb = with_claimed_samples(good, 30_000_000)
    assert "bomb.mp4: holds more than 5000000 frames, above the limit frames" in refusal(bomb, good)
    (tmp_path / "image.mp4").write_bytes(png_of(16000, 16000))
    assert "image.mp4: is a PNG image, not a video" in refusal(tmp_path / "image.mp4", good)
    (tmp_path / "list.mp4").write_text("ffconcat version 1.0\n" + f"file {good.name}\n" * 9)
    assert "list.mp4: is a list of videos for FFmpeg" in refusal(tmp_path / "list.mp4", good)


def png_of(width: int, height: int) -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(9))) + chunk(b"IEND", b"")


def test_samples_of_fragments_count_too(make_video: MakeVideo) -> None:
    path = make_video()
    fragment = box(
        b"moof",
        box(b"traf", box(b"tfhd", bytes(4), struct.pack(">I", 1)), box(b"trun", bytes(4), struct.pack(">I", 10**8))),
    )
    with pytest.raises(VideoLimitError, match="holds more than 5000000 frames"):
        VideoReader(path.read_bytes() + fragment)


def test_tables_are_found_wherever_ffmpeg_would_read_them(make_video: MakeVideo) -> None:
    size_table = box(b"stsz", bytes(4), struct.pack(">II", 1, 10**8))
    movie = box(b"moov", box(b"trak", box(b"udta", size_table)))
    assert claims_of(movie).longest == 10**8
    assert claims_of(box(b"junk", bytes(5)) + movie).longest == 10**8
    packed = box(b"moov", box(b"cmov", box(b"dcom", b"zlib"), box(b"cmvd", bytes(4), zlib.compress(movie))))
    assert claims_of(packed).longest == 10**8
    assert claims_of(box(b"moov", box(b"cmov", box(b"cmvd", bytes(4), b"damaged")))).longest == 0
    assert claims_of(struct.pack(">I4sQ", 1, b"moov", 16 + len(movie) - 8) + movie[8:]).longest == 10**8
    assert claims_of(struct.pack(">I4s", 0, b"moov") + movie[8:]).longest == 10**8
    assert claims_of(make_video().read_bytes()).longest == 20
    assert claims_of(b"no mp4 file at all") is None


def test_raw_sound_counts_by_the_chunk() -> None:
    def track(handler: bytes) -> bytes:
        tables = box(
            b"stbl",
            box(b"stts", bytes(4), struct.pack(">III", 1, 10**8, 1)),
            box(b"stsz", bytes(4), struct.pack(">II", 1, 10**8)),
        )
        return box(b"moov", box(b"trak", box(b"mdia", box(b"hdlr", bytes(8), handler), box(b"minf", tables))))

    assert claims_of(track(b"soun")).longest == 10**8 // 512
    assert claims_of(track(b"vide")).longest == 10**8


# ---- images


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp", ".webp", ".tiff", ".ppm", ".gif", ".jp2"])
def test_images_are_measured_before_they_are_decoded(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"1{suffix}"
    if not cv2.imwrite(str(path), np.zeros((40, 60, 3), np.uint8)):
        pytest.skip("this OpenCV does not write it")
    assert image_size(path.read_bytes()) == (60, 40)
    assert read_image(path).shape == (40, 60, 3)
    with pytest.raises(VideoLimitError, match=r"a frame has 60x40 pixels, above the limit pixels=2399"):
        read_image(path, limits=VideoLimits(pixels=2399))


def test_a_folder_of_frames_keeps_to_the_limits(tmp_path: Path) -> None:
    for number in range(5):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.zeros((40, 60, 3), np.uint8))
    with pytest.raises(VideoLimitError, match=r"0\.png: a frame has 60x40 pixels"):
        VideoReader(tmp_path, limits=VideoLimits(pixels=100))[0]
    with pytest.raises(VideoLimitError, match="holds more than 4 frames"):
        FrameFolder(tmp_path, limits=VideoLimits(frames=4))
    with pytest.raises(VideoLimitError, match="3 frames of 60x40 pixels take 21600 bytes"):
        FrameFolder(tmp_path, limits=VideoLimits(memory_bytes=20000)).decode(np.arange(3))
    (tmp_path / "0.png").write_bytes(png_of(30000, 30000))
    with pytest.raises(VideoLimitError, match=r"0\.png: a frame has 30000x30000 pixels"):
        VideoReader(tmp_path)[0]


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xd8\xff", b"BM", b"II*\0", b"P6\n", b"P7\n", b"GIF89a", b"RIFF    WEBP", b"P6\nx y\n255\n"]
)
def test_an_image_without_a_whole_header_has_no_size(content: bytes) -> None:
    assert image_size(content) is None


# ---- limits of the process


def test_the_environment_sets_the_limits_of_all_readers(make_video: MakeVideo, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_video()
    monkeypatch.setenv("KINEMA_VIDEO_LIMITS", "pixels=1e3, more_protocols=rtsp+rtp")
    assert default_limits() == VideoLimits(pixels=1000, more_protocols=("rtsp", "rtp"))
    with pytest.raises(VideoLimitError, match="above the limit pixels=1000"):
        VideoReader(path)
    assert len(VideoReader(path, limits=VideoLimits())) == 20


@pytest.mark.parametrize("text", ["pixel=3", "pixels", "pixels=many", "pixels=-1", "pixels=nan"])
def test_a_variable_that_is_no_limit_is_an_error(
    make_video: MakeVideo, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("KINEMA_VIDEO_LIMITS", text)
    with pytest.raises(VideoError, match=r"the environment variable KINEMA_VIDEO_LIMITS is '.*': (expected|pixels)"):
        VideoReader(make_video())


def test_limits_of_the_process_reach_the_processes_that_it_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = VideoLimits(pixels=5e7, seconds=float("inf"), more_formats=("hls", "dash"))
    set_default_limits(limits)
    script = "from kinema.video import default_limits; print(default_limits())"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert VideoLimits.parse(done.stdout.strip()) == default_limits() == limits
    set_default_limits(None)
    assert default_limits() == VideoLimits()
    assert "KINEMA_VIDEO_LIMITS" not in os.environ


@pytest.mark.parametrize("wrong", [{"pixels": 0}, {"frames": "3"}, {"seconds": float("nan")}, {"streams": True}])
def test_a_limit_must_be_positive(wrong: dict) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} must be a positive number"):
        VideoLimits(**wrong)


def test_further_formats_are_a_list() -> None:
    with pytest.raises(ValueError, match="more_formats must be a list of FFmpeg's names, got 'hls'"):
        VideoLimits(more_formats="hls")  # type: ignore[arg-type]


def test_a_pipeline_takes_limits_as_a_dict(make_video: MakeVideo) -> None:
    path = make_video()
    with pytest.raises(VideoLimitError, match="above the limit pixels=100"):
        OpenVideo(limits={"pixels": 100}).transform({"filename": str(path)})
    assert "pixels=100" in repr(OpenVideo(limits={"pixels": 100}))


def test_real_sizes_pass_by_default() -> None:
    watch = Watch(VideoLimits(), "video.mp4")
    watch.check_size(7680, 4320)
    watch.check_size(12288, 6480)
    watch.check_frames(20 * 3600 * 60)
    watch.check_streams(200, 16)
    watch.check_memory(300, 2160, 3840)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss > 0
