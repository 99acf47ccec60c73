"""The window engine: the scores of a window are those of its frames as a video of their own."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from kinema.inference import VideoRecognizer
from kinema.inference.windows import WindowEngine, WindowScore
from kinema.video import VideoReader, write_video

Make = Callable[..., VideoRecognizer]


def _frames(count: int, size: tuple[int, int] = (48, 64)) -> np.ndarray:
    """(count, H, W, 3): a bright bar that moves over a pattern, no two frames alike."""
    height, width = size
    rows, columns = np.mgrid[:height, :width]
    pattern = (rows * 3 + columns * 2) % 160
    frames = np.repeat(pattern[None, :, :, None], count, axis=0).repeat(3, axis=3).astype(np.uint8)
    for number, frame in enumerate(frames):
        frame[:, (number * 5) % width : (number * 5) % width + 9, number % 3] = 255 - number % 50
    return frames


def _variable_video(path: Path, milliseconds: list[int]) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        for image, time in zip(_frames(len(milliseconds)), milliseconds, strict=True):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def _pushed(recognizer: VideoRecognizer, frames: np.ndarray, times: np.ndarray, **options: object) -> list[WindowScore]:
    engine = WindowEngine(recognizer, **options)  # type: ignore[arg-type]
    scores = [score for frame, time in zip(frames, times, strict=True) for score in engine.push(frame, float(time))]
    return scores + engine.finish()


def _same(first: list[WindowScore], second: list[WindowScore]) -> None:
    spans = [[(w.start_seconds, w.end_seconds, w.first_frame, w.stop_frame) for w in ws] for ws in (first, second)]
    assert spans[0] == spans[1]
    for one, other in zip(first, second, strict=True):
        np.testing.assert_allclose(one.scores, other.scores, atol=1e-6, rtol=0)


def _check_against_recognizer(recognizer: VideoRecognizer, video: Path, views: str | None = None) -> list[WindowScore]:
    """Windows of a file, of a stream, and of arrays agree, and every frame is in one; gives those of the file."""
    with VideoReader(video) as reader:
        frames, times = reader[:], reader.timestamps_seconds
    options = {"length_seconds": 1.0, "stride_seconds": 0.4, "views": views}
    windows = list(WindowEngine(recognizer, **options).scan(video))  # type: ignore[arg-type]
    _same(windows, _pushed(recognizer, frames, times, **options))
    covered = np.zeros(len(frames), dtype=bool)
    for window in windows:
        inside = slice(window.first_frame, window.stop_frame)
        covered[inside] = True
        assert window.start_seconds == times[window.first_frame] < window.end_seconds
        assert np.ptp(times[inside]) < 1.0
        expected = recognizer.scores(frames[inside], views=views).numpy()
        np.testing.assert_allclose(window.scores, expected, atol=1e-6, rtol=0)
    assert covered.all()
    assert np.ptp([window.scores for window in windows], axis=0).max() > 1e-3  # they tell something apart
    return windows


@pytest.mark.parametrize(
    ("model", "options", "views"),
    [
        ("compact3d", dict(frame_interval=3), None),
        ("compact3d", dict(frame_interval=5, out_of_bound_opt="repeat_last"), None),
        ("compact3d", dict(num_clips=3, preprocessing=[dict(type="CenterCrop", crop_size=32)]), None),
        ("compact3d", dict(frame_interval=1), "5x3"),
        ("tsn_r18", dict(segments=5), None),
    ],
)
def test_scores_of_file_stream_and_window_are_equal(
    make_recognizer: Make, tmp_path: Path, model: str, options: dict, views: str | None
) -> None:
    recognizer = make_recognizer(model, **options)
    video = write_video(tmp_path / "constant.mp4", _frames(32), 12.5)
    windows = _check_against_recognizer(recognizer, video, views)
    assert [window.first_frame for window in windows] == [0, 5, 10, 15, 20]
    assert windows[-1].stop_frame == 32
    assert windows[-1].end_seconds == pytest.approx(2.56)


def test_windows_of_a_variable_frame_rate_are_windows_of_time(make_recognizer: Make, tmp_path: Path) -> None:
    steps = np.random.default_rng(0).integers(10, 200, 40)
    steps[20] = 4000  # a pause, longer than a window
    times = np.concatenate([[0], np.cumsum(steps)]).tolist()
    video = _variable_video(tmp_path / "variable.mkv", times)
    windows = _check_against_recognizer(make_recognizer(), video)
    starts = np.array([window.start_seconds for window in windows[:-1]])
    assert (np.diff(starts) >= 0).all()
    assert np.diff(starts).max() > 3  # no window is empty
    assert windows[-1].stop_frame == len(times)
