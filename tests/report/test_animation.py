import base64
import io

import numpy as np
import pytest
from PIL import Image, ImageSequence

from kinema.report import document
from kinema.report.animation import ClipAnimation, clip_animation, webp
from kinema.video import write_video


def decoded(content: bytes) -> list[np.ndarray]:
    with Image.open(io.BytesIO(content)) as image:
        return [np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(image)]


def bars(num_frames: int) -> np.ndarray:
    """Frame i has a white column at 4 i."""
    frames = np.zeros((num_frames, 120, 160, 3), np.uint8)
    for number, frame in enumerate(frames):
        frame[:, 4 * number : 4 * number + 4] = 255
    return frames


def numbers(frames: list[np.ndarray]) -> list[int]:
    """Which of `bars` they are."""
    return [int(frame[..., 0].mean(axis=0).reshape(-1, 4).sum(axis=1).argmax()) for frame in frames]


def test_a_clip_becomes_a_small_animation_that_plays_for_ever(tmp_path):
    clip = clip_animation(write_video(tmp_path / "bars.mp4", bars(39), 19.5))
    frames = decoded(clip.animation)
    assert frames[0].shape == (clip.height, clip.width, 3) == (120, 160, 3)
    assert numbers(frames) == list(range(0, 39, 2))  # spread over all of it
    assert clip.animation[30:34] == b"ANIM"
    assert int.from_bytes(clip.animation[42:44], "little") == 0  # loops: for ever
    with Image.open(io.BytesIO(clip.animation)) as image:
        image.load()
        assert image.info["duration"] == 100  # milliseconds a frame: as long as the video
    assert numbers(decoded(clip.still)) == [20]


def test_animations_keep_their_budget_and_videos_of_odd_shapes_their_place(tmp_path):
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 255, (8, 120, 160, 3), dtype=np.uint8)
    for budget in (40_000, 6_000):
        clip = clip_animation(noise, max_bytes=budget)
        assert len(clip.animation) + len(clip.still) <= budget
    assert clip.height < 120
    for shape in ((1, 5, 7, 3), (3, 1, 1, 3), (5, 1, 999, 3), (5, 333, 3, 3)):
        clip = clip_animation(rng.integers(0, 255, shape, dtype=np.uint8))
        assert clip.width % 2 == clip.height % 2 == 0
        assert clip.width >= 2 <= clip.height
        assert max(clip.width, clip.height) <= 320
        assert decoded(clip.still)[0].shape == (clip.height, clip.width, 3)
    with pytest.raises(ValueError, match="no animation is smaller than max_bytes=10: give at least 4000"):
        clip_animation(noise, max_bytes=10)


def test_a_part_of_a_video_is_shown_alone(tmp_path):
    video = write_video(tmp_path / "bars.mp4", bars(20), 10)
    assert numbers(decoded(clip_animation(video, part=(0.5, 1.2)).animation)) == list(range(5, 12))
    assert clip_animation(video, part=(7, 8)).error == f"{video}: has no frames from 7 to 8 s"
    with pytest.raises(ValueError, match=r"part must be two times in seconds, the first before the second"):
        clip_animation(video, part=(2, 1))


def test_a_damaged_video_shows_what_is_good_of_it(damaged_video):
    assert not clip_animation(damaged_video).error


def test_a_page_shows_clips_and_says_why_one_is_missing(tmp_path, make_video):
    hostile = '"><script>\x1b</script>'
    (tmp_path / "empty.mp4").touch()
    clips = {
        "good": clip_animation(make_video()),
        hostile: clip_animation(tmp_path / "empty.mp4"),
        "bad": ClipAnimation(error=hostile),
    }
    assert "empty.mp4" in clips[hostile].error
    assert clips[hostile].uri == clips[hostile].still_uri == ""
    template = document._templates.from_string(
        '{% import "clips.html" as c %}<style>{{ c.style() }}</style>{{ c.pause_switch() }}'
        "{% for name, clip in clips.items() %}{{ c.clip(clip, name) }}{% endfor %}"
    )
    page = template.render(clips=clips)
    assert page.count("<img") == 2
    assert base64.b64encode(clips["good"].animation).decode() in page
    assert "prefers-reduced-motion: reduce" in page
    assert 'id="pause-clips"' in page
    assert page.count("empty.mp4") == 1
    assert r"&#34;&gt;&lt;script&gt;\x1b&lt;/script&gt;" in page
    assert "<script" not in page


def test_frames_of_another_form_are_named():
    with pytest.raises(ValueError, match=r"frames must be \(T, H, W, 3\) uint8 RGB, got \(2, 4, 4\) float64"):
        clip_animation(np.zeros((2, 4, 4)))


def test_animations_of_equal_frames_are_equal_files(tmp_path):
    frames = np.random.default_rng(0).integers(0, 255, (4, 16, 16, 3), dtype=np.uint8)
    assert webp(frames, 8, 40) == webp(frames, 8, 40)
    path = write_video(tmp_path / "a.gif", frames, 8)
    assert len(decoded(clip_animation(path).animation)) == 4
