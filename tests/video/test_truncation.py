"""Files that break off are found by their headers; whole ones, and those that announce nothing, are not reported."""

import io
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from kinema.cli.data.check import Problem, problem_of, usual_timeout
from kinema.errors import VideoError
from kinema.video import probe_video
from kinema.video.truncation import breaks_off

# Name of the file -> codec, FFmpeg's muxer, and its options.
KINDS: dict[str, tuple[str, str, dict[str, str]]] = {
    "a.mkv": ("libx264", "matroska", {}),
    "a.webm": ("libvpx-vp9", "webm", {}),
    "a.avi": ("mpeg4", "avi", {}),
    "a.flv": ("libx264", "flv", {}),
    "a.ts": ("libx264", "mpegts", {}),
    "a.m2ts": ("libx264", "mpegts", {"mpegts_m2ts_mode": "1"}),
    "a.wmv": ("wmv2", "asf", {}),
    "a.ogv": ("libtheora", "ogg", {}),
    "a.gif": ("gif", "gif", {}),
    "a.mp4": ("libx264", "mp4", {"movflags": "+faststart"}),
    "fragments.mp4": ("libx264", "mp4", {"movflags": "+frag_keyframe+empty_moov"}),
}
LIVE: dict[str, tuple[str, str, dict[str, str]]] = {
    "live.mkv": ("libx264", "matroska", {}),
    "clusters.mkv": ("libx264", "matroska", {"cluster_time_limit": "300"}),
    "live.webm": ("libvpx-vp9", "webm", {"live": "1"}),
    "live.flv": ("libx264", "flv", {}),
    "bare.flv": ("libx264", "flv", {"flvflags": "no_metadata+no_duration_filesize"}),
    "live.ts": ("libx264", "mpegts", {}),
    "live.mp4": ("libx264", "mp4", {"movflags": "+frag_keyframe+empty_moov"}),
    "live.asf": ("wmv2", "asf", {}),
}


class Pipe(io.RawIOBase):
    """Takes bytes and does not go back, as a pipe or a socket."""

    def __init__(self) -> None:
        self.content = bytearray()

    def write(self, data: Any) -> int:
        self.content += data
        return len(data)

    def writable(self) -> bool:
        return True


def write_file(target: Any, codec: str, muxer: str, options: dict[str, str]) -> None:
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 255, (48, 64, 3), np.uint8)
    try:
        container = av.open(target, "w", format=muxer, options=options)
        stream = container.add_stream(codec, rate=10)
    except (ValueError, av.FFmpegError) as error:
        pytest.skip(f"this FFmpeg does not write it: {error}")
    with container:
        stream.width, stream.height = 64, 48
        stream.pix_fmt = "rgb8" if codec == "gif" else "yuv420p"
        stream.codec_context.time_base, stream.codec_context.gop_size = Fraction(1, 10), 10
        for index in range(40):
            frame = av.VideoFrame.from_ndarray(np.roll(noise, index * 5, axis=1), format="rgb24")
            frame = frame.reformat(format=stream.pix_fmt)
            frame.pts = index
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


@pytest.mark.parametrize("name", KINDS)
def test_a_file_that_was_cut_is_reported_and_a_whole_one_is_not(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    write_file(str(path), *KINDS[name])
    content = path.read_bytes()
    assert breaks_off(path) is None
    assert breaks_off(content) is None
    for fast in (True, False):
        assert problem_of(path, fast=fast) is None
    for share in (0.95, 0.7, 0.61):
        # At no edge of a packet of MPEG-TS, where nothing tells.
        cut = content[: int(len(content) * share) // 188 * 188 - 77]
        if name == "fragments.mp4" or breaks_off(cut) is not None:
            path.write_bytes(cut)
            for fast in (True, False):
                problem = problem_of(path, fast=fast)
                assert problem is not None, (share, fast)
                assert "break" in problem.problem or "cannot be decoded" in problem.problem or not fast
        else:
            raise AssertionError(f"cut at {share}: not reported")


@pytest.mark.parametrize("name", LIVE)
def test_a_live_recording_announces_nothing_and_is_not_reported(tmp_path: Path, name: str) -> None:
    pipe = Pipe()
    write_file(pipe, *LIVE[name])
    path = tmp_path / name
    path.write_bytes(pipe.content)
    assert breaks_off(path) is None
    assert problem_of(path, fast=True) is None
    assert breaks_off(io.BytesIO(pipe.content)) is None


@pytest.mark.parametrize("name", ["live.mkv", "clusters.mkv", "live.flv", "bare.flv", "live.mp4", "live.ts"])
def test_a_live_recording_that_was_cut_inside_a_packet_is_reported(tmp_path: Path, name: str) -> None:
    pipe = Pipe()
    write_file(pipe, *LIVE[name])
    found = [
        breaks_off(bytes(pipe.content[: len(pipe.content) * part // 20 // 188 * 188 + 101])) for part in range(10, 20)
    ]
    assert sum(reason is not None for reason in found) >= 9  # a cut may fall on the edge of one


def test_the_problem_says_what_is_there_and_what_was_announced(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    write_file(str(path), *KINDS["a.mkv"])
    content = path.read_bytes()
    path.write_bytes(content[:-3000])
    problem = problem_of(path, fast=True)
    assert isinstance(problem, Problem)
    assert (
        problem.problem
        == f"the file breaks off: it has {len(content) - 3000} bytes, its headers announce {len(content)}"
    )
    assert 0 < (problem.num_good or 0) < 40
    assert "a.mkv: the file breaks off: it has" in str(probe_video(path).damage)
    assert "a.mkv: the file breaks off: it has" in str(probe_video(path, decode=False).damage)


def test_what_is_behind_a_whole_file_does_no_harm(tmp_path: Path) -> None:
    for name in ("a.mkv", "a.avi", "a.mp4", "a.gif"):
        write_file(str(tmp_path / name), *KINDS[name])
        assert breaks_off((tmp_path / name).read_bytes() + bytes(1000)) is None


@pytest.mark.parametrize(
    "content", [b"", b"FLV\1", b"OggS", b"RIFF\0\0\0\0AVI ", b"\x1aE\xdf\xa3", b"GIF89a;", b"no video"]
)
def test_what_is_no_whole_header_is_left_to_the_reader(content: bytes) -> None:
    assert breaks_off(content) in (None, "it ends in its header")


def test_addresses_are_not_looked_at_and_files_must_be_there(tmp_path: Path) -> None:
    assert breaks_off("http://127.0.0.1:1/a.mkv") is None
    with pytest.raises(VideoError, match="no such file"):
        breaks_off(tmp_path / "none.mkv")


def test_a_large_file_may_take_longer(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(bytes(2_000_000))
    assert usual_timeout(tmp_path / "a.mp4") == 310
    assert usual_timeout(tmp_path / "none.mp4") == 300


@pytest.mark.parametrize("part", ["formats", "kinetics_style", "labelled"])
def test_no_real_clip_is_reported(shared_clips: Path, part: str) -> None:
    suffixes = {".avi", ".mkv", ".webm", ".mp4", ".mov", ".mpg", ".gif"}
    paths = [path for path in sorted((shared_clips / part).rglob("*.*")) if path.suffix in suffixes]
    assert paths
    for path in paths:
        assert breaks_off(path) is None, path
