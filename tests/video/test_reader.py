"""VideoReader on made videos: frame i is flat grey of a known level."""

import gc
import io
import math
import multiprocessing
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from open_files import open_files

from kinema.errors import VideoError
from kinema.video import VideoReader

MakeVideo = Callable[..., Path]
GreyLevel = Callable[[int], int]


def levels(frames: np.ndarray) -> list[int]:
    """Grey level of each frame, from its middle pixel."""
    return [int(frame[frame.shape[0] // 2, frame.shape[1] // 2, 0]) for frame in frames]


def test_length_rate_and_size_come_from_the_file(make_video: MakeVideo) -> None:
    reader = VideoReader(make_video(num_frames=20, size=(64, 48), fps=10))
    assert len(reader) == 20
    assert reader.fps == 10.0
    assert isinstance(reader.fps, float)
    assert reader.duration_seconds == pytest.approx(2.0)
    assert (reader.width, reader.height) == (64, 48)


def test_any_order_of_numbers_gives_the_frames_in_the_order_asked(make_video: MakeVideo, grey_level: GreyLevel) -> None:
    reader = VideoReader(make_video())
    wanted = [7, 3, 19, 3, -1, 0, -20]
    frames = reader.get_batch(wanted)
    assert frames.shape == (7, 48, 64, 3)
    assert frames.dtype == np.uint8
    assert np.allclose(levels(frames), [grey_level(index % 20) for index in wanted], atol=2)


def test_going_back_and_forth_gives_the_frames_of_one_pass(make_video: MakeVideo) -> None:
    reader = VideoReader(make_video())
    whole = reader.get_batch(range(20))
    for index in [12, 2, 2, 19, 11, 0, 5]:
        assert np.array_equal(reader[index], whole[index])
    assert np.array_equal(np.stack(list(reader)), whole)


def test_slices_and_negative_numbers_work_as_for_a_list(make_video: MakeVideo) -> None:
    reader = VideoReader(make_video())
    whole = reader.get_batch(np.arange(20))
    assert np.array_equal(reader[-1], whole[19])
    assert np.array_equal(reader[15:5:-3], whole[15:5:-3])
    assert reader[30:].shape == (0, 48, 64, 3)


def test_no_numbers_give_an_empty_batch(make_video: MakeVideo) -> None:
    assert VideoReader(make_video()).get_batch([]).shape == (0, 48, 64, 3)


def test_more_threads_give_the_same_frames(make_video: MakeVideo) -> None:
    path = make_video()
    assert np.array_equal(VideoReader(path, num_threads=4)[:], VideoReader(path)[:])


@pytest.mark.parametrize("index", [20, -21, 1000])
def test_a_number_outside_the_video_says_the_length(make_video: MakeVideo, index: int) -> None:
    with pytest.raises(IndexError, match=rf"video\.mp4: there is no frame {index}, the video has 20 frames"):
        VideoReader(make_video())[index]


@pytest.mark.parametrize("indices", [[0.5], [True], [[1, 2]], ["1"]])
def test_numbers_that_are_no_integers_are_refused(make_video: MakeVideo, indices: list) -> None:
    with pytest.raises(TypeError, match="frame numbers must be a flat list of integers, got"):
        VideoReader(make_video()).get_batch(indices)


def test_no_threads_are_refused(make_video: MakeVideo) -> None:
    with pytest.raises(ValueError, match="num_threads must be at least 1, got 0"):
        VideoReader(make_video(), num_threads=0)


def test_bytes_and_file_objects_give_the_same_frames_as_the_path(make_video: MakeVideo) -> None:
    path = make_video()
    whole = VideoReader(path)[:]
    content = path.read_bytes()
    assert np.array_equal(VideoReader(content)[:], whole)
    assert np.array_equal(VideoReader(io.BytesIO(content))[::-1], whole[::-1])
    with path.open("rb") as file:
        reader = VideoReader(file)
        assert np.array_equal(reader[4], whole[4])
        assert np.array_equal(reader[1], whole[1])
    assert np.array_equal(VideoReader(str(path))[:], whole)


def test_a_name_with_a_colon_is_a_path(make_video: MakeVideo, tmp_path: Path) -> None:
    assert len(VideoReader(make_video(tmp_path / "a:b 100%.mp4"))) == 20


def test_other_sources_are_refused() -> None:
    with pytest.raises(TypeError, match="a video must be a path, bytes or a seekable binary file object, got int"):
        VideoReader(3)


@pytest.mark.parametrize("angle", [90, 180, 270])
def test_rotation_metadata_is_applied_unless_told_not_to(tmp_path: Path, angle: int) -> None:
    """The stored frame has its left half bright; players turn it by `angle` counter-clockwise."""
    stored = np.zeros((32, 64, 3), np.uint8)
    stored[:, :32] = 200
    path = tmp_path / "turned.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 32, "yuv420p"
        stream.set_display_rotation(angle)
        for packet in [*stream.encode(av.VideoFrame.from_ndarray(stored, format="rgb24")), *stream.encode()]:
            container.mux(packet)
    shown = np.rot90(stored, angle // 90)
    reader = VideoReader(path)
    assert (reader.height, reader.width) == shown.shape[:2]
    assert np.allclose(reader[0], shown, atol=10)
    assert np.allclose(VideoReader(path, rotate=False)[0], stored, atol=10)


# ---- frames by time


@pytest.fixture
def uneven_video(tmp_path: Path) -> Path:
    """Four frames of grey level 0, 60, 120, 180, shown from 2.0, 2.1, 2.5 and 4.0 seconds on."""
    path = tmp_path / "uneven.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "gray"
        stream.codec_context.time_base = Fraction(1, 1000)
        for level, milliseconds in zip((0, 60, 120, 180), (2000, 2100, 2500, 4000), strict=True):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64), level, np.uint8), format="gray")
            frame.pts, frame.time_base = milliseconds, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        ([2.0, 2.1, 2.5, 4.0], [0, 60, 120, 180]),
        ([2.05, 2.4999, 2.51, 3.999, 4.01], [0, 60, 120, 120, 180]),
        ([4.0, 2.0, 2.3, 4.0], [180, 0, 60, 180]),
        (np.array([2.2], np.float32), [60]),
        ([], []),
    ],
    ids=["starts", "between", "any order", "array", "none"],
)
def test_frames_at_gives_what_is_shown_at_each_time(uneven_video: Path, seconds: list, expected: list) -> None:
    reader = VideoReader(uneven_video)
    assert reader.timestamps_seconds.tolist() == [2.0, 2.1, 2.5, 4.0]
    frames = reader.frames_at(seconds)
    assert (frames.shape, frames.dtype) == ((len(expected), 48, 64, 3), np.uint8)
    assert levels(frames) == expected


