"""What is told of a video: made files whose facts are known."""

import dataclasses
from fractions import Fraction

import av
import numpy as np
import pytest

from kinema.errors import VideoError
from kinema.video import write_video
from kinema.video.probe import AudioFacts, advice, is_variable_rate, probe_video


def test_the_facts_of_a_made_video(make_video):
    path = make_video(num_frames=50, size=(64, 48), fps=10, options={"x264-params": "keyint=20:scenecut=0"})
    facts = probe_video(path)
    assert (facts.codec, facts.pixel_format, facts.bit_depth) == ("h264", "yuv420p", 8)
    assert "mp4" in facts.container
    assert (facts.width, facts.height, facts.rotation_degrees) == (64, 48, 0)
    assert (facts.fps, facts.is_variable_rate, facts.duration_seconds) == (10.0, False, pytest.approx(5.0))
    assert (facts.num_frames, facts.num_header_frames) == (50, 50)
    assert facts.first_timestamp_seconds == 0.0
    assert facts.num_bytes == path.stat().st_size
    assert facts.bit_rate == pytest.approx(8 * path.stat().st_size / 5)
    assert (facts.num_keyframes, facts.keyframe_spacing_max) == (3, 20)
    assert facts.keyframe_spacing_mean == pytest.approx(50 / 3)
    # frames 0 to 19 twice have 0 to 19 others before them, the last ten 0 to 9
    assert facts.frames_before_random == pytest.approx((190 + 190 + 45) / 50)
    assert (facts.audio, facts.damage, facts.was_decoded) == ((), None, True)
    assert (facts.hdr_transfer, facts.sample_aspect_ratio) == (None, None)


def test_bytes_have_the_facts_of_the_file(make_video):
    path = make_video()
    of_file, of_bytes = probe_video(path), probe_video(path.read_bytes())
    assert dataclasses.replace(of_bytes, name=of_file.name) == of_file
    with path.open("rb") as file:
        assert dataclasses.replace(probe_video(file), name=of_file.name) == of_file


def encode(path, *, times=range(12), audio=False, angle=0, **context):
    """A video of black frames shown at `times`, in tenths of a second."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 32, "yuv420p"
        if angle:
            stream.set_display_rotation(angle)
        for name, value in context.items():
            setattr(stream.codec_context, name, value)
        sound = container.add_stream("aac", rate=44100, layout="stereo") if audio else None
        for time in times:
            frame = av.VideoFrame.from_ndarray(np.zeros((32, 64, 3), np.uint8), format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, 10)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
        if sound is not None:
            silence = av.AudioFrame.from_ndarray(np.zeros((2, 1024), np.float32), format="fltp", layout="stereo")
            silence.sample_rate = 44100
            container.mux(sound.encode(silence))
            container.mux(sound.encode())
    return path


def test_sound_colour_and_pixel_shape_are_told(tmp_path):
    path = encode(
        tmp_path / "a.mp4", audio=True, color_range=2, colorspace=1, color_trc=16, sample_aspect_ratio=Fraction(4, 3)
    )
    facts = probe_video(path)
    assert facts.audio == (AudioFacts("aac", 44100, 2),)
    assert (facts.color_range, facts.color_space, facts.hdr_transfer) == ("full", "BT.709", "PQ (HDR10)")
    assert facts.sample_aspect_ratio == Fraction(4, 3)
    said = " | ".join(advice(facts))
    assert "high dynamic range, PQ (HDR10): converted as if it were SDR" in said
    assert "pixels are not square (4:3)" in said


def test_rotation_turns_size_and_pixel_shape(tmp_path):
    facts = probe_video(encode(tmp_path / "a.mp4", angle=90, sample_aspect_ratio=Fraction(4, 3)))
    assert (facts.width, facts.height, facts.rotation_degrees) == (32, 64, 90)
    assert facts.sample_aspect_ratio == Fraction(3, 4)
    assert any(one.startswith("stored turned, shown upright after 90 degrees") for one in advice(facts))


def test_a_variable_rate_is_told(tmp_path):
    facts = probe_video(encode(tmp_path / "a.mp4", times=[0, 1, 2, 5, 6, 9, 10, 11]))
    assert facts.is_variable_rate
    assert facts.num_frames == 8
    assert any(one.startswith("variable frame rate") for one in advice(facts))


def test_times_rounded_to_milliseconds_are_one_rate():
    assert not is_variable_rate(np.round(np.arange(300) * 1001 / 30000, 3))
    assert not is_variable_rate(np.array([0.5]))
    assert not is_variable_rate(np.array([0.0, 0.1, 0.1, 0.1]))  # wrong times say nothing
    assert not is_variable_rate(np.array([0.0, np.nan, 0.2]))
    assert is_variable_rate(np.array([0.0, 0.1, 0.2, 0.4]))
    assert is_variable_rate(np.cumsum([0.0] + 50 * [0.0333] + 50 * [0.0337]))  # steps alike, but they add up


def test_damage_is_found_only_by_decoding(damaged_video):
    facts = probe_video(damaged_video)
    assert facts.damage is not None
    assert str(damaged_video) in facts.damage
    assert advice(facts)[0] == f"damaged: {facts.damage}"
    quick = probe_video(damaged_video, decode=False)
    assert (quick.damage, quick.was_decoded) == (None, False)
    assert "whether every frame can be decoded was not tried" in advice(quick)


def test_no_video_is_a_video_error(tmp_path):
    (tmp_path / "text.mp4").write_text("no video at all")
    with pytest.raises(VideoError, match=r"text\.mp4: is a text file, not a video"):
        probe_video(tmp_path / "text.mp4")


def test_advice_counts_what_a_random_frame_costs(tmp_path):
    frames = np.zeros((250, 512, 640, 3), np.uint8)
    facts = probe_video(write_video(tmp_path / "a.mp4", frames, 25), decode=True)
    assert facts.num_keyframes == 1
    said = " | ".join(advice(facts))
    assert "one key frame in 250 frames: 124 others are decoded first to reach a random frame, on average" in said
    assert "`kinema data prepare` makes that 8, about 15 times fewer" in said
    assert "640x512: a frame has about 4 times fewer pixels to decode with a short side of 256" in said


def test_a_video_that_is_ready_needs_no_advice(make_video):
    facts = probe_video(make_video(options={"x264-params": "keyint=8:scenecut=0"}))
    assert advice(facts) == []


def test_a_header_that_counts_hidden_frames_is_told(shared_clips):
    facts = probe_video(shared_clips / "formats" / "baseball.mp4", decode=False)
    assert (facts.num_frames, facts.num_header_frames) == (167, 183)
    assert any(one.startswith("the header says 183 frames, 167 are shown") for one in advice(facts))
