"""Re-encoding for training: pictures, times, sizes and key frames of made videos."""

import dataclasses
from fractions import Fraction

import av
import numpy as np
import pytest

from kinema.errors import VideoError
from kinema.video import VideoReader, write_video
from kinema.video.probe import probe_video
from kinema.video.transcode import (
    TranscodeSettings,
    access_seconds,
    frame_plan,
    is_cheap,
    random_clip_starts,
    steady_rate,
    target_size,
    transcode,
)


def levels(reader):
    return [int(frame[frame.shape[0] // 2, frame.shape[1] // 2, 0]) for frame in reader]


@pytest.mark.parametrize(
    ("size", "short_side", "expected"),
    [
        ((340, 256), 256, (340, 256)),
        ((1920, 1080), 256, (456, 256)),
        ((1080, 1920), 256, (256, 456)),
        ((427, 241), 256, (426, 240)),  # never enlarged, a pixel less
        ((641, 481), None, (640, 480)),
        ((1000, 300), 255, (850, 256)),
        ((1, 1), None, (2, 2)),
    ],
)
def test_sizes_are_even_and_never_larger(size, short_side, expected):
    assert target_size(*size, short_side) == expected


def test_every_frame_is_kept_at_its_time_counted_from_the_first():
    indices, times = frame_plan(np.array([0.5, 0.6, 0.9]), 0.6, None)
    assert indices.tolist() == [0, 1, 2]
    assert times == pytest.approx([0, 0.1, 0.4])


def test_another_rate_shows_what_was_shown_at_its_times():
    ten_a_second = np.arange(10) / 10
    assert frame_plan(ten_a_second, 1.0, 5)[0].tolist() == [0, 2, 4, 6, 8]
    assert frame_plan(ten_a_second, 1.0, 20)[0].tolist() == [i // 2 for i in range(20)]
    assert frame_plan(np.array([0.0, 0.1, 0.9]), 1.0, 5)[0].tolist() == [0, 1, 1, 1, 1]
    indices, times = frame_plan(np.array([3.0]), 0.04, 1)
    assert (indices.tolist(), times.tolist()) == ([0], [0.0])


def test_a_last_frame_that_is_shown_for_long_does_not_slow_the_others():
    times = np.arange(10) / 10
    assert steady_rate(times, 8.0) == pytest.approx(10)
    assert steady_rate(np.round(np.arange(300) * 1001 / 30000, 3), 30000 / 1001) == 30000 / 1001
    assert steady_rate(times, 0.0) == pytest.approx(10)
    assert steady_rate(np.zeros(1), 25.0) == 25.0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"short_side": 8}, "the short side must be at least 16 pixels, got 8"),
        ({"keyframe_interval": 0}, "the key-frame interval must be at least 1 frame, got 0"),
        ({"fps": 0}, "fps must be above 0 and at most 1000, got 0"),
        ({"crf": 52}, r"crf must be from 0 \(lossless\) to 51, got 52"),
    ],
)
def test_settings_out_of_range_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        TranscodeSettings(**change)


def test_frames_rate_and_pictures_stay_and_key_frames_come_close(make_video, grey_level, tmp_path):
    source = make_video(tmp_path / "in.mp4", num_frames=45, size=(96, 64), fps=30000 / 1001)
    target = tmp_path / "made" / "out.mp4"
    result = transcode(source, target, TranscodeSettings(keyframe_interval=16))
    assert (result.num_frames, result.num_lost, result.is_copy) == (45, 0, False)
    facts = probe_video(target)
    assert facts.damage is None
    assert (facts.num_frames, facts.num_keyframes, facts.keyframe_spacing_max) == (45, 3, 16)
    assert (facts.width, facts.height, facts.fps) == (96, 64, pytest.approx(30000 / 1001))
    assert facts.duration_seconds == pytest.approx(45 * 1001 / 30000, abs=1e-3)
    assert facts.first_timestamp_seconds == pytest.approx(0)
    assert facts.color_range == "limited"
    assert levels(VideoReader(target)) == pytest.approx([grey_level(i) for i in range(45)], abs=3)
    assert [entry.name for entry in target.parent.iterdir()] == ["out.mp4"]


