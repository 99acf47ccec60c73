"""Several versions of one sample for test-time augmentation, and mirrored views."""

from typing import Any

import numpy as np
import pytest

from kinema.errors import SampleValueError
from kinema.transforms import MirroredViews, TestTimeAug


def test_all_combinations_of_the_choices_are_prepared() -> None:
    def add(number: int) -> Any:
        return lambda sample: {**sample, "sum": sample["sum"] + number}

    augment = TestTimeAug([[add(1), add(2)], [[add(10), add(20)], add(100)]])
    assert augment({"sum": 0, "path": "a"}) == {"sum": [31, 101, 32, 102], "path": ["a"] * 4}


def test_one_version_does_not_change_another() -> None:
    def spoil(sample: dict[str, Any]) -> dict[str, Any]:
        sample["imgs"].append(1)
        sample["lazy"]["flip"] = True
        return sample

    given = {"imgs": [0], "lazy": {"flip": False}}
    assert TestTimeAug([[lambda sample: sample, spoil]])(given) == {
        "imgs": [[0], [0, 1]],
        "lazy": [{"flip": False}, {"flip": True}],
    }
    assert given == {"imgs": [0], "lazy": {"flip": False}}


def test_a_version_that_is_rejected_rejects_the_sample() -> None:
    assert TestTimeAug([[lambda sample: sample, lambda sample: None]])({"a": 1}) is None


@pytest.mark.parametrize("transforms", [[], [[]], [{"type": "Flip"}]])
def test_places_without_choices_are_refused(transforms: Any) -> None:
    with pytest.raises(ValueError, match="TestTimeAug: transforms must be a list of places, each a list of at least"):
        TestTimeAug(transforms)


def test_mirrored_views_follow_the_plain_ones() -> None:
    frames = list(np.random.default_rng(0).integers(0, 256, (6, 4, 5, 3), dtype=np.uint8))
    views = MirroredViews()({"imgs": frames, "img_shape": (4, 5), "modality": "RGB"})["imgs"]
    assert len(views) == 12
    for plain, view, mirrored in zip(frames, views, views[6:], strict=False):
        assert np.array_equal(view, plain)
        assert np.array_equal(mirrored, plain[:, ::-1])


def test_of_optical_flow_the_x_component_changes_its_sign() -> None:
    flow = [np.full((2, 2), value, np.uint8) for value in (100, 7)]
    views = MirroredViews()({"imgs": flow, "img_shape": (2, 2), "modality": "Flow"})["imgs"]
    assert [int(view[0, 0]) for view in views] == [100, 7, 155, 7]


def test_what_belongs_to_one_view_is_refused() -> None:
    sample = {"imgs": [np.zeros((2, 2, 3), np.uint8)], "img_shape": (2, 2), "keypoint": np.zeros((1, 1, 2, 2))}
    with pytest.raises(SampleValueError, match="MirroredViews: 'keypoint' belongs to one view only"):
        MirroredViews()(sample)
