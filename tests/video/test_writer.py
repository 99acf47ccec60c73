"""VideoWriter and write_video: what is written is read back, and nothing half-written is left."""

import gc
import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from kinema.errors import VideoError
from kinema.video import VideoReader, VideoWriter, write_video
from kinema.video.writer import frame_rate

GREY = np.full((4, 32, 48, 3), 120, np.uint8)
SUFFIXES = ("mp4", "m4v", "mov", "mkv", "webm", "avi", "gif")


def moving_waves(num_frames: int = 12, height: int = 48, width: int = 64) -> np.ndarray:
    """(T, H, W, 3): smooth colours that move by four pixels a frame, so that every frame differs from its
    neighbours.
    """
    rows, columns = np.mgrid[:height, :width]
    frames = [
        np.stack([128 + 90 * np.sin((columns + 4 * time) / 12), 40 + 3 * rows, np.full_like(rows, 110)], axis=-1)
        for time in range(num_frames)
    ]
    return np.stack(frames).round().astype(np.uint8)


def signal_to_noise(frames: np.ndarray, truth: np.ndarray) -> float:
    """PSNR in dB."""
    return float(10 * np.log10(255**2 / np.mean((frames.astype(float) - truth) ** 2)))


def test_frames_come_back_in_size_order_and_rate(tmp_path: Path) -> None:
    frames = np.stack([np.full((32, 48, 3), level, np.uint8) for level in (20, 90, 160, 230)])
    path = write_video(tmp_path / "new" / "clip.mp4", frames, 12.5)
    reader = VideoReader(path)
    assert reader[:].shape == frames.shape
    assert np.allclose(reader[:], frames, atol=2)
    assert reader.fps == pytest.approx(12.5)


def test_colours_survive(tmp_path: Path) -> None:
    frame = np.zeros((32, 48, 3), np.uint8)
    frame[:, :, 0], frame[:, :, 1], frame[:, :, 2] = 200, 120, 40
    path = write_video(tmp_path / "clip.mp4", [frame] * 3, 10, crf=10)
    assert np.allclose(VideoReader(path)[1], frame, atol=4)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_suffix_holds_what_was_written(tmp_path: Path, suffix: str) -> None:
    frames = moving_waves()
    with VideoWriter(tmp_path / f"clip.{suffix}", 25) as writer:
        writer.write(frames[0])
        writer.write_batch(frames[1:])
    assert writer.num_frames == len(frames)
    reader = VideoReader(writer.path)
    assert len(reader) == len(frames)
    assert reader.fps == pytest.approx(25)
    assert signal_to_noise(reader[:], frames) > (30 if suffix != "gif" else 27)
    # Not a frame too early or too late: each is nearest to its own.
    nearest = [np.argmin([np.abs(read.astype(int) - one).mean() for one in frames]) for read in reader[:]]
    assert nearest == list(range(len(frames)))


@pytest.mark.parametrize(
    ("suffix", "container_format", "codec"),
    [
        ("mp4", "mp4", "h264"),
        ("mkv", "matroska", "h264"),
        ("webm", "webm", "vp9"),
        ("avi", "avi", "mpeg4"),
        ("gif", "gif", "gif"),
    ],
)
def test_the_suffix_chooses_container_and_encoder(
    tmp_path: Path, suffix: str, container_format: str, codec: str
) -> None:
    path = write_video(tmp_path / f"clip.{suffix.upper()}", GREY, 10)
    with av.open(str(path)) as container:
        assert container.streams.video[0].codec_context.codec.canonical_name == codec
        assert container_format in container.format.name.split(",")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_same_frames_give_the_same_file(tmp_path: Path, suffix: str) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (6, 32, 48, 3), dtype=np.uint8)
    first, second = (write_video(tmp_path / f"{name}.{suffix}", noise, 10).read_bytes() for name in "ab")
    assert first == second


@pytest.mark.parametrize("suffix", ["mp4", "webm", "avi", "gif"])
def test_better_quality_is_nearer_to_the_frames(tmp_path: Path, suffix: str) -> None:
    frames = moving_waves()
    noise = [
        signal_to_noise(
            VideoReader(write_video(tmp_path / f"{quality}.{suffix}", frames, 10, quality=quality))[:], frames
        )
        for quality in (0, 40, 75)
    ]
    assert noise == sorted(noise)
    assert noise[2] > noise[0] + 2


def test_an_option_that_sets_the_rate_takes_the_place_of_quality(tmp_path: Path) -> None:
    frames = moving_waves()
    by_option = write_video(tmp_path / "a.mp4", frames, 10, quality=0, options={"crf": "16"})
    assert by_option.read_bytes() == write_video(tmp_path / "b.mp4", frames, 10, quality=100).read_bytes()


def test_lossless_encoders_keep_every_value(tmp_path: Path) -> None:
    frames = np.random.default_rng(0).integers(0, 255, (3, 33, 47, 3), dtype=np.uint8)
    path = write_video(tmp_path / "clip.mkv", frames, 10, codec="ffv1", pixel_format="bgr0")
    assert np.array_equal(VideoReader(path)[:], frames)