def test_colours_stay(tmp_path):
    bars = np.zeros((48, 96, 3), np.uint8)
    bars[:, :32], bars[:, 32:64], bars[:, 64:] = (220, 30, 40), (40, 210, 60), (30, 60, 230)
    source = write_video(tmp_path / "in.mp4", [bars] * 40, 10)
    transcode(source, tmp_path / "out.mp4", TranscodeSettings())
    before, after = VideoReader(source)[20], VideoReader(tmp_path / "out.mp4")[20]
    for column in (16, 48, 80):
        assert after[24, column] == pytest.approx(before[24, column], abs=4)


def test_large_videos_become_small_and_odd_sizes_even(tmp_path):
    ramp = np.broadcast_to(np.linspace(0, 255, 401, dtype=np.uint8)[None, :, None], (301, 401, 3))
    source = write_video(tmp_path / "in.mp4", [ramp] * 20, 10, pixel_format="yuv444p")
    transcode(source, tmp_path / "small.mp4", TranscodeSettings(short_side=64))
    small = VideoReader(tmp_path / "small.mp4")
    assert (small.width, small.height) == (86, 64)
    assert small[10][32, :, 0] == pytest.approx(np.linspace(0, 255, 86), abs=6)
    transcode(source, tmp_path / "even.mp4", TranscodeSettings(short_side=None))
    even = VideoReader(tmp_path / "even.mp4")
    assert (even.width, even.height) == (400, 300)
    assert even[10][150, :, 0] == pytest.approx(ramp[150, :400, 0], abs=6)


def test_times_of_a_variable_rate_stay(tmp_path):
    times = [0, 1, 2, 5, 6, 9, 10, 11, 19, 20, 21, 22, 30, 31, 32, 33, 34, 40]
    source = tmp_path / "in.mp4"
    with av.open(str(source), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"bf": "2"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for time in times:
            pixels = np.full((48, 64, 3), 5 * time + 10, np.uint8)
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = time + 7, Fraction(1, 10)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    target = tmp_path / "out.mp4"
    assert transcode(source, target, TranscodeSettings()).num_frames == len(times)
    with VideoReader(target) as reader:
        assert reader.timestamps_seconds == pytest.approx(np.array(times) / 10, abs=1e-4)
        assert levels(reader) == pytest.approx([5 * time + 10 for time in times], abs=3)
    transcode(source, target, TranscodeSettings(fps=5))
    with VideoReader(target) as reader:
        assert reader.fps == 5
        shown = [max(t for t in times if t <= 2 * i) for i in range(len(reader))]
        assert levels(reader) == pytest.approx([5 * time + 10 for time in shown], abs=3)


@pytest.mark.parametrize("angle", [90, 180, 270])
def test_rotation_is_baked_in(tmp_path, angle):
    stored = np.zeros((32, 64, 3), np.uint8)
    stored[:, :32] = 200
    source = tmp_path / "in.mp4"
    with av.open(str(source), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 32, "yuv420p"
        stream.set_display_rotation(angle)
        stream.codec_context.sample_aspect_ratio = Fraction(4, 3)
        for _ in range(4):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(stored, format="rgb24")))
        container.mux(stream.encode())
    transcode(source, tmp_path / "out.mp4", TranscodeSettings())
    before, after = VideoReader(source), VideoReader(tmp_path / "out.mp4", rotate=False)
    assert np.abs(before[1].astype(int) - after[1]).mean() < 3
    facts = probe_video(tmp_path / "out.mp4")
    assert facts.rotation_degrees == 0
    assert facts.sample_aspect_ratio == (Fraction(4, 3) if angle == 180 else Fraction(3, 4))


