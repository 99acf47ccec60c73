"""Number of frames from packets, against what a full decode outputs."""

from collections.abc import Callable, Container
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from kinema.errors import VideoError
from kinema.video import VideoReader

MakeVideo = Callable[..., Path]

OPEN_GOP = {"x264-params": "open-gop=1:keyint=10:min-keyint=10:bframes=3:b-adapt=0:scenecut=0"}


def decoded_frames(path: Path) -> list[np.ndarray]:
    """What plain PyAV outputs from the first packet to the last."""
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def copy_packets(source: Path, target: Path, *, first: int = 0, hide: Container[int] = ()) -> Path:
    """Remux the packets from number `first` on; those in `hide` get VP8's mark of a picture that is not shown."""
    with av.open(str(source)) as container, av.open(str(target), "w") as out:
        stream = container.streams.video[0]
        out_stream = out.add_stream_from_template(stream)
        for number, packet in enumerate(packet for packet in container.demux(stream) if packet.size):
            if number < first:
                continue
            content = bytes(packet)
            copy = av.Packet(bytes([content[0] & ~0x10]) + content[1:] if number in hide else content)
            copy.pts, copy.dts, copy.duration = packet.pts, packet.dts, packet.duration
            copy.time_base, copy.is_keyframe, copy.stream = packet.time_base, packet.is_keyframe, out_stream
            out.mux(copy)
    return target


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "avi", "ts"])
def test_sound_beside_the_pictures_changes_nothing(make_video: MakeVideo, tmp_path: Path, suffix: str) -> None:
    silent = make_video(tmp_path / f"silent.{suffix}", codec="mpeg4", crf=None, fps=25, num_frames=50)
    path = tmp_path / f"sound.{suffix}"
    with av.open(str(silent)) as source, av.open(str(path), "w") as out:
        pictures = source.streams.video[0]
        video, audio = out.add_stream_from_template(pictures), out.add_stream("mp2", rate=16000, layout="mono")
        for packet in source.demux(pictures):
            if packet.size:
                sound = av.AudioFrame.from_ndarray(np.zeros((1, 640), np.int16), "s16", "mono")
                sound.rate = 16000
                packet.stream = video
                out.mux(packet)
                out.mux(audio.encode(sound))
        out.mux(audio.encode())
    with VideoReader(silent) as expected, VideoReader(path) as reader:
        assert reader.index.sizes.tolist() == expected.index.sizes.tolist()
        wanted = [30, 3, 49]
        np.testing.assert_array_equal(reader.get_batch(wanted), expected.get_batch(wanted))
        index = reader.index
    with VideoReader(path, index=index) as again:  # which reads only the packets it needs
        np.testing.assert_array_equal(again[30], decoded_frames(path)[30])


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("plain.mp4", {}),
        ("b_frames.mp4", {"options": {"bf": "3", "g": "7"}}),
        ("open_gop.mkv", {"options": OPEN_GOP}),
        ("key_frames_only.mp4", {"options": {"g": "1"}}),
        ("stream.ts", {"options": {"bf": "3"}}),
        ("raw.h264", {}),
        ("four_four_four.mp4", {"pixel_format": "yuv444p"}),
        ("ten_bit.mp4", {"pixel_format": "yuv420p10le"}),
        ("mpeg4.avi", {"codec": "mpeg4", "crf": None, "options": {"bf": "2"}}),
        ("mpeg1.mpg", {"codec": "mpeg1video", "crf": None, "fps": 25, "options": {"bf": "2"}}),
        ("vp8.webm", {"codec": "libvpx", "options": {"auto-alt-ref": "1", "lag-in-frames": "16", "cpu-used": "8"}}),
        ("vp9.webm", {"codec": "libvpx-vp9", "options": {"lag-in-frames": "16", "cpu-used": "8"}}),
        ("picture.gif", {"codec": "gif", "crf": None, "pixel_format": "rgb8"}),
        ("one.mp4", {"num_frames": 1}),
    ],
)
def test_every_format_has_the_frames_of_a_full_decode(
    make_video: MakeVideo, tmp_path: Path, name: str, options: dict
) -> None:
    path = make_video(tmp_path / name, **options)
    expected = decoded_frames(path)
    reader = VideoReader(path)
    assert len(reader) == len(expected) == options.get("num_frames", 20)
    for index in [*range(len(expected) - 1, -1, -4), 0]:
        assert np.array_equal(reader[index], expected[index])


