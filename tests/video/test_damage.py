"""Damaged files keep what the container says of its pictures, and no decoder of theirs hangs."""

import ctypes
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from kinema.errors import VideoError
from kinema.video import VideoReader, write_video
from kinema.video.lasting import replaced


def spoil_packet(path: Path, number: int, keep: int = 4) -> None:
    """Overwrite the content of packet `number`, but for its first `keep` bytes."""
    with av.open(str(path)) as container:
        packet = [one for one in container.demux(video=0) if one.size][number]
        assert packet.pos is not None
        start, size = packet.pos, packet.size
    content = bytearray(path.read_bytes())
    content[start + keep : start + size] = b"\xff" * (size - keep)
    path.write_bytes(content)


# ---- what the container says


@pytest.mark.parametrize("asked", [[0], [0, 33], [33], [35, 2]])
def test_frames_are_turned_whatever_was_asked_of_a_damaged_file(
    asked: list[int], tmp_path: Path, moving_frames: list[np.ndarray], ask_for_rotation: Callable[[Path, int], None]
) -> None:
    path = write_video(tmp_path / "turned.mp4", moving_frames, 25, options={"g": "10", "bf": "0"})
    ask_for_rotation(path, 1)
    good = VideoReader(path)
    spoil_packet(path, 33)
    reader = VideoReader(path.read_bytes(), errors="keep-good")
    frames = reader.get_batch(asked)
    assert frames.shape[1:] == (96, 64, 3)
    assert (reader.height, reader.width, reader.rotation_degrees) == (96, 64, 270)
    nearest = {33: 32, 35: 37}  # the key picture behind the damage is 37
    assert good.index.entries.tolist()[-1] == 37
    assert np.array_equal(frames, good.get_batch([nearest.get(one, one) for one in asked]))


def test_colours_are_the_same_before_and_after_an_error(tmp_path: Path, moving_frames: list[np.ndarray]) -> None:
    """MPEG-4 pictures say nothing of the matrix of their colours; the container does."""
    path = tmp_path / "matrix.mov"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25, options={"g": "10", "b": "2M"})
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        context = stream.codec_context
        context.colorspace = context.color_primaries = context.color_trc = 1  # BT.709
        for pixels in moving_frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    good = VideoReader(path)[:]
    spoil_packet(path, 25, keep=20)
    reader = VideoReader(path)
    assert np.array_equal(reader[5], good[5])
    with pytest.raises(VideoError, match="frame 25 cannot be decoded"):
        reader[25]
    assert np.array_equal(reader[5], good[5])
    assert np.array_equal(reader[35], good[35])


def test_a_lost_picture_whose_header_is_gone_takes_those_after_it_along(
    tmp_path: Path, moving_frames: list[np.ndarray]
) -> None:
    """FFmpeg would put the picture before it in its place and decode the others with that, without a word."""
    path = write_video(tmp_path / "gap.mp4", moving_frames, 25, options={"g": "10", "bf": "0"})
    entries = VideoReader(path).index.entries.tolist()
    good = VideoReader(path)[:]
    spoil_packet(path, entries[-1] - 4)
    reader = VideoReader(path)
    for lost in range(entries[-1] - 4, entries[-1]):
        with pytest.raises(VideoError, match=f"frame {lost} cannot be decoded"):
            reader[lost]
    for number in (entries[-1] - 5, entries[-1]):
        assert np.array_equal(reader[number], good[number])


def test_a_missing_slice_is_noticed_in_the_pictures_that_come_out_before_it(
    tmp_path: Path, moving_frames: list[np.ndarray]
) -> None:
    """Only the picture without it carries FFmpeg's mark, and B pictures that refer to it come out first."""
    x264 = "keyint=10:min-keyint=10:scenecut=0:bframes=3:b-adapt=0:slices=3:mbtree=0:threads=1"
    path = write_video(tmp_path / "slices.mp4", moving_frames, 25, options={"x264-params": x264})
    good = VideoReader(path)[:]
    with av.open(str(path)) as container:
        packet = [one for one in container.demux(video=0) if one.size][11]  # the first behind the second key picture
        assert packet.pos is not None
        start, data = packet.pos, bytes(packet)
    second = 4 + int.from_bytes(data[:4])  # NAL units stand behind their lengths
    assert data[second + 4] & 31 == 1
    content = bytearray(path.read_bytes())
    content[start + second + 4] = 12  # a filler
    lost = set()
    for number in range(40):
        reader = VideoReader(bytes(content))
        try:
            assert np.array_equal(reader[number], good[number])
        except VideoError:
            lost.add(number)
    assert lost == set(range(11, 20))
    with pytest.raises(VideoError, match="frame 12 cannot be decoded: the decoder says that it is damaged"):
        VideoReader(bytes(content)).get_batch([5, 12])


def test_a_damaged_time_in_an_mpeg4_picture_is_no_crash(tmp_path: Path, moving_frames: list[np.ndarray]) -> None:
    path = write_video(tmp_path / "seconds.avi", moving_frames, 25, codec="mpeg4", options={"g": "10"})
    spoil_packet(path, 25)
    with pytest.raises(VideoError, match="frame 26 cannot be decoded"):
        VideoReader(path)[26]


# ---- threads

# A program whose log goes through PyAV, as its documentation shows, and that drops many readers of
# a damaged file.
READ_OFTEN = """
import random, sys
import av
from kinema.errors import VideoError
from kinema.video import VideoReader
path, runs = sys.argv[1], int(sys.argv[2])
av.logging.set_level(av.logging.PANIC)
rng = random.Random(runs)
for _ in range(runs):
    reader = VideoReader(path, num_threads=2)
    try:
        reader.get_batch([rng.randrange(len(reader)) for _ in range(4)])
    except VideoError:
        pass
    try:
        VideoReader(path, num_threads=2)[rng.randrange(len(reader))]
    except VideoError:
        pass
print("done")
"""


@pytest.mark.parametrize("codec", ["libx264", "libsvtav1", "mpeg4"])
def test_several_threads_on_a_damaged_file_come_to_an_end(
    codec: str, tmp_path: Path, moving_frames: list[np.ndarray]
) -> None:
    options = {"g": "10", "preset": "12"} if codec == "libsvtav1" else {"g": "10"}
    if codec not in av.codecs_available:
        pytest.skip(f"this FFmpeg has no encoder {codec}")
    path = write_video(tmp_path / "damaged.mp4", moving_frames, 25, codec=codec, options=options)
    for number in (8, 23):
        spoil_packet(path, number)
    command = [sys.executable, "-c", READ_OFTEN, str(path), "25"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=True)
    assert done.stdout == "done\n"


def test_a_packet_with_headers_put_before_it_ends_with_zeros() -> None:
    """Decoders of damaged data read on behind it: FFmpeg wants 64 zeros there."""
    for size in range(1, 400, 7):
        old = av.Packet(b"\xff" * size)
        old.time_base = Fraction(1, 25)
        packet = replaced(old, b"\xfe" * size)
        assert bytes(packet) == b"\xfe" * size
        assert ctypes.string_at(packet.buffer_ptr + size, 64) == bytes(64)
