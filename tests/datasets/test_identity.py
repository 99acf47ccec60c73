"""The hash of a dataset's clips changes with what tells them apart, and with nothing else."""

import numpy as np
import pytest
from torch.utils.data import Dataset, Subset

from kinema.datasets import BaseDataset, ConcatDataset, RepeatDataset, VideoDataset
from kinema.datasets.identity import hash_of_clips, hash_of_names


def listed(folder, lines, **keywords):
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "list.txt"
    file.write_text("".join(f"{line}\n" for line in lines))
    return VideoDataset(file, **keywords)


class Dicts(BaseDataset):
    """Samples that lie in memory as dicts."""

    def __init__(self, samples, **keywords):
        self.samples = samples
        super().__init__(**keywords)

    def load_data_list(self):
        return list(self.samples)


LINES = ["a/1.mp4 0", "a/2.mp4 1", "b/3.mp4 1"]


@pytest.mark.parametrize(
    "lines",
    [
        [*LINES, "b/4.mp4 0"],
        LINES[:2],
        ["a/1.mp4 1", "a/2.mp4 0", "b/3.mp4 1"],
        ["a/1.mp4 0", "a/22.mp4 1", "b/3.mp4 1"],
        LINES[::-1],
    ],
    ids=["more", "fewer", "labels", "path", "order"],
)
def test_other_clips_have_another_hash(tmp_path, lines):
    assert hash_of_clips(listed(tmp_path / "a", lines)) != hash_of_clips(listed(tmp_path / "b", LINES))


def test_the_same_clips_in_another_place_have_the_same_hash(tmp_path):
    absolute = [f"/data/sets/{line}" for line in LINES]
    hashes = {
        hash_of_clips(listed(tmp_path / "here", LINES)),
        hash_of_clips(listed(tmp_path / "there", LINES, data_prefix=dict(video="/elsewhere"))),
        hash_of_clips(listed(tmp_path / "absolute", absolute)),
        hash_of_clips(Dicts([{"filename": line.split()[0], "label": int(line.split()[1])} for line in LINES])),
        hash_of_clips(
            Dicts(
                [{"filename": f"/x/{line.split()[0]}", "label": int(line.split()[1])} for line in LINES],
                serialize_data=False,
            )
        ),
    }
    assert len(hashes) == 1


def test_parts_of_a_video_and_several_labels_count():
    samples = [
        {"filename": "a.mp4", "label": 0, "start_seconds": 0.0, "end_seconds": 1.0},
        {"filename": "a.mp4", "label": 0, "start_seconds": 0.0, "end_seconds": 2.0},
        {"filename": "a.mp4", "label": [0, 1]},
        {"filename": "a.mp4", "label": np.array([1.0, 0.0, 1.0], dtype=np.float32)},
        {"filename": "a.mp4"},
        {"frame_dir": "a"},
        {"keypoint": np.zeros(2)},
    ]
    assert len({hash_of_clips(Dicts([sample])) for sample in samples}) == len(samples)


def test_many_clips_are_hashed_as_a_few_are(tmp_path, monkeypatch):
    dataset = listed(tmp_path, LINES)
    expected = hash_of_clips(dataset)
    monkeypatch.setattr("kinema.datasets.identity._AT_A_TIME", 2)
    assert hash_of_clips(dataset) == expected


def test_wrappers_count_what_they_wrap(tmp_path):
    dataset, other = listed(tmp_path / "a", LINES), listed(tmp_path / "b", LINES[:2])
    wrapped = [dataset, RepeatDataset(dataset, 2), ConcatDataset([dataset, other]), Subset(dataset, [0, 1])]
    assert len({hash_of_clips(each) for each in wrapped}) == len(wrapped)


def test_clips_of_a_dataset_of_another_kind_are_not_known():
    class Own(Dataset):
        def __len__(self):
            return 1

    assert hash_of_clips(Own()) is None
    assert hash_of_clips(Dicts([])) is not None


def test_names_in_another_order_have_another_hash():
    assert hash_of_names(["run", "walk"]) != hash_of_names(["walk", "run"]) != hash_of_names(["walkrun"])