def test_frames_at_the_time_of_a_frame_gives_that_frame(make_video: MakeVideo) -> None:
    """30000/1001 frames a second: no time is a round number."""
    reader = VideoReader(make_video(num_frames=50, fps=30000 / 1001))
    assert np.array_equal(reader.frames_at(reader.timestamps_seconds), reader[:])
    assert np.array_equal(reader.frames_at(np.arange(50) / reader.fps), reader[:])


@pytest.mark.parametrize("seconds", [1.99, -1.0, 9.0, math.nan, math.inf])
def test_frames_at_refuses_a_time_at_which_nothing_is_shown(uneven_video: Path, seconds: float) -> None:
    message = rf"uneven\.mkv: nothing is shown at {seconds:g} s, the video runs from 2 to [\d.]+ s"
    with pytest.raises(ValueError, match=message):
        VideoReader(uneven_video).frames_at([2.0, seconds])


# ---- life of a reader


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
def test_a_dropped_reader_closes_its_file(make_video: MakeVideo) -> None:
    path = make_video()
    reader = VideoReader(path)
    frame = reader[3]
    assert open_files(path) > 0
    gc.disable()  # dropping must be enough
    try:
        del reader
        assert open_files(path) == 0
    finally:
        gc.enable()
    assert frame.shape == (48, 64, 3)


