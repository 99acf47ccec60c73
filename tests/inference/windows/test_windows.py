"""The window engine: the scores of a window are those of its frames as a video of their own."""

import itertools
import pickle
import re
import threading
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from kinema.checkpoints.contract import ModelContract
from kinema.errors import SampleValueError, VideoError
from kinema.inference import VideoRecognizer
from kinema.inference.windows import PartialScoresError, WindowEngine, WindowScore
from kinema.inference.windows.planning import WindowPlanner, frame_rate, plan_windows
from kinema.transforms.base import BaseTransform
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
    for window, other in zip(first, second, strict=True):
        np.testing.assert_allclose(window.scores, other.scores, atol=1e-6, rtol=0)


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


def test_a_window_holds_the_frames_of_its_time_and_a_cut_ends_it() -> None:
    planner = WindowPlanner(1.0, 0.5)
    spans = [span for number in range(17) for span in planner.add(100 + number / 10)]
    spans += planner.cut()
    assert [(span.first_frame, span.stop_frame) for span in spans] == [(0, 10), (5, 15), (7, 17)]
    assert [span.fps for span in spans] == [10, 10, 10]
    assert [span.end_seconds for span in spans] == pytest.approx([101, 101.5, 101.7])
    # Behind a cut frames are counted on, on a grid of its own, at any time.
    assert planner.add(50.0) == planner.cut()[1:] == []
    assert planner.next_frame == 18
    assert planner.cut() == []


def test_a_video_shorter_than_a_window_is_one_and_so_is_a_lone_frame() -> None:
    assert [(span.first_frame, span.stop_frame) for span in plan_windows([0.0, 0.1, 0.2], 2.0, 1.0)] == [(0, 3)]
    (lone,) = plan_windows([7.0], 2.0, 1.0)
    assert (lone.first_frame, lone.stop_frame, lone.start_seconds, lone.end_seconds, lone.fps) == (0, 1, 7.0, 7.04, 0)
    # Frames at one time have no rate; a stride shorter than a frame repeats no window.
    (same,) = plan_windows([1.0, 1.0], 2.0, 1.0)
    assert (len(same), same.fps) == (2, 0)
    fine = plan_windows((np.arange(8) / 4).tolist(), 0.5, 0.01)
    assert [(span.first_frame, span.stop_frame) for span in fine] == sorted(
        {(s.first_frame, s.stop_frame) for s in fine}
    )


@pytest.mark.parametrize("seed", range(20))
def test_every_frame_is_in_a_window_whatever_the_times(seed: int) -> None:
    generator = np.random.default_rng(seed)
    steps = generator.exponential(0.05, 300) * generator.choice([0, 1, 1, 1, 100], 300)
    times = np.cumsum(steps) + generator.uniform(-5, 1e6)
    length = float(generator.uniform(0.05, 3))
    stride = float(generator.uniform(0.001, 1)) * length + 0.001
    spans = plan_windows(times.tolist(), length, min(stride, length))
    covered = np.zeros(len(times), dtype=bool)
    for span in spans:
        covered[span.first_frame : span.stop_frame] = True
        assert span.start_seconds == times[span.first_frame] < span.end_seconds
        assert times[span.stop_frame - 1] - times[span.first_frame] < length
    assert covered.all()
    for before, after in itertools.pairwise(spans):
        assert (before.first_frame, before.stop_frame) != (after.first_frame, after.stop_frame)
        assert before.first_frame <= after.first_frame
        assert before.stop_frame <= after.stop_frame
        assert before.end_seconds <= after.end_seconds


@pytest.mark.parametrize(("rate", "expected"), [(30, 30), (30000 / 1001, 30000 / 1001), (12.4, 12.4), (0.4, 0.4)])
def test_rounded_times_have_the_rate_that_was_meant(rate: float, expected: float) -> None:
    times = (np.arange(61) / rate).round(3).tolist()
    assert frame_rate(61, times[-1]) == pytest.approx(expected, rel=1e-3)
    if rate >= 25:
        assert frame_rate(61, times[-1]) == expected


def test_numbers_out_of_range_are_named(make_recognizer: Make) -> None:
    for options, message in (
        (dict(length_seconds=0), "length_seconds must be above 0, got 0"),
        (dict(stride_seconds=0), "stride_seconds must be at least 0.001, got 0"),
        (
            dict(length_seconds=1, stride_seconds=2),
            "stride_seconds must be at most length_seconds, .* got 2 s for windows",
        ),
        (dict(batch_size=0), "batch_size must be at least 1, got 0"),
        (dict(views="9"), "views must be clips x crops"),
    ):
        with pytest.raises(ValueError, match=message):
            WindowEngine(make_recognizer(), **options)  # type: ignore[arg-type]


