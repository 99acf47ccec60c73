"""The motion data set: real files, the same from the same seed, and nothing to learn from a still."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from kinema.datasets.synthetic import MOTION_CLASSES, make_motion_dataset, motion_states, render_motion_clip
from kinema.video import VideoReader

OPPOSITES = {
    "growing": "shrinking",
    "sliding_down": "sliding_up",
    "sliding_left": "sliding_right",
    "turning_clockwise": "turning_counterclockwise",
}


def clip_paths(list_file: Path) -> list[Path]:
    return [list_file.parent / line.rpartition(" ")[0] for line in list_file.read_text().splitlines()]


def test_lists_folders_and_class_names_say_the_same(tmp_path: Path) -> None:
    made = make_motion_dataset(tmp_path / "motion", num_train=20, num_val=8, size=(48, 32), num_frames=6, fps=8)
    assert made.class_names == MOTION_CLASSES == tuple(sorted(MOTION_CLASSES))
    assert (made.root / "classes.txt").read_text().splitlines() == list(MOTION_CLASSES)
    for list_file, split, count in [(made.train_list, "train", 20), (made.val_list, "val", 8)]:
        lines = list_file.read_text().splitlines()
        assert len(lines) == count
        for line in lines:
            name, label = line.split(" ")
            assert Path(name).parts[:2] == (split, MOTION_CLASSES[int(label)])
        assert sorted((made.root / split).rglob("*.mp4")) == sorted(clip_paths(list_file))
        counts = np.bincount([int(line.split(" ")[1]) for line in lines], minlength=8)
        assert counts.max() - counts.min() <= 1
    reader = VideoReader(clip_paths(made.val_list)[3])
    assert (len(reader), reader.width, reader.height, reader.fps) == (6, 48, 32, 8.0)


def test_the_same_seed_gives_the_same_frames_and_another_seed_others(tmp_path: Path) -> None:
    first, second, other = (
        make_motion_dataset(tmp_path / str(number), seed=seed, num_train=train, num_val=2, size=(32, 32), num_frames=4)
        for number, (seed, train) in enumerate([(3, 8), (3, 16), (4, 8)])
    )
    for list_name in ("train.txt", "val.txt"):
        paths = [clip_paths(made.root / list_name) for made in (first, second, other)]
        for one, same, different in zip(*paths, strict=False):  # the first clips of more are those of fewer
            assert np.array_equal(VideoReader(one)[:], VideoReader(same)[:])
            assert not np.array_equal(VideoReader(one)[:], VideoReader(different)[:])
    train, val = clip_paths(first.train_list)[0], clip_paths(first.val_list)[0]
    assert not np.array_equal(VideoReader(train)[:], VideoReader(val)[:])


def test_compression_leaves_the_picture_nearly_as_drawn(tmp_path: Path) -> None:
    made = make_motion_dataset(tmp_path, seed=5, num_train=1, num_val=1)
    drawn = render_motion_clip("growing", np.random.default_rng([5, 0, 0]))
    read = VideoReader(clip_paths(made.train_list)[0])[:]
    assert read.shape == drawn.shape == (20, 64, 64, 3)
    assert np.abs(read.astype(int) - drawn).mean() < 6


def test_a_second_call_replaces_its_own_clips_and_refuses_those_of_others(tmp_path: Path) -> None:
    small = {"num_val": 1, "size": (16, 16), "num_frames": 2}
    make_motion_dataset(tmp_path, num_train=3, **small)
    make_motion_dataset(tmp_path, num_train=4, **small)
    with pytest.raises(FileExistsError, match=r"sliding_left_0003\.mp4: is not of the data set to be written"):
        make_motion_dataset(tmp_path, num_train=3, **small)


@pytest.mark.parametrize("wrong", [{"num_train": 0}, {"num_val": 0}, {"num_frames": 1}, {"size": (64, 8)}])
def test_numbers_that_are_too_small_are_refused(tmp_path: Path, wrong: dict) -> None:
    with pytest.raises(ValueError, match="need at least 1 clip a split, 2 frames and 16 pixels"):
        make_motion_dataset(tmp_path, **wrong)


@pytest.mark.parametrize("name", MOTION_CLASSES)
def test_a_class_moves_one_coordinate_steadily(name: str) -> None:
    states = motion_states(name, np.array([0.3, 0.9, 0.1, 0.7]), 0.5, 9)
    steps = (np.diff(states, axis=0) + 0.5) % 1 - 0.5  # the short way round the torus
    moving = np.flatnonzero(np.abs(steps).max(axis=0) > 1e-9)
    assert len(moving) == 1
    assert np.allclose(steps[:, moving], steps[0, moving])


@pytest.mark.parametrize(("name", "opposite"), OPPOSITES.items())
def test_a_clip_played_backwards_is_a_clip_of_the_opposite_class(name: str, opposite: str) -> None:
    states = motion_states(name, np.array([0.3, 0.9, 0.1, 0.7]), 0.25, 7)
    backwards = motion_states(opposite, states[-1], 0.25, 7)
    assert np.allclose(np.exp(2j * np.pi * backwards), np.exp(2j * np.pi * states[::-1]))


@pytest.mark.parametrize(
    ("name", "shift"),
    [("sliding_right", (0, 1)), ("sliding_left", (0, -1)), ("sliding_down", (1, 0)), ("sliding_up", (-1, 0))],
)
def test_sliding_shapes_go_where_their_name_says(name: str, shift: tuple[int, int]) -> None:
    """The second frame, moved back by 0 to 5 pixels, fits the first best when moved against the named direction."""
    frames = render_motion_clip(name, np.random.default_rng(1), num_frames=12).astype(float)
    still = np.median(frames, axis=0)
    first, second = (np.abs(frame - still).sum(axis=2) for frame in frames[4:6])

    def misfit(pixels: int) -> float:
        moved = np.roll(second, (-shift[0] * pixels, -shift[1] * pixels), axis=(0, 1))
        return float(np.abs(moved - first).mean())

    assert min(range(-5, 6), key=misfit) >= 2


def centred_mask(frame: np.ndarray) -> np.ndarray:
    """Where a frame's shape is, rolled so that the shape is in the middle and no border cuts it."""
    grey = frame.astype(float).mean(axis=2)
    mask = np.abs(grey - np.median(grey)) > 45
    for axis, length in enumerate(mask.shape):
        turns = np.exp(2j * np.pi * np.nonzero(mask)[axis] / length)
        middle = np.angle(turns.mean()) / (2 * np.pi) * length
        mask = np.roll(mask, round(length / 2 - middle), axis=axis)
    return mask


