"""What is written in any format is read back exactly: in time to half a frame, and its frames are the same."""

import shutil
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from kinema.datasets.annotations import FORMATS, read_annotations
from kinema.datasets.annotations.segments import segments_of
from kinema.datasets.annotations.writing import WRITERS, VideoTiming, write_segments
from kinema.structures.segment import Segment
from kinema.transforms.video_parts import frames_between

LABELS = ["run", "läuft über", "走る", "جری", "🏃 & <b>", 'a "quoted", one', "it's; 50 %", "x=1|y", "=SUM(A1)"]
HOUR = 3600
RATES = {"23.976": 24000 / 1001, "29.97": 30000 / 1001, "25": 25.0, "59.94": 60000 / 1001, "14.9": 14.9}


def random_segments(timing, video, seed, num_segments=40):
    """Segments between borders of frames, some of them overlapping, some one frame long."""
    rng = np.random.default_rng(seed)
    segments = []
    for place in range(num_segments):
        first = int(rng.integers(timing.num_frames - 1))
        stop = min(first + int(rng.choice([1, 2, 7, 40])), timing.num_frames)
        label = LABELS[place % len(LABELS)]
        segments.append(Segment(float(timing.borders[first]), float(timing.borders[stop]), label, 0.5, 0.75, video))
    return segments


def read_back(path, format):
    annotations = read_annotations(path)
    assert annotations.format == WRITERS[format].read_as
    return annotations


def in_order(segments):
    return sorted(segments, key=lambda segment: (segment.label, segment.start_seconds, segment.end_seconds))


def assert_same_times(timing, expected, annotations):
    actual = in_order(segments_of(annotations, lambda video: timing))
    expected = in_order(expected)
    assert [segment.label for segment in actual] == [segment.label for segment in expected]
    for before, after in zip(expected, actual, strict=True):
        half_frame = 0.5 / timing.fps
        assert abs(after.start_seconds - before.start_seconds) <= half_frame
        assert abs(after.end_seconds - before.end_seconds) <= half_frame
        spans = [frames_between(timing.borders[:-1], part.start_seconds, part.end_seconds) for part in (before, after)]
        assert spans[0] == spans[1]


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("format", WRITERS)
def test_segments_of_hours_come_back_to_the_frame(tmp_path, format, rate):
    timing = VideoTiming.even(int(3 * HOUR * RATES[rate]), RATES[rate])
    segments = random_segments(timing, "a long one.mp4", seed=len(format))
    path = tmp_path / f"a long one{WRITERS[format].suffix}"
    write_segments(path, segments, format, videos={"a long one.mp4": timing})
    if WRITERS[format].read_as == "subtitles":
        (tmp_path / "a long one.mp4").touch()
    assert_same_times(timing, segments, read_back(path, format))


@pytest.fixture(scope="module")
def uneven_video(tmp_path_factory) -> Path:
    """12 seconds whose frames last from 20 to 200 ms, as phones and screen recorders write them."""
    path = tmp_path_factory.mktemp("uneven") / "uneven.mp4"
    lasting = np.random.default_rng(0).integers(20, 200, 110)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=1000, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for level, milliseconds in enumerate(np.cumsum(lasting) - lasting[0]):
            frame = av.VideoFrame.from_ndarray(np.full((32, 32, 3), level, np.uint8))
            frame.pts, frame.time_base = int(milliseconds), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


@pytest.mark.parametrize("format", WRITERS)
def test_segments_of_a_video_of_variable_rate_come_back(tmp_path, uneven_video, format):
    video = tmp_path / "uneven.mp4"
    shutil.copy(uneven_video, video)
    timing = VideoTiming.of_file(video)
    assert np.diff(timing.borders).max() > 3 * np.diff(timing.borders).min()
    segments = random_segments(timing, str(video), seed=1)
    path = tmp_path / f"uneven{WRITERS[format].suffix}"
    write_segments(path, segments, format, videos={str(video): timing})
    assert_same_times(timing, segments, read_back(path, format))


@pytest.mark.parametrize("format", [name for name, writer in WRITERS.items() if not writer.has_one_video])
def test_several_videos_come_back_from_one_file(tmp_path, format):
    timing = VideoTiming.even(1000, 24000 / 1001)
    videos = {f"b/{number} ü.mp4": timing for number in range(3)}
    segments = [segment for number, video in enumerate(videos) for segment in random_segments(timing, video, number, 9)]
    path = tmp_path / f"all{WRITERS[format].suffix}"
    write_segments(path, segments, format, videos=videos)
    annotations = read_back(path, format)
    for video in videos:
        places = [place for place, (name, _) in enumerate(annotations) if Path(name).name == Path(video).name]
        own = [segment for segment in segments if segment.video == video]
        assert_same_times(timing, own, annotations.take(places))


def test_every_writer_has_a_reader():
    assert {writer.read_as for writer in WRITERS.values()} <= set(FORMATS)
