"""A sample on its way through the pipeline."""

import numpy as np
import pytest

from kinema.datasets import BaseDataset, ConcatDataset, RepeatAugDataset, RepeatDataset, VideoDataset
from kinema.datasets.inspection.sample_trace import choose_samples, evenly_spaced, pipeline_of, watch_sample
from kinema.randomness import sample_randomness


def steps(num_clips=1):
    return [
        dict(type="OpenVideo"),
        dict(type="SampleFrames", clip_len=4, frame_interval=2, num_clips=num_clips),
        dict(type="DecodeVideo"),
        dict(type="RandomCrop", size=32),
        dict(type="FormatShape", input_format="NCTHW"),
        dict(type="PackActionInputs"),
    ]


@pytest.fixture
def dataset(tmp_path, make_video):
    for name in ("a.mp4", "b.mp4"):
        make_video(tmp_path / name)
    (tmp_path / "train.txt").write_text("a.mp4 0\nb.mp4 1\ngone.mp4 1\n")
    return VideoDataset(tmp_path / "train.txt", steps(), {"video": str(tmp_path)})


def test_the_chosen_frames_and_the_input_of_training_are_seen(dataset, grey_level):
    seen = watch_sample(dataset, 1, seed=3, epoch=2)
    assert (seen.path, seen.label, seen.total_frames, seen.num_frames) == (str(dataset[1] and seen.path), 1, 20, 4)
    assert seen.path.endswith("b.mp4")
    assert seen.places == [0, 1, 2, 3]
    assert (np.diff(seen.frame_numbers) == 2).all()
    for frame, number in zip(seen.frames, seen.frame_numbers, strict=True):
        assert frame.shape == (48, 64, 3)
        assert abs(frame.mean() - grey_level(int(number))) <= 2
    with sample_randomness(3, 2, 1):
        expected = dataset[1]["inputs"]
    assert (seen.packed["inputs"] == expected).all()
    assert [type(step).__name__ for step in dataset.pipeline.transforms][:2] == ["OpenVideo", "SampleFrames"]


def test_some_of_many_frames_are_kept(dataset):
    seen = watch_sample(dataset, 0, num_shown=2)
    assert (len(seen.frames), seen.places, seen.num_frames) == (2, [0, 3], 4)


def test_a_broken_sample_is_told_with_its_path_and_label(dataset):
    seen = watch_sample(dataset, 2)
    assert seen.error == f"{seen.path}: no such file"
    assert seen.label == 1
    assert seen.packed is None


def test_an_error_of_the_users_own_transform_is_told(dataset):
    def mine(sample):
        raise IndexError("no such\njoint")

    dataset.pipeline.transforms.insert(3, mine)
    seen = watch_sample(dataset, 0)
    assert seen.error == "IndexError: no such joint"
    assert len(seen.frames) == 4


def test_a_sample_in_place_of_a_rejected_one_is_counted(dataset):
    dataset.pipeline.transforms.insert(0, lambda sample: None if sample["label"] == 0 else sample)
    dataset.get_subset_([0, 1])
    seen = watch_sample(dataset, 0)
    assert seen.runs > 1
    assert seen.path.endswith("b.mp4")


def test_datasets_of_datasets_are_watched(dataset):
    assert watch_sample(RepeatDataset(dataset, 2), 4).path.endswith("b.mp4")
    seen = watch_sample(ConcatDataset([dataset, dataset]), 3)
    assert len(seen.frames) == 4
    assert len(pipeline_of(ConcatDataset([dataset]))) == 6
    assert pipeline_of([1, 2]) == []


def test_repeated_augmentation_gives_its_samples_without_the_decoded_frames(dataset, tmp_path):
    repeated = RepeatAugDataset(tmp_path / "train.txt", steps(), {"video": str(tmp_path)}, num_repeats=2)
    seen = watch_sample(repeated, 0)
    assert (len(seen.packed), seen.frames, seen.error) == (2, [], None)
    assert seen.path.endswith("a.mp4")


def test_a_dataset_that_is_no_dataset_of_ours_is_made_too():
    seen = watch_sample([{"inputs": np.zeros(3)}], 0)
    assert (seen.path, seen.runs, seen.error) == ("", 0, None)


class Labelled(BaseDataset):
    def __init__(self, labels):
        self.labels = labels
        super().__init__()

    def load_data_list(self):
        return [{"label": label} for label in self.labels]


def test_samples_of_all_classes_are_chosen():
    labels = [0] * 50 + [1] * 3 + [2] * 20
    chosen = choose_samples(Labelled(labels), 12, seed=1)
    assert [labels[one] for one in chosen] == [0] * 5 + [1] * 3 + [2] * 4
    assert chosen == choose_samples(Labelled(labels), 12, seed=1) != choose_samples(Labelled(labels), 12, seed=2)
    assert choose_samples(Labelled([1, 0]), 24) == [1, 0]
    assert sorted(choose_samples(["a", "b", "c"], 2)) == choose_samples(["a", "b", "c"], 2)


def test_evenly_spaced_places_hold_both_ends():
    assert evenly_spaced(3, 8) == [0, 1, 2]
    assert evenly_spaced(32, 8) == [0, 4, 9, 13, 18, 22, 27, 31]
    assert evenly_spaced(9, 1) == [0]
