"""write_video: what is written is read back, and nothing half-written is left."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from kinema.errors import VideoError
from kinema.video import VideoReader, write_video

GREY = np.full((4, 32, 48, 3), 120, np.uint8)


def test_frames_come_back_in_size_order_and_rate(tmp_path: Path) -> None:
    frames = np.stack([np.full((32, 48, 3), level, np.uint8) for level in (20, 90, 160, 230)])
    path = write_video(tmp_path / "new" / "clip.mp4", frames, 29.97)
    reader = VideoReader(path)
    assert reader[:].shape == frames.shape
    assert np.allclose(reader[:], frames, atol=2)
    assert reader.fps == pytest.approx(29.97)


def test_colours_survive(tmp_path: Path) -> None:
    frame = np.zeros((32, 48, 3), np.uint8)
    frame[:, :, 0], frame[:, :, 1], frame[:, :, 2] = 200, 120, 40
    path = write_video(tmp_path / "clip.mp4", [frame] * 3, 10, crf=10)
    assert np.allclose(VideoReader(path)[1], frame, atol=4)


def test_the_same_frames_give_the_same_file(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (6, 32, 48, 3), dtype=np.uint8)
    first, second = (write_video(tmp_path / name, noise, 10).read_bytes() for name in ("a.mp4", "b.mp4"))
    assert first == second


@pytest.mark.parametrize(("height", "width"), [(31, 48), (32, 47), (33, 47)])
def test_odd_sizes_are_refused_for_halved_colour_and_written_for_full(tmp_path: Path, height: int, width: int) -> None:
    frames = np.zeros((2, height, width, 3), np.uint8)
    with pytest.raises(ValueError, match=f"yuv420p cannot hold {width}x{height}, both must be even: crop"):
        write_video(tmp_path / "odd.mp4", frames, 10)
    reader = VideoReader(write_video(tmp_path / "odd.mp4", frames, 10, pixel_format="yuv444p"))
    assert reader[:].shape == frames.shape


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        ([], "there are no frames to write"),
        ([np.zeros((32, 48), np.uint8)], r"a frame must be \(H, W, 3\) uint8, got \(32, 48\) uint8"),
        ([np.zeros((32, 48, 3), np.float32)], r"a frame must be \(H, W, 3\) uint8, got \(32, 48, 3\) float32"),
        ([GREY[0], GREY[0, :16]], r"all frames must have one size, got \(32, 48, 3\) and then \(16, 48, 3\)"),
    ],
)
def test_wrong_frames_are_refused_and_leave_no_file(tmp_path: Path, frames: list, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        write_video(tmp_path / "clip.mp4", frames, 10)
    assert list(tmp_path.iterdir()) == []


def test_wrong_arguments_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="fps must be positive, got 0"):
        write_video(tmp_path / "clip.mp4", GREY, 0)
    with pytest.raises(ValueError, match="this FFmpeg has no encoder 'h266'"):
        write_video(tmp_path / "clip.mp4", GREY, 10, codec="h266")
    with pytest.raises(ValueError, match="aac encodes audio, not video"):
        write_video(tmp_path / "clip.mp4", GREY, 10, codec="aac")
    with pytest.raises(ValueError, match=r"no video format has the suffix '\.docx': use \.mp4"):
        write_video(tmp_path / "clip.docx", GREY, 10)
    assert list(tmp_path.iterdir()) == []


def test_an_encoder_that_refuses_is_named(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match=r"clip\.mp4: cannot be written with libx264 \("):
        write_video(tmp_path / "clip.mp4", GREY, 10, pixel_format="pal8")
    assert list(tmp_path.iterdir()) == []


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