def with_sound(path, codec, **options):
    """A video of 30 grey frames, with a sound beside it."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        sound = container.add_stream("aac", rate=44100, layout="mono")
        for index in range(30):
            pixels = np.full((48, 64, 3), 10 + 5 * index, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        silence.sample_rate = 44100
        container.mux(sound.encode(silence))
        container.mux(sound.encode())
    return path


def test_what_is_cheap_to_read_keeps_its_pictures_and_loses_its_sound(tmp_path):
    source = with_sound(tmp_path / "in.mp4", "mpeg4", g="12", bf="0")
    result = transcode(source, tmp_path / "out.mp4", TranscodeSettings())
    assert (result.is_copy, result.num_frames) == (True, 30)
    assert np.array_equal(VideoReader(tmp_path / "out.mp4")[:], VideoReader(source)[:])
    facts = probe_video(tmp_path / "out.mp4")
    assert (facts.audio, facts.codec) == ((), "mpeg4")


def test_sound_is_dropped_by_encoding_too(tmp_path):
    source = with_sound(tmp_path / "in.mp4", "libx264")
    assert probe_video(source).audio
    assert not transcode(source, tmp_path / "out.mp4", TranscodeSettings()).is_copy
    assert probe_video(tmp_path / "out.mp4").audio == ()


def test_only_what_is_as_asked_is_cheap(make_video):
    facts = probe_video(make_video(options={"x264-params": "keyint=8:scenecut=0"}))
    settings = TranscodeSettings()
    assert is_cheap(facts, settings)
    assert not is_cheap(facts, TranscodeSettings(keyframe_interval=4))
    assert not is_cheap(facts, TranscodeSettings(short_side=32))
    assert not is_cheap(facts, TranscodeSettings(fps=5))
    for other in ({"codec": "hevc"}, {"rotation_degrees": 90}, {"pixel_format": "yuv444p"}):
        assert not is_cheap(dataclasses.replace(facts, **other), settings)


def test_a_damaged_video_fails_unless_its_good_frames_are_wanted(damaged_video, tmp_path, grey_level):
    """Frame 12 is gone; 13 and 14 refer to it, 15 is a key frame."""
    target = tmp_path / "new" / "out.mp4"
    for interval in (4, 16):  # the second asks for what the file has already
        with pytest.raises(VideoError, match=r"damaged\.mp4: .*cannot be decoded"):
            transcode(damaged_video, target, TranscodeSettings(keyframe_interval=interval))
        assert list(target.parent.iterdir()) == []
    result = transcode(damaged_video, target, TranscodeSettings(keep_good=True))
    assert 0 < result.num_lost < 20
    assert result.num_frames == 20 - result.num_lost
    kept = levels(VideoReader(target))
    assert kept[:12] == pytest.approx([grey_level(i) for i in range(12)], abs=3)


def test_a_video_without_a_good_frame_fails_always(damaged_video, tmp_path):
    content = damaged_video.read_bytes()
    with av.open(str(damaged_video)) as container:
        places = [(one.pos, one.size) for one in container.demux(video=0) if one.size]
    content = bytearray(content)
    for start, size in places:
        content[start : start + size] = b"\xff" * size
    damaged_video.write_bytes(content)
    with pytest.raises(VideoError, match=r"of 20 frames none is good"):
        transcode(damaged_video, tmp_path / "out.mp4", TranscodeSettings(keep_good=True))


def test_a_target_that_cannot_be_written_is_named(make_video, tmp_path):
    target = tmp_path / "out.mp4"
    target.mkdir()
    with pytest.raises(VideoError, match=r"out\.mp4: cannot be written \(Is a directory\)"):
        transcode(make_video(), target, TranscodeSettings())
    assert not list(tmp_path.glob(".part-*"))


def test_random_places_are_the_same_for_the_same_seed():
    starts = list(random_clip_starts(100, 57, 50, seed=3))
    assert starts == list(random_clip_starts(100, 57, 50, seed=3))
    assert min(starts) >= 0
    assert max(starts) <= 43
    assert list(random_clip_starts(20, 57, 2, seed=0)) == [0, 0]


def test_the_cost_of_access_is_a_time(make_video):
    assert 0 < access_seconds(make_video(), repeats=2) < 5