def test_a_closed_reader_says_so(make_video: MakeVideo) -> None:
    with VideoReader(make_video()) as reader:
        assert len(reader) == 20
    reader.close()
    with pytest.raises(ValueError, match=r"video\.mp4: this VideoReader is closed"):
        reader[0]


def test_a_pickled_reader_opens_the_file_itself(make_video: MakeVideo) -> None:
    reader = VideoReader(make_video())
    fresh = pickle.loads(pickle.dumps(reader))
    frame = reader[9]
    used = pickle.loads(pickle.dumps(reader))
    assert np.array_equal(fresh[9], frame)
    assert np.array_equal(used[9], frame)


def test_a_forked_process_and_its_parent_do_not_disturb_each_other(make_video: MakeVideo) -> None:
    path = make_video(num_frames=45)
    whole = VideoReader(path)[:]
    reader = VideoReader(path, num_threads=2)
    assert np.array_equal(reader[5], whole[5])
    child = os.fork()
    if child == 0:
        same = all(np.array_equal(reader[index], whole[index]) for index in range(6, 45))
        del reader
        os._exit(0 if same else 1)
    for index in range(6, 45):
        assert np.array_equal(reader[index], whole[index])
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def _mean_of_frame(reader: VideoReader, index: int) -> float:
    return float(reader[index].mean())


def test_a_spawned_worker_reads_with_a_reader_of_its_parent(make_video: MakeVideo) -> None:
    reader = VideoReader(make_video())
    expected = _mean_of_frame(reader, 8)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(_mean_of_frame, (reader, 8)) == expected


# ---- damage


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match=r"gone\.mp4: no such file"):
        VideoReader(tmp_path / "gone.mp4")


def test_a_folder_is_no_video(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match="holds no RGB frames: expected numbered images"):
        VideoReader(tmp_path)


def test_nothing_is_no_video(tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    with pytest.raises(VideoError, match=r"empty\.mp4: is empty \(0 bytes\)"):
        VideoReader(tmp_path / "empty.mp4")
    with pytest.raises(VideoError, match=r"<0 bytes>: is empty \(0 bytes\)"):
        VideoReader(b"")


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (bytes(5000), "holds only zeros at its start"),
        (b"hello world\n" * 100, "is a text file"),
        (b"\1\2\3\4" * 100, r"is no video that can be read \(Invalid data found"),
    ],
    ids=["zeros", "text", "numbers"],
)
def test_a_file_of_something_else_is_no_video(tmp_path: Path, content: bytes, kind: str) -> None:
    (tmp_path / "other.mp4").write_bytes(content)
    with pytest.raises(VideoError, match=rf"other\.mp4: {kind}") as caught:
        VideoReader(tmp_path / "other.mp4")
    assert "\n" not in str(caught.value)
    with pytest.raises(VideoError, match=rf"<\d+ bytes>: {kind}"):
        VideoReader(content)


def test_a_text_file_is_no_video_of_its_letters(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello world\n" * 100)
    with pytest.raises(VideoError, match=r"notes\.txt: is a text file, not a video"):
        VideoReader(tmp_path / "notes.txt")


def write_sound(path: Path, cover: bool) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16000, layout="mono")
        picture = None
        if cover:
            picture = container.add_stream("mjpeg", rate=1)
            picture.width, picture.height, picture.pix_fmt = 32, 32, "yuvj420p"
            picture.disposition = av.stream.Disposition.attached_pic
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 16000), np.float32), format="fltp", layout="mono")
        sound.rate = 16000
        for packet in [*stream.encode(sound), *stream.encode()]:
            container.mux(packet)
        if picture is not None:
            image = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
            for packet in [*picture.encode(image), *picture.encode()]:
                container.mux(packet)
    return path