@pytest.mark.parametrize("first", [0, 3, 10, 13])
@pytest.mark.parametrize("options", [OPEN_GOP, {"bf": "3", "g": "7"}], ids=["open GOP", "closed GOP"])
def test_a_stream_that_was_cut_counts_from_its_first_key_frame(
    make_video: MakeVideo, tmp_path: Path, options: dict, first: int
) -> None:
    source = make_video(tmp_path / "whole.mkv", num_frames=40, options=options)
    path = copy_packets(source, tmp_path / "cut.mkv", first=first)
    assert len(VideoReader(path)) == len(decoded_frames(path))


def test_hidden_reference_pictures_of_vp8_are_no_frames(make_video: MakeVideo, tmp_path: Path) -> None:
    source = make_video(tmp_path / "all.webm", codec="libvpx", options={"cpu-used": "8"})
    path = copy_packets(source, tmp_path / "hidden.webm", hide=(5, 9))
    assert len(VideoReader(path)) == len(decoded_frames(path)) == 18


def test_a_video_stream_without_frames_is_refused(make_video: MakeVideo, tmp_path: Path) -> None:
    source = make_video(tmp_path / "all.webm", codec="libvpx", options={"cpu-used": "8"})
    path = copy_packets(source, tmp_path / "none.webm", hide=range(20))
    assert decoded_frames(path) == []
    with pytest.raises(VideoError, match=r"none\.webm: has a video stream without any frame"):
        len(VideoReader(path))


def test_what_an_edit_list_cuts_away_is_no_frame(tmp_path: Path, make_video: MakeVideo) -> None:
    """Packets with times before zero go into an mp4 file with an edit list that starts at zero."""
    source = make_video(tmp_path / "whole.mp4", options={"bf": "0", "g": "50"})
    path = tmp_path / "edited.mp4"
    with av.open(str(source)) as container, av.open(str(path), "w", options={"avoid_negative_ts": "disabled"}) as out:
        stream = container.streams.video[0]
        out_stream = out.add_stream_from_template(stream)
        shift = int(0.5 / stream.time_base)
        for packet in container.demux(stream):
            if packet.size:
                packet.pts, packet.dts, packet.stream = packet.pts - shift, packet.dts - shift, out_stream
                out.mux(packet)
    with av.open(str(path)) as container:
        assert sum(packet.size > 0 for packet in container.demux(video=0)) == 20
    reader = VideoReader(path)
    expected = decoded_frames(path)
    assert len(reader) == len(expected) == 15
    assert np.array_equal(reader[:], np.stack(expected))
    assert reader.fps == pytest.approx(10)
    assert reader.duration_seconds == pytest.approx(1.5)


def test_the_rate_of_a_video_with_uneven_times_is_its_average(tmp_path: Path) -> None:
    """10 frames that start 0.1 s apart, then 5 that start 0.2 s apart: 15 frames in 2 s."""
    path = tmp_path / "uneven.mkv"
    starts = [*range(0, 1000, 100), *range(1000, 2000, 200)]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"bf": "0"})
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for start, end in zip(starts, [*starts[1:], 2000], strict=True):
            frame = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
            frame.pts, frame.time_base, frame.duration = start, Fraction(1, 1000), end - start
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    reader = VideoReader(path)
    assert len(reader) == 15
    assert reader.fps == pytest.approx(7.5, rel=0.06)  # the last frame's duration is not in the file
