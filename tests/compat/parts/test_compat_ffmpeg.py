"""Videos cut, joined and resized by the program ffmpeg."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from kinema.compat.parts import ffmpeg
from kinema.errors import VideoError
from kinema.video import VideoReader


def facts(path: Path) -> tuple[int, int, int]:
    """Number of frames, width and height."""
    with VideoReader(path) as video:
        return len(video), video.width, video.height


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")
def test_videos_are_cut_joined_and_resized(
    make_video: Callable[..., Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    video, out = make_video(num_frames=20), tmp_path / "it's out.mp4"
    frames, width, height = facts(video)
    rate = VideoReader(video).fps
    encode = {"vcodec": "mpeg4", "log_level": "error"}
    ffmpeg.cut_video(video, out, start=4 / rate, end=12 / rate, **encode)
    assert facts(out) == (8, width, height)
    ffmpeg.concat_video([out, out], tmp_path / "twice.mp4", **encode, print_cmd=True)
    assert facts(tmp_path / "twice.mp4") == (16, width, height)
    assert "-f concat -safe 0 -i" in capfd.readouterr().out
    ffmpeg.resize_video(video, out, ratio=(0.5, 1), log_level="error")
    assert facts(out) == (frames, width // 2, height)
    ffmpeg.resize_video(video, out, ratio=(0.5, 1), keep_ar=True, log_level="error")
    assert facts(out) == (frames, width // 2, height)
    ffmpeg.resize_video(video, out, (width, height // 2), keep_ar=True, log_level="error")
    assert facts(out) == (frames, width // 2, height // 2)
    with pytest.raises(VideoError, match=r"x\.mp4: ffmpeg failed with status \d+: .*ffmpeg -y -i"):
        ffmpeg.convert_video(tmp_path / "none.mp4", tmp_path / "x.mp4", log_level="quiet", an=True, vn=False)


def test_what_ffmpeg_needs_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="give either size or ratio, got size=None, ratio=None"):
        ffmpeg.resize_video("a.mp4", "b.mp4")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(VideoError, match="the program ffmpeg is not installed"):
        ffmpeg.convert_video("a.mp4", "b.mp4")