def long_axis(mask: np.ndarray) -> float:
    """Angle of a mask's long axis by its second moments, counter-clockwise, radians."""
    rows, columns = np.nonzero(mask)
    spread = np.cov(columns, -rows)
    return float(0.5 * np.arctan2(2 * spread[0, 1], spread[0, 0] - spread[1, 1]))


@pytest.mark.parametrize(("name", "direction"), [("growing", 1), ("shrinking", -1)])
def test_growing_shapes_cover_more_and_more_and_shrinking_ones_less(name: str, direction: int) -> None:
    for seed in range(20):
        clip = render_motion_clip(name, np.random.default_rng(seed), num_frames=12)
        steps = np.diff([centred_mask(frame).sum() for frame in clip])
        assert np.sign(np.median(steps)) == direction  # the others lead from the largest to the smallest


@pytest.mark.parametrize(("name", "direction"), [("turning_clockwise", -1), ("turning_counterclockwise", 1)])
def test_turning_shapes_turn_as_their_name_says(name: str, direction: int) -> None:
    agreeing = 0
    for seed in range(20):
        clip = render_motion_clip(name, np.random.default_rng(seed), num_frames=12)
        steps = np.diff([long_axis(centred_mask(frame)) for frame in clip])
        agreeing += np.sign(np.median((steps + np.pi / 2) % np.pi - np.pi / 2)) == direction
    assert agreeing >= 17  # nearly round shapes have no long axis


@pytest.mark.slow
def test_a_still_does_not_tell_the_class() -> None:
    """A linear classifier on small pictures, their brightness and contrast stays near 1 in 8 at any time of the
    clip.
    """
    clips = [render_motion_clip(MOTION_CLASSES[i % 8], np.random.default_rng([9, i]), num_frames=3) for i in range(800)]
    y = np.eye(8)[np.arange(800) % 8]
    train, test = slice(0, 480), slice(480, None)
    for time in range(3):  # start, middle, end
        features = []
        for still in (clip[time] for clip in clips):
            small = cv2.resize(still, (8, 8), interpolation=cv2.INTER_AREA).astype(float).ravel() / 255
            features.append([1.0, still.mean() / 255, still.std() / 255, *small])
        x = np.array(features)
        weights = np.linalg.solve(x[train].T @ x[train] + 3 * np.eye(x.shape[1]), x[train].T @ y[train])
        accuracy = (np.argmax(x[test] @ weights, axis=1) == np.argmax(y[test], axis=1)).mean()
        assert accuracy < 0.125 + 3.5 * np.sqrt(0.125 * 0.875 / 320)


def test_at_every_time_the_state_is_uniform_whatever_the_class() -> None:
    starts = np.random.default_rng(0).random((2000, 4))
    for name in MOTION_CLASSES:
        states = np.stack([motion_states(name, start, 0.5, 5) for start in starts])  # (clips, T, 4)
        for time in range(5):
            for coordinate in range(4):
                counts = np.histogram(states[:, time, coordinate], bins=4, range=(0, 1))[0]
                assert np.abs(counts - 500).max() < 4 * np.sqrt(2000 * 0.25 * 0.75)
