"""Features of sound in a pipeline."""

import numpy as np
import pytest

from kinema.errors import SampleValueError, VideoError
from kinema.transforms import AudioFeatureSelector, LoadAudioFeature
from kinema.transforms.sound import rows_of_frames


def features(rows=20):
    """Row i holds i."""
    return np.repeat(np.arange(rows, dtype=np.float32)[:, None], 4, axis=1)


def test_features_are_read_and_a_missing_file_is_silence(tmp_path):
    np.save(tmp_path / "a.npy", features())
    sample = LoadAudioFeature()({"audio_path": str(tmp_path / "a.npy")})
    assert (sample["length"], sample["audios"][7].tolist()) == (20, [7, 7, 7, 7])
    silence = LoadAudioFeature()({"audio_path": str(tmp_path / "absent.npy")})
    assert (silence["length"], silence["audios"].shape, silence["audios"].any()) == (640, (640, 80), False)


@pytest.mark.parametrize(
    ("content", "message"), [(np.zeros(3), r"array of numbers \(rows, bands\)"), (np.array([{}]), "cannot be read")]
)
def test_files_of_something_else_are_named(tmp_path, content, message):
    np.save(tmp_path / "odd.npy", content)
    with pytest.raises(VideoError, match=rf"odd\.npy: .*{message}"):
        LoadAudioFeature()({"audio_path": str(tmp_path / "odd.npy")})


def test_the_rows_of_a_clip_begin_behind_its_first_frame():
    assert rows_of_frames(0, 9, total_frames=10, length=20) == slice(2, 20)
    assert rows_of_frames(0, 1, total_frames=4, length=10) == slice(2, 5)  # 2.5 is rounded to the even number
    assert rows_of_frames(3, 40, total_frames=10, length=20) == slice(8, 20)


def test_clips_have_one_length():
    sample = {"audios": features(), "length": 20, "total_frames": 10, "num_clips": 2}
    clips = AudioFeatureSelector(5)({**sample, "frame_inds": np.array([0, 1, 2, 3, 4, 9])})
    assert clips["audios"][..., 0].tolist() == [[2, 3, 4, 5, 0], [8, 9, 10, 11, 12]]
    assert clips["audios_shape"] == (2, 5, 4)
    assert repr(AudioFeatureSelector()) == "AudioFeatureSelector(fix_length=128)"


def test_what_sound_cannot_be_is_refused():
    with pytest.raises(ValueError, match="pad_method must be 'zero', got 'random'"):
        LoadAudioFeature("random")
    with pytest.raises(ValueError, match="fixed_length must be at least 1, got 0"):
        AudioFeatureSelector(0)
    with pytest.raises(SampleValueError, match=r"the video has 0 frames \("):
        AudioFeatureSelector()({"audios": features(), "length": 20, "total_frames": 0})
