import numpy as np
import pytest
import torch

from kinema.errors import SampleValueError
from kinema.transforms import FormatAudioShape, LoadHVULabel, RandomResizedCrop, Transpose

GROUPS = {"categories": ["a", "b", "c"], "category_nums": [2, 3, 4]}


def test_labels_of_groups_become_one_row_with_masks() -> None:
    transform = LoadHVULabel()
    assert repr(transform) == "LoadHVULabel(hvu_initialized=False)"
    sample = transform({**GROUPS, "label": {"a": [1], "c": [0, 2]}})
    assert sample["label"].tolist() == [0, 1, 0, 0, 0, 1, 0, 1, 0]
    assert sample["mask"].tolist() == [1, 1, 0, 0, 0, 1, 1, 1, 1]
    assert sample["category_mask"].tolist() == [1, 0, 1]
    assert sample["label"].dtype == torch.float32
    assert repr(transform) == "LoadHVULabel(hvu_initialized=True)"


@pytest.mark.parametrize(
    ("sample", "message"),
    [
        ({**GROUPS, "label": {"b": [3]}}, r"\[3\] of 'b' are no labels of the groups"),
        ({**GROUPS, "label": {"d": [0]}}, r"\[0\] of 'd' are no labels"),
        ({"categories": ["a"], "category_nums": [2], "label": {}}, "are not those of the first sample"),
    ],
)
def test_labels_of_no_group_are_refused(sample, message) -> None:
    transform = LoadHVULabel()
    transform({**GROUPS, "label": {}})
    with pytest.raises(SampleValueError, match=message):
        transform(sample)


def test_sound_gets_a_channel() -> None:
    sample = FormatAudioShape("NCTF")({"audios": np.zeros((3, 8, 16))})
    assert sample["audios"].shape == sample["input_shape"] == (3, 1, 8, 16)
    with pytest.raises(ValueError, match="input_format must be 'NCTF', got 'NTF'"):
        FormatAudioShape("NTF")


def test_a_subclass_may_choose_the_box_of_a_random_crop() -> None:
    class Corner(RandomResizedCrop):
        @staticmethod
        def get_crop_bbox(img_shape, area_range, aspect_ratio_range, max_attempts=10):
            assert img_shape == (20, 30)
            return 0, 0, 7, 5

    assert Corner()({"imgs": np.zeros((2, 20, 30, 3), np.uint8)})["img_shape"] == (5, 7)
    assert RandomResizedCrop.get_crop_bbox((40, 40), (1.0, 1.0), (1.0, 1.0)) == (0, 0, 40, 40)
    with pytest.raises(ValueError, match=r"area_range must be two numbers, 0 < low <= high, got \(0.9, 0.7\)"):
        RandomResizedCrop.get_crop_bbox((40, 40), (0.9, 0.7), (1.0, 1.0))


def test_one_name_is_no_list_of_names() -> None:
    with pytest.raises(TypeError, match="Transpose: keys must be a list of names, got 'imgs'"):
        Transpose("imgs", (1, 0))