@pytest.mark.parametrize(
    ("fps", "stored"),
    [
        (29.97, Fraction(30000, 1001)),
        (23.976, Fraction(24000, 1001)),
        (23.98, Fraction(24000, 1001)),
        (59.94, Fraction(60000, 1001)),
        (30000 / 1001, Fraction(30000, 1001)),
        (Fraction(2997, 100), Fraction(2997, 100)),
        (25, Fraction(25)),
        (30.0, Fraction(30)),
        (12.5, Fraction(25, 2)),
        (1 / 3, Fraction(1, 3)),
    ],
)
def test_frame_rates_are_stored_as_fractions(fps: float | Fraction, stored: Fraction) -> None:
    assert frame_rate(fps) == stored


@pytest.mark.parametrize("suffix", ["mp4", "webm", "avi", "mkv"])
def test_television_rates_come_back(tmp_path: Path, suffix: str) -> None:
    path = write_video(tmp_path / f"clip.{suffix}", np.repeat(GREY, 15, axis=0), 29.97)
    # Matroska counts in milliseconds.
    assert VideoReader(path).fps == pytest.approx(30000 / 1001, rel=1e-6 if suffix in ("mp4", "avi") else 1e-2)


@pytest.mark.parametrize("suffix", ["mp4", "webm", "avi"])
@pytest.mark.parametrize(("height", "width"), [(31, 48), (32, 47), (33, 47)])
def test_odd_sizes_are_made_even_by_repeating_the_border(tmp_path: Path, suffix: str, height: int, width: int) -> None:
    frames = moving_waves(3, height, width)
    back = VideoReader(write_video(tmp_path / f"odd.{suffix}", frames, 10))[:]
    assert back.shape == (3, height + height % 2, width + width % 2, 3)
    assert signal_to_noise(back[:, :height, :width], frames) > 30
    assert signal_to_noise(back[:, -1, :width], frames[:, -1]) > 25
    assert signal_to_noise(back[:, :height, -1], frames[:, :, -1]) > 25


@pytest.mark.parametrize(("suffix", "options"), [("mp4", {"pixel_format": "yuv444p"}), ("gif", {})])
def test_full_colour_keeps_odd_sizes(tmp_path: Path, suffix: str, options: dict[str, str]) -> None:
    frames = moving_waves(3, 33, 47)
    assert VideoReader(write_video(tmp_path / f"odd.{suffix}", frames, 10, **options))[:].shape == frames.shape


def test_a_gif_plays_for_ever(tmp_path: Path) -> None:
    content = write_video(tmp_path / "clip.gif", moving_waves(), 10).read_bytes()
    assert b"NETSCAPE2.0\x03\x01\x00\x00" in content  # the block's count of repeats: 0, without end


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        ([], "clip.mp4: there are no frames to write"),
        ([np.zeros((32, 48), np.uint8)], r"got \(32, 48\) uint8: give a grey picture three channels"),
        ([np.zeros((32, 48, 1), np.uint8)], r"got \(32, 48, 1\) uint8: give a grey picture three channels"),
        ([np.zeros((32, 48, 4), np.uint8)], r"a frame must be \(H, W, 3\) uint8 RGB, got \(32, 48, 4\) uint8"),
        ([GREY], r"got \(4, 32, 48, 3\) uint8: several frames go to write_batch"),
        ([np.zeros((32, 48, 3), np.float32)], r"got \(32, 48, 3\) float32: bring the values into 0 to 255"),
        ([np.zeros((0, 48, 3), np.uint8)], r"got \(0, 48, 3\) uint8: it has no pixels"),
        ([GREY[0], GREY[0, :16]], r"all frames must have one size, got \(32, 48, 3\) and then \(16, 48, 3\)"),
    ],
)
def test_wrong_frames_are_refused_and_leave_no_file(tmp_path: Path, frames: list, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        write_video(tmp_path / "clip.mp4", frames, 10)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("clip.mp4", {"fps": 0}, "fps must be positive, got 0"),
        ("clip.mp4", {"fps": float("nan")}, "fps must be positive, got nan"),
        ("clip.mp4", {"quality": 101}, r"quality must be from 0 \(small\) to 100 \(near lossless\), got 101"),
        ("clip.mp4", {"codec": "h266"}, "this FFmpeg has no encoder 'h266'"),
        ("clip.mp4", {"codec": "aac"}, "aac encodes audio, not video"),
        ("clip.mp4", {"pixel_format": "pal8"}, "libx264 has no pixel format 'pal8', but yuv420p, "),
        ("clip.docx", {}, r"no video format has the suffix '\.docx': use \.mp4"),
        ("clip", {}, r"no video format has the suffix '': use \.mp4"),
        ("clip.gif", {"fps": 60}, "a GIF shows at most 50 frames a second, got 60"),
    ],
)
def test_wrong_arguments_are_refused_before_the_first_frame(
    tmp_path: Path, name: str, arguments: dict, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        VideoWriter(tmp_path / name, **{"fps": 10, **arguments})
    assert list(tmp_path.iterdir()) == []


def test_an_encoder_that_does_not_fit_its_container_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"clip\.webm: a \.webm file does not hold libx264: leave out codec"):
        write_video(tmp_path / "clip.webm", GREY, 10, codec="libx264")
    assert list(tmp_path.iterdir()) == []


