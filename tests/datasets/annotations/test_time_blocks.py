import numpy as np
import pytest

from kinema.datasets.annotations import split_by_fractions
from kinema.datasets.annotations.delimited import read_csv
from kinema.datasets.annotations.time_blocks import split_by_time


def recording(tmp_path, parts, name="day.mp4"):
    rows = "".join(f"{name},{label},{start},{end}\n" for label, start, end in parts)
    (tmp_path / "parts.csv").write_text("path,label,start,end\n" + rows)
    return read_csv(tmp_path / "parts.csv")


@pytest.mark.parametrize("seed", range(5))
def test_stretches_of_time_are_held_out_with_a_gap_around_them(tmp_path, seed):
    random = np.random.default_rng(seed)
    starts = np.cumsum(random.uniform(1, 6, 100)).round(2)
    clips = recording(tmp_path, [(["run", "sit", "eat"][random.integers(3)], one, round(one + 2, 2)) for one in starts])
    parted = split_by_time(clips, 0.2, seed)
    assert parted.num_recordings == 1
    assert len(parted.train) + len(parted.held) + parted.num_between == 100
    assert 12 <= len(parted.held) <= 35
    assert set(parted.train.labels.values) == set(parted.held.labels.values) == {0, 1, 2}
    distances = np.maximum(
        parted.held.clip_starts[:, None] - parted.train.clip_ends[None],
        parted.train.clip_starts[None] - parted.held.clip_ends[:, None],
    )
    assert distances.min() >= 1
    assert parted.num_stretches <= 5, "clips drawn one by one would be about 20 stretches"
    assert np.array_equal(parted.held.clip_starts, split_by_time(clips, 0.2, seed).held.clip_starts)


def test_the_split_is_said_in_words(tmp_path):
    clips = recording(tmp_path, [(("run", "sit")[one % 2], 3 * one, 3 * one + 2.5) for one in range(20)])
    said = str(split_by_time(clips))
    assert said.startswith("the 20 clips are parts of one recording: held out ")
    assert "clips beside it are in neither" in said
    assert "on another recording the accuracy will be lower" in said


def test_nothing_is_parted_that_has_no_times_or_one_clip_a_class(tmp_path):
    assert split_by_time(recording(tmp_path, [("run", 0, 1), ("sit", 2, 3)])) is None
    (tmp_path / "whole.csv").write_text("path,label\na.mp4,run\na.mp4,run\n")
    assert split_by_time(read_csv(tmp_path / "whole.csv")) is None
    rows = "".join(f"{one}.mp4,run,0,1\n{one}.mp4,run,5,6\n" for one in range(201))
    (tmp_path / "many.csv").write_text("path,label,start,end\n" + rows)
    assert split_by_time(read_csv(tmp_path / "many.csv")) is None
    overlapping = recording(tmp_path, [("run", 0, 100), ("run", 0, 100), ("run", 0, 100)])
    assert split_by_time(overlapping) is None


def test_clips_of_one_file_can_be_parted_one_by_one(tmp_path):
    clips = recording(tmp_path, [(("run", "sit")[one % 2], 3 * one, 3 * one + 2.5) for one in range(20)])
    train, val = split_by_fractions(clips, (0.8, 0.2), group_of=None)
    assert (len(train), len(val)) == (16, 4)
    assert sorted([*train.clip_starts, *val.clip_starts]) == sorted(clips.clip_starts)
