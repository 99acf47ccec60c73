import random
import warnings

import numpy as np
import pytest
import torch

from kinema.compat.parts.datasets import BaseActionDataset, get_type, worker_init_fn
from kinema.datasets import AudioDataset, BaseDataset, RawframeDataset, RepeatAugDataset, VideoDataset
from kinema.transforms import DecordInit


class Clips(BaseActionDataset):
    """Clips named in the code, with one label each or several."""

    def __init__(self, labels, *args, **kwargs):
        self.labels = labels
        super().__init__(*args, **kwargs)

    def load_data_list(self):
        return [
            {"filename": f"{self.data_prefix['video']}/{i}.mp4", "label": label} for i, label in enumerate(self.labels)
        ]


def test_samples_carry_what_the_transforms_need() -> None:
    dataset = Clips([2, 0], "", [], {"video": "clips"}, True, start_index=1, modality="Flow", data_root="root")
    assert dataset.test_mode
    assert dataset[0] == {
        "filename": "root/clips/0.mp4", "label": 2, "sample_idx": 0, "modality": "Flow", "start_index": 1
    }  # fmt: skip


def test_the_datasets_of_clips_count_as_this_one() -> None:
    kinds = (AudioDataset, RawframeDataset, RepeatAugDataset, VideoDataset, Clips)
    assert [issubclass(kind, BaseActionDataset) for kind in kinds] == [True] * 5
    assert not issubclass(BaseDataset, BaseActionDataset)


def test_several_labels_become_a_vector() -> None:
    dataset = Clips([[0, 2], [1]], "", [], {"video": "clips"}, multi_class=True, num_classes=3)
    assert [sample["label"].tolist() for sample in dataset] == [[1, 0, 1], [0, 1, 0]]
    assert [sample["label"].tolist() for sample in dataset] == [[1, 0, 1], [0, 1, 0]]
    others = [2, np.array([0, 1]), np.array([0, 1, 0.5])]  # an index, indices, and a vector already
    dataset = Clips(others, "", [], {"video": "clips"}, multi_class=True, num_classes=3)
    assert [sample["label"].tolist() for sample in dataset] == [[0, 0, 1], [1, 1, 0], [0, 1, 0.5]]
    with pytest.raises(ValueError, match="Clips: multi_class=True needs num_classes"):
        Clips([[0]], "", [], multi_class=True)


def test_the_start_of_a_worker_seeds_all_generators() -> None:
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    worker_init_fn(1, 2, 1, 10)
    drawn = (random.random(), np.random.rand(), torch.rand(1).item())
    random.seed(13)
    np.random.seed(13)
    torch.manual_seed(13)
    assert drawn == (random.random(), np.random.rand(), torch.rand(1).item())
    with warnings.catch_warnings():
        worker_init_fn(1, 2, 1, 10, disable_subprocess_warning=True)
        warnings.warn("hidden", UserWarning, stacklevel=1)
    random.setstate(states[0])
    np.random.set_state(states[1])
    torch.set_rng_state(states[2])


def test_the_type_of_a_transform_is_read_of_its_config_or_of_itself() -> None:
    assert get_type({"type": "DecordDecode", "mode": "accurate"}) == "DecordDecode"
    assert get_type(DecordInit()) == "DecordInit"
    with pytest.raises(TypeError, match="a transform or its config is expected, got 3"):
        get_type(3)