def test_an_encoder_that_refuses_is_named(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match=r"clip\.mp4: cannot be written with libx264 \("):
        write_video(tmp_path / "clip.mp4", GREY, 10, options={"profile": "baseline", "qp": "0"})
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(VideoError, match=r"clip\.mp4: cannot be written with libx264 \("):
        write_video(tmp_path / "file" / "clip.mp4", GREY, 10)


def test_a_file_appears_only_when_it_is_complete(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.mp4", GREY, 10)
    before = path.read_bytes()

    def interrupted() -> Iterator[np.ndarray]:
        yield from GREY
        assert path.read_bytes() == before  # the old file stays in place meanwhile
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_video(path, interrupted(), 10)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("suffix", ["mp4", "gif"])
def test_a_block_that_raises_leaves_no_file(tmp_path: Path, suffix: str) -> None:
    def interrupted() -> Iterator[np.ndarray]:
        yield from GREY
        assert not (tmp_path / f"clip.{suffix}").exists()
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), VideoWriter(tmp_path / f"clip.{suffix}", 10) as writer:
        writer.write_batch(interrupted())
    assert list(tmp_path.iterdir()) == []


def test_a_writer_that_is_dropped_leaves_no_file(tmp_path: Path) -> None:
    writer = VideoWriter(tmp_path / "clip.mp4", 10)
    writer.write(GREY[0])
    del writer
    gc.collect()
    assert list(tmp_path.iterdir()) == []


def test_a_forked_process_that_drops_a_writer_leaves_the_file_to_its_parent(tmp_path: Path) -> None:
    frames = moving_waves()
    with VideoWriter(tmp_path / "alone.mkv", 10) as writer:
        writer.write_batch(frames)
    holder = [VideoWriter(tmp_path / "forked.mkv", 10)]
    holder[0].write_batch(frames)
    child = os.fork()
    if child == 0:
        holder.clear()
        gc.collect()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    holder[0].close()
    assert (tmp_path / "forked.mkv").read_bytes() == (tmp_path / "alone.mkv").read_bytes()


def test_without_a_block_close_completes_the_file(tmp_path: Path) -> None:
    writer = VideoWriter(tmp_path / "clip.mp4", 10)
    writer.write_batch(GREY)
    writer.close()
    writer.close()
    assert len(VideoReader(writer.path)) == len(GREY)
    with pytest.raises(ValueError, match=r"clip\.mp4: this VideoWriter is closed"):
        writer.write(GREY[0])


def test_closing_without_frames_is_refused(tmp_path: Path) -> None:
    with (
        pytest.raises(ValueError, match=r"clip\.mp4: there are no frames to write"),
        VideoWriter(tmp_path / "clip.mp4", 10),
    ):
        pass


@pytest.mark.parametrize(("suffix", "tick"), [("mp4", 1 / 90_000), ("mkv", 1e-3), ("webm", 1e-3)])
def test_frames_keep_times_of_their_own(tmp_path: Path, suffix: str, tick: float) -> None:
    times = [0.0, 0.1, 0.15, 0.4, 0.41, 1.0, 1.5, 1.533]
    frames = moving_waves(len(times))
    with VideoWriter(tmp_path / f"clip.{suffix}", 10) as writer:
        for frame, time in zip(frames, times, strict=True):
            writer.write(frame, time)
    reader = VideoReader(writer.path)
    np.testing.assert_allclose(reader.timestamps_seconds, times, atol=tick / 2 + 1e-9)
    assert signal_to_noise(reader[:], frames) > 28


def test_times_that_a_file_cannot_hold_are_refused(tmp_path: Path) -> None:
    writer = VideoWriter(tmp_path / "clip.mp4", 10)
    with pytest.raises(ValueError, match=r"clip\.mp4: the time of a frame must be 0 or later, got -1"):
        writer.write(GREY[0], -1)
    writer.write(GREY[0], 2)
    with pytest.raises(ValueError, match="the times of frames must ascend, got 2 s after 2 s"):
        writer.write(GREY[0], 2)
    with pytest.raises(ValueError, match="give all frames a time or none"):
        writer.write(GREY[0])
    untimed = VideoWriter(tmp_path / "clip.avi", 10)
    with pytest.raises(ValueError, match=r"a \.avi file has one frame rate: leave out the times, or write \.mp4"):
        untimed.write(GREY[0], 0)
    untimed.write(GREY[0])
    with pytest.raises(ValueError, match="give all frames a time or none"):
        untimed.write(GREY[0], 1)
