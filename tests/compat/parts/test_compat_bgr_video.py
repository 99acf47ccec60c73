from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

import kinema.video
from kinema.compat.parts.bgr_video import Cache, VideoReader, VideoWriter, frame_extract, frames2video
from kinema.compat.parts.images.files import imread
from kinema.errors import VideoError


@pytest.fixture
def blue_video(tmp_path: Path) -> Path:
    """Five frames of pure blue, (width, height) = (64, 48)."""
    frames = np.zeros((5, 48, 64, 3), np.uint8)
    frames[..., 2] = 255
    return kinema.video.write_video(tmp_path / "blue.mp4", frames, 10)


def test_frames_come_in_bgr_order_and_the_position_follows(blue_video: Path) -> None:
    with VideoReader(str(blue_video)) as video:
        assert (video.opened, video.resolution, video.fps, video.frame_cnt, len(video)) == (True, (64, 48), 10, 5, 5)
        assert video.current_frame() is None
        frame = video.read()
        assert frame is not None
        assert frame[..., 0].min() > 200
        assert frame[..., 2].max() < 60
        assert video.current_frame() is frame
        assert video.position == 1
        assert np.array_equal(video[-1], video.get_frame(4))
        assert video.read() is None
        assert len(video[1:3]) == 2
        assert len(list(video)) == 5
        with pytest.raises(StopIteration):
            video.next()
        with pytest.raises(IndexError, match='"frame_id" must be between 0 and 4, got 5'):
            video.get_frame(5)


def test_frames_become_images_and_images_a_video(
    make_video: Callable[..., Path], grey_level: Callable[[int], int], tmp_path: Path
) -> None:
    VideoReader(make_video(num_frames=6)).cvt2frames(tmp_path / "f", start=1, max_num=4, show_progress=False)
    assert sorted(path.name for path in (tmp_path / "f").iterdir()) == [f"{i:06d}.jpg" for i in range(4)]
    frames2video(tmp_path / "f", tmp_path / "again.mp4", fps=5, start=1, end=3, show_progress=False)
    with kinema.video.VideoReader(tmp_path / "again.mp4") as video:
        assert video.fps == 5
        assert [float(frame.mean()) for frame in video] == pytest.approx([grey_level(2), grey_level(3)], abs=4)
    frames2video(tmp_path / "f", tmp_path / "again.avi", fourcc="MJPG", show_progress=False)
    assert VideoReader(tmp_path / "again.avi").fourcc == cv2.VideoWriter_fourcc(*"MJPG")
    with pytest.raises(ValueError, match="fourcc must be one of XVID, .*, got 'ABCD'"):
        frames2video(tmp_path / "f", tmp_path / "again.avi", fourcc="ABCD")
    with pytest.raises(VideoError, match=r"there is no image .*000009\.jpg to start the video with"):
        frames2video(tmp_path / "f", tmp_path / "none.mp4", start=9)


def test_frame_extract_writes_and_returns_bgr_frames(blue_video: Path, tmp_path: Path) -> None:
    paths, frames = frame_extract(str(blue_video), short_side=24, out_dir=tmp_path / "out")
    assert paths[0] == str(tmp_path / "out" / "blue" / "img_000001.jpg")
    assert len(paths) == len(frames) == 5
    assert frames[0].shape == (24, 32, 3)
    assert frames[0][..., 0].min() > 200
    np.testing.assert_allclose(imread(paths[-1]), frames[-1], atol=6)
    assert frame_extract(blue_video, out_dir=tmp_path / "full")[1][0].shape == (48, 64, 3)


def test_a_reader_is_open_until_it_is_left(blue_video: Path) -> None:
    with VideoReader(blue_video) as reader:
        assert reader.opened
    assert not reader.opened


def test_the_oldest_value_of_a_cache_gives_way() -> None:
    cache = Cache(2)
    for key in "abca":
        cache.put(key, key * 2)
    assert (cache.capacity, cache.size) == (2, 2)
    assert [cache.get(key, "none") for key in "abc"] == ["aa", "none", "cc"]
    cache.put("c", "other")
    assert cache.get("c") == "cc"
    with pytest.raises(ValueError, match="capacity must be a whole number above 0, got 0"):
        Cache(0)


def test_a_reader_names_the_codec_and_refuses_nonsense(blue_video: Path, tmp_path: Path) -> None:
    capture = cv2.VideoCapture(str(blue_video))
    assert VideoReader(blue_video).fourcc == capture.get(cv2.CAP_PROP_FOURCC) > 0
    with pytest.raises(ValueError, match="cache_capacity must be above 0, got 0"):
        VideoReader(blue_video, cache_capacity=0)
    with pytest.raises(ValueError, match="start must be below the number of frames, 5, got 5"):
        VideoReader(blue_video).cvt2frames(tmp_path, start=5)


def test_frames_in_bgr_order_are_written(tmp_path: Path) -> None:
    blue = np.zeros((48, 64, 3), np.uint8)
    blue[..., 0] = 255
    with VideoWriter(str(tmp_path / "new" / "blue.mp4"), 10) as writer:
        for _ in range(3):
            writer.write_frame(blue)
    writer = VideoWriter(str(tmp_path / "again.avi"), 10)
    writer.write_frame(blue)
    writer.release()
    for path, count in ((tmp_path / "new" / "blue.mp4", 3), (tmp_path / "again.avi", 1)):
        frames = kinema.video.VideoReader(path)
        assert len(frames) == count
        assert frames[0].mean(axis=(0, 1))[2] > 200


def test_opencvs_reader_of_the_file_is_there(blue_video: Path) -> None:
    with VideoReader(str(blue_video)) as video:
        capture = video.vcap
        assert capture.get(cv2.CAP_PROP_FRAME_COUNT) == 5
        assert video.position == 0
    assert not capture.isOpened()