@pytest.mark.parametrize("cover", [False, True])
def test_a_sound_file_is_no_video_even_with_a_cover_picture(tmp_path: Path, cover: bool) -> None:
    path = write_sound(tmp_path / "song.mp4", cover)
    with pytest.raises(VideoError, match=r"song\.mp4: has no video stream, only audio"):
        VideoReader(path)


def spoil_middle(path: Path) -> Path:
    """Zero the packets from the 11th on, leaving the header as it is."""
    content = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        for number, packet in enumerate(container.demux(video=0)):
            if number >= 10 and packet.size:
                content[packet.pos : packet.pos + packet.size] = bytes(packet.size)
    path.write_bytes(content)
    return path


def test_a_frame_that_cannot_be_decoded_is_an_error_that_counts_the_good_ones(
    make_video: MakeVideo, grey_level: GreyLevel
) -> None:
    reader = VideoReader(spoil_middle(make_video(options={"bf": "0"})))
    assert len(reader) == 20
    for _ in range(2):  # also when the damage is known already
        with pytest.raises(
            VideoError, match=r"video\.mp4: frame 15 cannot be decoded: .*; of 20 frames the first 10 are good"
        ) as caught:
            reader[15]
        assert "\n" not in str(caught.value)
    assert levels(reader.get_batch([9, 2])) == pytest.approx([grey_level(9), grey_level(2)], abs=2)


def test_a_video_whose_first_frame_cannot_be_decoded_says_that_none_is_good(make_video: MakeVideo) -> None:
    path = make_video()
    content = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        for packet in container.demux(video=0):
            if packet.size:
                content[packet.pos : packet.pos + packet.size] = bytes(packet.size)
    with pytest.raises(VideoError, match="frame 0 cannot be decoded: .*; of 20 frames none is good"):
        VideoReader(bytes(content)).width  # noqa: B018


def test_a_picture_that_is_not_coded_is_no_frame(make_video: MakeVideo, grey_level: GreyLevel) -> None:
    """MPEG-4 may say of a picture that it is not coded; the decoder shows nothing for it."""
    path = make_video(codec="mpeg4", crf=None, path=make_video().with_suffix(".avi"))
    content = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    middle = packets[7]
    coded = bytes(middle)
    start = coded.index(b"\0\0\1\xb6") + 4
    # After its type (2 bits), seconds (a 0 bit), a marker and the fraction (4 bits for 10 a second)
    # comes a marker and vop_coded, which is cleared here.
    bits = int.from_bytes(coded[start : start + 2])
    assert bits >> 6 & 3 == 3
    content[middle.pos + start : middle.pos + start + 2] = (bits & ~(1 << 6)).to_bytes(2)
    reader = VideoReader(bytes(content))
    assert len(reader) == 19
    assert levels(reader[6:8]) == pytest.approx([grey_level(6), grey_level(8)], abs=8)


def test_two_streams_after_another_have_the_size_of_the_first(make_video: MakeVideo, tmp_path: Path) -> None:
    parts = [make_video(tmp_path / "a.h264", size=(64, 48)), make_video(tmp_path / "b.h264", size=(32, 32))]
    content = b"".join(part.read_bytes() for part in parts)
    assert VideoReader(content)[20].shape == VideoReader(content)[19].shape == (48, 64, 3)
    assert VideoReader(content).find_damage() is None


def test_the_decoder_writes_nothing_to_stderr(make_video: MakeVideo) -> None:
    path = spoil_middle(make_video())
    script = (
        "import sys; from kinema.video import VideoReader; from kinema.errors import VideoError\n"
        "try: VideoReader(sys.argv[1])[15]\n"
        "except VideoError: print('refused')"
    )
    run = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True)
    assert (run.stdout, run.stderr) == ("refused\n", "")
