"""Users' subclasses of parts with an OpenMMLab name: what they override is called, or refused."""

import inspect

import pytest

from kinema import registry
from kinema.errors import RegistryError
from kinema.openmmlab.overrides import UNCALLED, uncalled_override
from kinema.registry import TRANSFORMS, Registry
from kinema.transforms import Compose, PyAVDecode

REGISTRIES = [value for value in vars(registry).values() if isinstance(value, Registry)]


def part_named(name: str) -> type:
    parts = [table.module_dict[name] for table in REGISTRIES if name in table.module_dict]
    (part,) = {part for part in parts if inspect.isclass(part)}
    return part


@pytest.mark.parametrize("name", UNCALLED)
def test_what_no_part_calls_is_refused_in_a_subclass(name: str) -> None:
    part = part_named(name)
    for method in UNCALLED[name]:
        assert not hasattr(part, method), f"{name}.{method} is there now: take it off the list"
        subclass = type("Own", (part,), {method: lambda self: None})
        assert uncalled_override(subclass) == (name, method)


def test_the_refusal_names_class_method_and_what_to_do() -> None:
    class Own(PyAVDecode):
        def frame_generator(self, container, stream):
            return []

    with pytest.raises(
        RegistryError,
        match=r"Own \(test_overrides\..*\) overrides PyAVDecode\.frame_generator, which OpenMMLab's part calls"
        r" and Kinema's does not: override a public method",
    ):
        TRANSFORMS.register_module(module=Own)
    assert "Own" not in TRANSFORMS.module_dict


def test_a_method_that_the_subclass_calls_itself_is_its_own_affair() -> None:
    class Own(PyAVDecode):
        def frame_generator(self, container, stream):
            return []

        def transform(self, results):
            return self.frame_generator(results["video_reader"], None)

    assert uncalled_override(Own) is None


@pytest.mark.parametrize(
    ("base", "options", "method", "value", "expected"),
    [
        ("SampleFrames", {"clip_len": 2}, "_get_train_clips", [3], [3, 4]),
        ("SampleFrames", {"clip_len": 2, "test_mode": True}, "_get_test_clips", [3, 5], [3, 4, 5, 6]),
        ("SampleFrames", {"clip_len": 2, "frame_interval": 2}, "_sample_clips", [1], [1, 3]),
        ("DenseSampleFrames", {"clip_len": 2}, "_get_train_clips", [3], [3, 4]),
        ("DenseSampleFrames", {"clip_len": 2, "test_mode": True}, "_get_test_clips", [3], [3, 4]),
        ("DenseSampleFrames", {"clip_len": 2}, "_sample_clips", [4], [4, 5]),
        ("UniformSample", {"clip_len": 2}, "_get_sample_clips", [4, 7], [4, 7]),
        ("UniformSampleFrames", {"clip_len": 2}, "_get_train_clips", [4, 11], [4, 1]),
        ("UniformSampleFrames", {"clip_len": 2, "test_mode": True}, "_get_test_clips", [4, 8, 1, 2], [4, 8, 1, 2]),
    ],
)
def test_samplings_of_users_are_called(base, options, method, value, expected) -> None:
    own = type("Own", (part_named(base),), {method: lambda self, *arguments: value})
    sample = Compose([own(**options)])({"total_frames": 10, "start_index": 0, "filename": "a.mp4"})
    assert sample["frame_inds"].tolist() == expected