def test_the_default_length_is_that_of_training_else_what_the_sampling_spans(make_recognizer: Make) -> None:
    frames = _frames(20)
    trained = make_recognizer(contract=ModelContract(clip_seconds=0.8))
    facts = trained.windows(frames, fps=10).facts
    assert (facts.length_seconds, facts.stride_seconds) == (0.8, 0.4)
    assert make_recognizer(clip_len=4, frame_interval=3).windows(frames, fps=10).facts.length_seconds == 1.2
    assert make_recognizer("tsn_r18", segments=2).windows(frames, fps=10).facts.length_seconds == 2.0
    assert WindowEngine(make_recognizer(clip_len=5, frame_interval=5)).length_seconds == 1.0  # of a stream: at 25 fps


def test_sampling_at_a_frame_rate_uses_the_rate_inside_the_window(make_recognizer: Make) -> None:
    recognizer, frames = make_recognizer(target_fps=5), _frames(20)
    for window in recognizer.windows(frames, fps=10, length_seconds=1.0):
        expected = recognizer.scores(frames[window.first_frame : window.stop_frame], fps=10)
        np.testing.assert_allclose(window.scores, expected, atol=1e-6, rtol=0)


def test_batches_do_not_change_scores(make_recognizer: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = _frames(40)
    for recognizer in (make_recognizer(), make_recognizer(contract=ModelContract(temperature=2.0))):
        single = recognizer.windows(frames, fps=10, length_seconds=1.0, batch_size=1)
        together = recognizer.windows(frames, fps=10, length_seconds=1.0, batch_size=32)
        np.testing.assert_allclose(single.scores, together.scores, atol=1e-6, rtol=0)
    monkeypatch.setattr("kinema.inference.windows.engine._BATCH_NUMBERS", 1)  # of windows that are too large
    np.testing.assert_array_equal(recognizer.windows(frames, fps=10, length_seconds=1.0).scores, single.scores)


def test_each_frame_that_is_seen_is_decoded_once_and_no_other(
    make_recognizer: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    video = write_video(tmp_path / "long.mp4", _frames(100), 10)
    decoded: list[int] = []
    get_batch = VideoReader.get_batch

    def noted(reader: VideoReader, indices: np.ndarray) -> np.ndarray:
        decoded.extend(np.asarray(indices).tolist())
        return get_batch(reader, indices)

    monkeypatch.setattr(VideoReader, "get_batch", noted)
    scores = make_recognizer(clip_len=4, frame_interval=4).windows(video, length_seconds=2.0, stride_seconds=0.5)
    starts = np.concatenate([scores.first_frames])
    seen = {int(start) + 3 + 4 * step for start in starts for step in range(4)}  # 13 frames in the middle of 20
    assert decoded == sorted(seen)
    assert len(decoded) < 100


def test_a_stream_keeps_no_more_frames_than_a_window_holds(make_recognizer: Make) -> None:
    engine = WindowEngine(make_recognizer(), length_seconds=0.5)
    kept = []
    for number, frame in enumerate(_frames(60)):
        engine.push(frame, number / 10)
        kept.append(len(engine._frames))
    assert max(kept) <= 7
    engine.finish()
    assert len(engine._frames) == 0


def test_windows_that_would_fill_the_memory_are_named(make_recognizer: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kinema.inference.windows.engine._MOST_KEPT_BYTES", 10 * 32 * 32 * 3)
    frames = _frames(12)
    engine = WindowEngine(make_recognizer(contract=ModelContract(clip_seconds=86_400)))
    for number in range(10):
        engine.push(frames[number], number / 10)
    with pytest.raises(
        ValueError, match=r"a window of 86400 s take more than 30720 bytes: choose a shorter length_sec"
    ):
        engine.push(frames[10], 1.0)
    assert engine.finish()[0].stop_frame == 10


def test_a_pushed_frame_may_be_changed_afterwards(make_recognizer: Make) -> None:
    recognizer = make_recognizer(preprocessing=[dict(type="CenterCrop", crop_size=32)])
    frames, times = _frames(20), np.arange(20) / 10
    expected = _pushed(recognizer, frames, times, length_seconds=1.0)
    engine, buffer, windows = WindowEngine(recognizer, length_seconds=1.0), np.empty_like(frames[0]), []
    for frame, time in zip(frames, times.tolist(), strict=True):
        buffer[:] = frame
        windows += engine.push(buffer, time)
    _same(windows + engine.finish(), expected)


def test_a_cut_lets_another_recording_begin(make_recognizer: Make) -> None:
    recognizer = make_recognizer()
    first, second = _frames(15), _frames(12, (64, 80))
    engine = WindowEngine(recognizer, length_seconds=1.0)
    windows = [
        window for number, frame in enumerate(first) for window in engine.push(frame, number / 10)
    ] + engine.cut()
    count = len(windows)
    windows += [window for number, frame in enumerate(second) for window in engine.push(frame, number / 10)]
    windows += engine.finish()
    for part, offset, of_part in ((first, 0, windows[:count]), (second, 15, windows[count:])):
        for window in of_part:
            inside = part[window.first_frame - offset : window.stop_frame - offset]
            np.testing.assert_allclose(window.scores, recognizer.scores(inside), atol=1e-6, rtol=0)
    assert windows[count - 1].stop_frame == windows[count].first_frame == 15
    # Behind the end the engine is as new.
    (again,) = [window for frame in first[:1] for window in engine.push(frame, 0.0)] + engine.finish()
    assert again.first_frame == 0


def test_frames_that_do_not_fit_are_named(make_recognizer: Make) -> None:
    engine, frame = WindowEngine(make_recognizer()), _frames(1)[0]
    with pytest.raises(TypeError, match=r"a frame must be a uint8 array \(H, W, 3\) of RGB, got a float64 array"):
        engine.push(frame / 255, 0)
    with pytest.raises(TypeError, match="got a list"):
        engine.push([frame], 0)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"a frame must have the shape \(H, W, 3\), got \(48, 64\)"):
        engine.push(frame[..., 0], 0)
    engine.push(frame, 5.0)
    with pytest.raises(SampleValueError, match="CenterCrop: a crop of 32x32 .* does not fit frames of 64x20"):
        WindowEngine(make_recognizer(preprocessing=[dict(type="CenterCrop", crop_size=32)])).push(frame[:20], 0)
    with pytest.raises(ValueError, match=r"the frame is 64x24, those before it 64x48: call cut\(\)"):
        engine.push(frame[:24], 5.1)
    with pytest.raises(ValueError, match=r"in the order of their times, got 4 s after 5 s: call cut\(\)"):
        engine.push(frame, 4.0)
    with pytest.raises(ValueError, match="the time of a frame must be a number of seconds, got nan"):
        engine.push(frame, float("nan"))
    assert len(engine.finish()) == 1  # what was refused has left no trace


def test_videos_that_cannot_be_read_are_named(make_recognizer: Make, damaged_video: Path, tmp_path: Path) -> None:
    recognizer = make_recognizer(clip_len=4, frame_interval=1)
    with pytest.raises(VideoError, match=r"damaged\.mp4: frame 12 cannot be decoded: .*; of 20 frames"):
        recognizer.windows(damaged_video, length_seconds=0.4)
    with pytest.raises(VideoError, match=r"absent\.mp4: no such file"):
        recognizer.windows(tmp_path / "absent.mp4")
    with pytest.raises(ValueError, match=r"frames of shape \(4, 48, 64, 3\): these frames have no times: .* fps=25"):
        recognizer.windows(_frames(4))
    with pytest.raises(ValueError, match="fps must be above 0, got -1"):
        recognizer.windows(_frames(4), fps=-1)
    with pytest.raises(TypeError, match="a video must be a path"):
        recognizer.windows(3)


@pytest.mark.parametrize("interval", [1, 3])
def test_what_comes_before_a_lost_frame_is_scored_as_a_video_that_ends_there(
    make_recognizer: Make, damaged_video: Path, interval: int
) -> None:
    recognizer = make_recognizer(clip_len=4, frame_interval=interval)
    options = {"length_seconds": 0.5, "stride_seconds": 0.2}
    with pytest.raises(
        PartialScoresError, match=r"frame 12 cannot be .*: there are scores of the first 1\.\d* s"
    ) as caught:
        recognizer.windows(damaged_video, **options)
    scores = pickle.loads(pickle.dumps(caught.value)).scores
    assert scores.facts.num_frames == 12
    assert re.match(r".*damaged\.mp4: frame 12 cannot be decoded", scores.facts.broken)
    assert scores.stop_frames[-1] >= 12
    with VideoReader(damaged_video) as reader:
        good = reader.get_batch(range(12))
    expected = {window.first_frame: window for window in recognizer.windows(good, fps=10, **options)}
    for window in scores:
        if window.stop_frame <= 12:
            np.testing.assert_allclose(window.scores, expected.pop(window.first_frame).scores, atol=1e-6)
    assert not [window for window in expected.values() if window.stop_frame > scores.stop_frames[-1]]
    scored: list[WindowScore] = []
    with pytest.raises(VideoError, match="frame 12 cannot be decoded") as broken:
        scored.extend(WindowEngine(recognizer, **options).scan(damaged_video))
    assert len(pickle.loads(pickle.dumps(broken.value)).args) == 1


@pytest.mark.parametrize("length", [0.3, 0.4, 0.5, 0.7, 0.9])
def test_scores_before_a_lost_frame_cover_all_frames_whichever_others_are_lost(
    make_recognizer: Make, make_video: Callable[..., Path], tmp_path: Path, length: float
) -> None:
    path = make_video(tmp_path / "single.mp4", options={"x264-params": "bframes=0:keyint=1"})
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    content = bytearray(path.read_bytes())
    for number in (7, 9, 14):  # each is lost alone; of half a second, the last window before 9 needs 7 first
        start, size = packets[number].pos or 0, packets[number].size
        content[start : start + size] = b"\xff" * size
    path.write_bytes(content)
    with pytest.raises(PartialScoresError) as caught:
        make_recognizer(clip_len=2, frame_interval=2).windows(path, length_seconds=length)
    scores = caught.value.scores
    assert scores.facts.num_frames in (7, 9, 14)
    held = [range(*span) for span in zip(scores.first_frames, scores.stop_frames, strict=True)]
    assert set(range(scores.facts.num_frames)) <= set().union(*held)


def test_a_file_whose_frames_have_no_times_needs_a_rate(make_recognizer: Make, tmp_path: Path) -> None:
    video = tmp_path / "still.mkv"
    with av.open(str(video), "w") as container:
        stream = container.add_stream("mjpeg", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p"
        for number, image in enumerate(_frames(12)):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts = number
            for packet in stream.encode(frame):
                packet.pts = packet.dts = 0
                container.mux(packet)
    recognizer = make_recognizer()
    with pytest.raises(VideoError, match=r"still\.mkv: does not say when its frames are shown: .* fps=25"):
        recognizer.windows(video)
    scores = recognizer.windows(video, fps=10, length_seconds=0.5)
    assert (scores.facts.fps, scores.facts.num_frames) == (10, 12)
    assert scores.end_seconds == pytest.approx(1.2)


def test_a_video_that_breaks_off_says_how_many_frames_are_good(make_recognizer: Make, tmp_path: Path) -> None:
    video = write_video(tmp_path / "whole.avi", _frames(60), 10)
    broken = tmp_path / "broken.avi"
    broken.write_bytes(video.read_bytes()[: video.stat().st_size // 2])
    recognizer = make_recognizer()
    try:
        with VideoReader(broken) as reader:
            reader.get_batch(range(len(reader)))
    except VideoError as error:
        with pytest.raises(VideoError, match=re.escape(str(error))):
            recognizer.windows(broken, length_seconds=0.5, stride_seconds=0.1)
    else:
        assert recognizer.windows(broken).facts.num_frames < 60


def test_a_folder_of_frames_and_the_bytes_of_a_file_are_videos(make_recognizer: Make, tmp_path: Path) -> None:
    recognizer, frames = make_recognizer(), _frames(12)
    folder = tmp_path / "frames"
    folder.mkdir()
    for number, frame in enumerate(frames):
        cv2.imwrite(str(folder / f"img_{number + 1:05}.png"), frame[:, :, ::-1])
    expected = recognizer.windows(frames, fps=10, length_seconds=0.5)
    np.testing.assert_array_equal(recognizer.windows(folder, fps=10, length_seconds=0.5).scores, expected.scores)
    video = write_video(tmp_path / "video.mp4", frames, 10)
    of_file, of_bytes = (recognizer.windows(source, length_seconds=0.5) for source in (video, video.read_bytes()))
    np.testing.assert_array_equal(of_file.scores, of_bytes.scores)
    assert (of_bytes.video, of_file.facts.num_frames, of_file.facts.fps) == (
        f"{video.stat().st_size} bytes of a video",
        12,
        10,
    )


def test_leaving_a_scan_early_closes_the_video(make_recognizer: Make, tmp_path: Path) -> None:
    video = write_video(tmp_path / "video.mp4", _frames(60), 10)
    threads = set(threading.enumerate())
    windows = WindowEngine(make_recognizer(), length_seconds=0.5).scan(video)
    next(windows)
    windows.close()  # type: ignore[attr-defined]
    assert set(threading.enumerate()) <= threads


def test_the_progress_of_a_file_is_shown(make_recognizer: Make, capsys: pytest.CaptureFixture[str]) -> None:
    count = len(make_recognizer().windows(_frames(30), fps=10, length_seconds=1.0, progress=True))
    assert f"{count}/{count} (100%)" in capsys.readouterr().err


def test_a_step_that_rejects_a_window_is_named(make_recognizer: Make) -> None:
    recognizer = make_recognizer()
    for place in (1, 4):
        rejecting = VideoRecognizer(
            recognizer.model,
            recognizer.classes,
            [*recognizer.pipeline[:place], {"type": _Rejects}, *recognizer.pipeline[place:]],
        )
        with pytest.raises(VideoError, match="a step of the recognizer's pipeline rejects a window of 5 frames"):
            rejecting.windows(_frames(10), fps=10, length_seconds=0.5)


class _Rejects(BaseTransform):
    def transform(self, results: object) -> None:
        return None
