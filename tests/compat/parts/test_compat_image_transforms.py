"""The transforms of images, under mmcv's names and beside those of clips."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from kinema.compat.parts.image_transforms import randomness
from kinema.compat.parts.image_transforms.registry import IMAGE_TRANSFORMS
from kinema.errors import KinemaError, SampleError
from kinema.registry import TRANSFORMS
from kinema.transforms import BaseTransform
from kinema.transforms import Resize as ResizeClips


@pytest.fixture
def sample() -> dict[str, Any]:
    """An image of 8 x 6 pixels with a box, two key points and a segmentation."""
    pixels = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return {
        "img": pixels,
        "gt_bboxes": np.array([[1.0, 2, 5, 6]], np.float32),
        "gt_keypoints": np.array([[[1.0, 2, 1], [7, 5, 2]]], np.float32),
        "gt_seg_map": np.arange(48, dtype=np.uint8).reshape(6, 8) % 3,
    }


@pytest.fixture
def numbers() -> Iterator[None]:
    """Registers transforms of `value`, and takes them out again."""

    class Add(BaseTransform):
        def __init__(self, number: int = 1) -> None:
            self.number = number

        def transform(self, results: Any) -> Any:
            value = results["value"]
            results["value"] = [item + self.number for item in value] if isinstance(value, list) else value + 1
            return results

    class AddRandom(BaseTransform):
        @randomness.cache_randomness
        def draw(self) -> float:
            """A number to add."""
            return np.random.rand()

        def transform(self, results: Any) -> Any:
            results["value"] += self.draw()
            return results

    IMAGE_TRANSFORMS.register_module(module=Add)
    IMAGE_TRANSFORMS.register_module(module=AddRandom)
    yield
    for registry in (IMAGE_TRANSFORMS, TRANSFORMS):
        for name in ("Add", "AddRandom"):
            del registry._users[name]


def build(kind: str, **keywords: Any) -> Any:
    return IMAGE_TRANSFORMS.build({"type": kind, **keywords})


@pytest.mark.usefixtures("shim")
def test_a_name_means_the_image_or_the_clip_as_in_the_original() -> None:
    from mmaction.datasets.transforms import Resize as OfClips
    from mmaction.registry import TRANSFORMS as CLIPS
    from mmcv.transforms import TRANSFORMS as IMAGES
    from mmcv.transforms import Resize
    from mmengine.registry import init_default_scope

    config = {"type": "Resize", "scale": (4, 4)}
    for registry, expected in ((IMAGES, Resize), (CLIPS, OfClips)):
        assert type(registry.build(config)) is expected
        assert type(registry.build({**config, "type": "mmcv.Resize"})) is Resize
        assert type(registry.build({**config, "type": "mmaction.Resize"})) is OfClips
    assert OfClips is ResizeClips
    for name in ("RandomGrayscale", "mmaction.RandomGrayscale", "mmcv.RandomGrayscale"):
        assert CLIPS.get(name) is IMAGES.get(name) is not None
    assert CLIPS.get("NoSuchTransform") is IMAGES.get("NoSuchTransform") is None
    assert isinstance(Resize((4, 4)), BaseTransform)
    init_default_scope("mmaction")
    assert type(IMAGES.build(config)) is OfClips
    init_default_scope("mmcv")
    assert type(CLIPS.build(config)) is Resize


def test_without_the_shim_the_prefix_means_clips() -> None:
    assert TRANSFORMS.get("mmcv.Resize") is ResizeClips
    assert TRANSFORMS.get("RandomGrayscale") is None


@pytest.mark.usefixtures("numbers")
def test_what_users_register_among_images_is_found_everywhere() -> None:
    assert TRANSFORMS.get("Add") is IMAGE_TRANSFORMS.get("Add") is not None


def test_a_resize_takes_all_that_is_in_the_image_along(sample: dict[str, Any]) -> None:
    pixels = sample["img"]
    resized = build("Resize", scale=(16, 9), keep_ratio=True)(sample)
    assert np.array_equal(resized["img"], cv2.resize(pixels, (12, 9)))
    assert resized["scale"] == (16, 9)
    assert resized["scale_factor"] == (1.5, 1.5)
    assert resized["img_shape"] == resized["gt_seg_map"].shape == (9, 12)
    assert resized["gt_bboxes"].tolist() == [[1.5, 3, 7.5, 9]]
    assert resized["gt_keypoints"].tolist() == [[[1.5, 3, 1], [10.5, 7.5, 2]]]
    assert build("Resize", scale_factor=(0.5, 1.0))({"img": pixels})["img"].shape == (6, 4, 3)
    outside = {"img": pixels, "gt_bboxes": np.array([[-1.0, 0, 9, 9]])}
    assert build("Resize", scale=8, clip_object_border=False)(outside)["gt_bboxes"].tolist() == [[-1, 0, 9, 12]]
    shown = "Resize(scale=(8, 8), scale_factor=None, keep_ratio=False, clip_object_border=True), backend=cv2), "
    assert repr(build("Resize", scale=8)) == shown + "interpolation=bilinear)"


def test_a_border_and_a_crop_reach_their_sizes(sample: dict[str, Any]) -> None:
    pixels = sample["img"].copy()
    padded = build("Pad", size=(10, 7), pad_val={"img": (1, 2, 3), "seg": 9})(sample)
    assert padded["pad_shape"] == (7, 10, 3)
    assert padded["img"][6, 9].tolist() == [1, 2, 3]
    assert padded["gt_seg_map"][6, 9] == 9
    assert build("Pad", pad_to_square=True, size_divisor=5)({"img": pixels})["img"].shape == (10, 10, 3)
    cropped = build("CenterCrop", crop_size=(4, 2))(padded)
    assert np.array_equal(cropped["img"], pixels[2:4, 3:7])
    assert cropped["gt_bboxes"].tolist() == [[0, 0, 2, 2]]
    assert cropped["gt_keypoints"].tolist() == [[[0, 0, 0], [4, 2, 0]]]
    assert cropped["gt_seg_map"].shape == cropped["img_shape"] == (2, 4)
    grown = build("CenterCrop", crop_size=(4, 9), auto_pad=True, pad_cfg={"type": "Pad", "pad_val": 5})({"img": pixels})
    assert np.array_equal(grown["img"][:6], pixels[:, 2:6])
    assert (grown["img"][6:] == 5).all()


def test_a_mirrored_image_mirrors_what_is_in_it(sample: dict[str, Any]) -> None:
    pixels, segmentation = sample["img"], sample["gt_seg_map"]
    flipped = build("RandomFlip", prob=1.0, direction="diagonal", swap_seg_labels=[(0, 1)])(sample)
    assert (flipped["flip"], flipped["flip_direction"]) == (True, "diagonal")
    assert np.array_equal(flipped["img"], pixels[::-1, ::-1])
    assert flipped["gt_bboxes"].tolist() == [[3, 0, 7, 4]]
    assert flipped["gt_keypoints"].tolist() == [[[7, 4, 1], [1, 1, 2]]]
    assert np.array_equal(flipped["gt_seg_map"], np.array([1, 0, 2])[segmentation[::-1, ::-1]])
    np.random.seed(0)
    directions = [None, "vertical", "horizontal"]
    flip = build("RandomFlip", prob=[0.5, 0.25], direction=["vertical", "horizontal"])
    for mirror in (flip._flip_bbox, flip._flip_keypoints):
        with pytest.raises(ValueError, match="direction must be one of horizontal, vertical, diagonal, got 'left'"):
            mirror(np.zeros((1, 1, 4)), (5, 8), "left")
    counts = dict.fromkeys(directions, 0)
    for _ in range(400):
        counts[flip({"img": pixels})["flip_direction"]] += 1
    assert [counts[name] for name in directions] == pytest.approx([100, 200, 100], abs=30)


def test_sizes_are_drawn_from_what_is_given(sample: dict[str, Any]) -> None:
    image = {"img": sample["img"]}
    np.random.seed(0)
    resize = build("RandomResize", scale=(8, 6), ratio_range=(1, 2), keep_ratio=True)
    scales = [resize(dict(image))["scale"] for _ in range(40)]
    assert {width * 6 // 8 - height for width, height in scales} <= {-1, 0}
    assert min(scales)[0] >= 8
    assert max(scales)[0] <= 16
    between = build("RandomResize", scale=[(8, 6), (10, 9)])
    assert {between(dict(image))["scale"][0] for _ in range(40)} == {8, 9, 10}
    choose = build("RandomChoiceResize", scales=[(4, 3), (8, 6)])
    assert {(chosen := choose(dict(image)))["scale_idx"]: chosen["img_shape"] for _ in range(40)} == {
        0: (3, 4),
        1: (6, 8),
    }


def test_images_become_grey_or_normalised(sample: dict[str, Any]) -> None:
    pixels = sample["img"]
    grey = build("RandomGrayscale", prob=1.0, channel_weights=(1, 1, 2))({"img": pixels})["img"]
    assert np.array_equal(grey, (pixels * np.array([0.25, 0.25, 0.5])).sum(axis=2).astype(np.uint8))
    kept = build("RandomGrayscale", prob=1.0, keep_channels=True)({"img": pixels})["img"]
    assert np.array_equal(kept[..., 0], kept[..., 2])
    assert build("RandomGrayscale", prob=1.0)({"img": pixels[..., 0]})["img"].shape == (6, 8, 1)
    normalised = build("Normalize", mean=[1, 2, 3], std=[2, 4, 8])({"img": pixels})
    np.testing.assert_allclose(normalised["img"], (pixels[..., ::-1] - np.array([1, 2, 3])) / [2, 4, 8], rtol=1e-6)
    assert normalised["img_norm_cfg"]["to_rgb"] is True


def test_files_are_read_and_tensors_written(sample: dict[str, Any], tmp_path: Path) -> None:
    image, segmentation = str(tmp_path / "a.png"), str(tmp_path / "b.png")
    cv2.imwrite(image, sample["img"])
    cv2.imwrite(segmentation, sample["gt_seg_map"])
    loaded = build("LoadImageFromFile", to_float32=True)({"img_path": image})
    assert loaded["img"].dtype == np.float32
    assert np.array_equal(loaded["img"], sample["img"])
    assert loaded["img_shape"] == loaded["ori_shape"] == (6, 8)
    instances = [{"bbox": [1, 2, 3, 4], "bbox_label": 7, "keypoints": [1, 2, 1, 3, 4, 2]}]
    known = build("LoadAnnotations", with_seg=True, with_keypoints=True)(
        {"instances": instances, "seg_map_path": segmentation}
    )
    assert known["gt_bboxes"].tolist() == [[1, 2, 3, 4]]
    assert known["gt_bboxes_labels"].tolist() == [7]
    assert known["gt_keypoints"].shape == (1, 2, 3)
    assert np.array_equal(known["gt_seg_map"], sample["gt_seg_map"])
    assert build("LoadImageFromFile", ignore_empty=True)({"img_path": str(tmp_path / "none.png")}) is None
    with pytest.raises(FileNotFoundError):
        build("LoadImageFromFile")({"img_path": str(tmp_path / "none.png")})
    with pytest.warns(DeprecationWarning, match="file_client_args is the old name of backend_args"):
        assert "file_client_args={'backend': 'disk'}" in repr(
            build("LoadImageFromFile", file_client_args={"backend": "disk"})
        )
    nested = build("ToTensor", keys=["a.b", "c"])({"a": {"b": np.ones(2)}, "c": 3})
    assert torch.is_tensor(nested["a"]["b"])
    assert nested["c"].tolist() == [3]
    assert build("ImageToTensor", keys=["img"])({"img": sample["img"]})["img"].shape == (3, 6, 8)
    for key in ("x", "a.x", "x.b"):
        with pytest.raises(KeyError, match="ToTensor: the sample has no key"):
            build("ToTensor", keys=[key])({"a": {}})


@pytest.mark.usefixtures("numbers")
def test_keys_are_mapped_there_and_back() -> None:
    add = {"type": "Add"}
    assert build("KeyMapper", transforms=add, mapping={"value": "a"})({"a": 1}) == {"a": 2}
    assert build("KeyMapper", transforms=add, mapping={"value": "a"}, auto_remap=False)({"a": 1}) == {
        "a": 1,
        "value": 2,
    }
    two = build("KeyMapper", transforms=add, mapping={"value": ["a", "b"]}, remapping={"value": ["c", ...]})
    assert two({"a": 1, "b": 5}) == {"a": 1, "b": 5, "c": 2}
    hidden = build("KeyMapper", transforms=[], mapping={"a": ..., "b": "none"}, allow_nonexist_keys=True)
    assert hidden({"a": 1}) == {"a": 1}
    assert [type(step).__name__ for step in two] == ["Add"]
    both = build("TransformBroadcaster", transforms=add, mapping={"value": ["a", "b"]})
    assert both({"a": 1, "b": 2}) == {"a": 2, "b": 3}
    shared = build("TransformBroadcaster", transforms={"type": "AddRandom"}, share_random_params=True)
    first, second = shared({"value": [0, 0]})["value"]
    assert first == second


@pytest.mark.usefixtures("numbers")
def test_choices_are_drawn_and_combined(sample: dict[str, Any]) -> None:
    np.random.seed(0)
    add, more = {"type": "Add"}, [{"type": "Add"}, {"type": "Add"}]
    choice, chance = build("RandomChoice", transforms=[add, more]), build("RandomApply", transforms=add, prob=0.5)
    assert {choice({"value": 0})["value"] for _ in range(30)} == {1, 2}
    assert {chance({"value": 0})["value"] for _ in range(30)} == {0, 1}
    assert [len(list(steps)) for steps in choice] == [1, 2]
    assert len(list(chance)) == 1
    ways = build(
        "TestTimeAug", transforms=[[add, add], [{"type": "Resize", "scale": 3}, {"type": "Resize", "scale": 4}]]
    )
    shapes = ways({"value": 0, "img": sample["img"]})["img_shape"]
    assert shapes == [(3, 3), (4, 4), (3, 3), (4, 4)]

    def pack(results: Any) -> Any:
        return {"inputs": results["img"], "data_sample": results["flip_direction"]}

    several = build("MultiScaleFlipAug", transforms=[pack], scale_factor=[0.5, 1.0], allow_flip=True)(
        {"img": sample["img"]}
    )
    assert [image.shape[:2] for image in several["inputs"]] == [(3, 4), (3, 4), (6, 8), (6, 8)]
    assert several["data_sample"] == [None, "horizontal", None, "horizontal"]
    assert build("Compose", transforms=[lambda results: None, pack])({}) is None


@pytest.mark.usefixtures("numbers")
def test_random_numbers_are_shared_while_asked() -> None:
    transform = build("AddRandom")
    assert type(transform)._methods_with_randomness == ["draw"]
    with randomness.cache_random_params(build("Compose", transforms=[transform])):
        values = {transform({"value": 0})["value"] for _ in range(3)}
        with randomness.cache_random_params(transform):
            values.add(transform({"value": 0})["value"])
    assert len(values) == 1
    assert len({transform({"value": 0})["value"] for _ in range(3)}) == 3
    assert vars(transform) == {}

    class Twice(type(transform)):  # type: ignore[misc]
        def transform(self, results: Any) -> Any:
            return [self.draw(), self.draw()]

    with (
        randomness.cache_random_params(twice := Twice()),
        pytest.raises(RuntimeError, match="at most once a sample, and draw was called twice"),
    ):
        twice({})

    @randomness.avoid_cache_randomness
    class Alone(BaseTransform):
        def transform(self, results: Any) -> Any:
            return results

    with (
        pytest.raises(RuntimeError, match="Alone must not share random numbers"),
        randomness.cache_random_params([Alone()]),
    ):
        pass
    with pytest.raises(RuntimeError, match=r"has cache_randomness on \['draw'\]"):
        randomness.avoid_cache_randomness(type(transform))
    with pytest.raises(TypeError, match="for subclasses of BaseTransform, got <class 'int'>"):
        randomness.avoid_cache_randomness(int)
    with pytest.raises(TypeError, match="for methods, whose first argument is self"):
        randomness.cache_randomness(lambda: 1)


def reject(results: Any) -> None:
    """Rejects every sample."""


CASES: list[tuple[str, dict[str, Any], type[Exception], str]] = [
    ("Resize", {}, ValueError, "give scale or scale_factor, got neither"),
    ("Resize", {"scale_factor": 2}, TypeError, "scale_factor must be a float or a tuple of two, got 2"),
    ("Pad", {}, ValueError, "give size, size_divisor or pad_to_square"),
    ("Pad", {"size": (1, 1), "size_divisor": 3}, ValueError, "size is given, so leave out size_divisor=3"),
    ("Pad", {"size": (1, 1), "pad_val": 0.5}, TypeError, "pad_val must be a whole number or a dict"),
    ("Pad", {"size": (1, 1), "padding_mode": "x"}, ValueError, "padding_mode must be one of constant, .* got 'x'"),
    ("CenterCrop", {"crop_size": [1, 2]}, TypeError, r"a whole number or a tuple \(W, H\), got \[1, 2\]"),
    ("CenterCrop", {"crop_size": (1, 0)}, ValueError, r"crop_size must be 1 or more, got \(1, 0\)"),
    ("CenterCrop", {"crop_size": 1, "auto_pad": True, "pad_cfg": {"size": 3}}, ValueError, "leave it out of pad_cfg"),
    ("RandomFlip", {}, ValueError, "prob must be a float, or a list of them, from 0 to 1 in sum, got None"),
    ("RandomFlip", {"prob": 0.5, "direction": "left"}, ValueError, "horizontal, vertical, diagonal, got 'left'"),
    ("RandomFlip", {"prob": [0.5], "direction": ["vertical"] * 2}, ValueError, "prob must have one number a direction"),
    ("RandomGrayscale", {"prob": 2.0}, ValueError, "prob must be within 0 and 1, got 2.0"),
    ("RandomGrayscale", {"color_format": "gbr"}, ValueError, "color_format must be 'bgr' or 'rgb', got 'gbr'"),
    ("RandomChoiceResize", {"scales": [0.5]}, TypeError, r"a scale must be a tuple \(W, H\) or a whole number"),
    ("MultiScaleFlipAug", {"transforms": [], "scales": [3]}, TypeError, r"scales must be tuples \(W, H\), got \[3\]"),
    ("MultiScaleFlipAug", {"transforms": [], "flip_direction": 3}, TypeError, "flip_direction must be names, got 3"),
    ("Compose", {"transforms": [[]]}, TypeError, r"must be a callable or a dict with 'type', got \[\]"),
    ("RandomChoice", {"transforms": [reject], "prob": [0.5]}, ValueError, "each of the 1 choices a share, 1 in sum"),
    ("RandomApply", {"transforms": reject, "prob": 2}, ValueError, "prob must be within 0 and 1, got 2"),
    ("KeyMapper", {"remapping": {}, "auto_remap": True}, ValueError, "takes the place of remapping"),
]


@pytest.mark.parametrize(("kind", "keywords", "error", "message"), CASES)
def test_transforms_of_images_refuse_nonsense(
    kind: str, keywords: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        build(kind, **keywords)


SAMPLES: list[tuple[str, dict[str, Any], dict[str, Any], type[Exception], str]] = [
    ("RandomGrayscale", {"channel_weights": (1, 2)}, {"img": np.ones((2, 2, 3))}, ValueError, "each of the 3 channels"),
    ("RandomResize", {"scale": (2, 2)}, {}, ValueError, "one scale needs ratio_range, a pair, got None"),
    ("RandomResize", {"scale": (2, 2), "ratio_range": (2, 1)}, {}, ValueError, r"must be \(lowest, highest\)"),
    ("RandomResize", {"scale": [(2, 2)]}, {}, ValueError, "or a list of two of them"),
    ("RandomResize", {"scale": 3}, {}, ValueError, r"scale must be a tuple \(W, H\) or a list"),
    ("KeyMapper", {"mapping": {"x": "a"}}, {"b": 1}, SampleError, "needs the key 'a', and the sample has b"),
    ("KeyMapper", {"remapping": {"x": "a"}}, {"b": 1}, SampleError, "remapping needs the key 'x' after"),
    ("KeyMapper", {"remapping": {"b": ["a"]}}, {"b": 1}, SampleError, "remapping needs a sequence of 1, got 1"),
    ("KeyMapper", {"remapping": {"b": {"a": "c"}}}, {"b": 1}, SampleError, "remapping needs a dict with a, got int"),
    ("KeyMapper", {"transforms": reject}, {"b": 1}, SampleError, "its transforms cannot reject a sample"),
    ("TransformBroadcaster", {"transforms": []}, {}, ValueError, "there is nothing to go over"),
    ("TransformBroadcaster", {"transforms": []}, {"a": 3}, TypeError, "'a' must be a sequence of items, got int"),
    ("TransformBroadcaster", {"transforms": []}, {"a": [1], "b": [1, 2]}, ValueError, "different lengths: {'a': 1"),
    ("TestTimeAug", {"transforms": [[reject]]}, {}, SampleError, "a sample cannot be rejected"),
]


@pytest.mark.parametrize(("kind", "keywords", "results", "error", "message"), SAMPLES)
def test_samples_that_do_not_fit_are_refused(
    kind: str, keywords: dict[str, Any], results: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        build(kind, **keywords)(results)


def test_an_unknown_image_transform_is_an_error_with_the_nearest_names() -> None:
    with pytest.raises(KinemaError, match="RandomFlop is not in the transform registry: did you mean RandomFlip"):
        build("RandomFlop")


def test_methods_that_users_override_are_called(sample: dict[str, Any]) -> None:
    from kinema.compat.parts.image_transforms.geometry import Resize

    class Nothing(Resize):
        def _resize_img(self, results: Any) -> None:
            results["scale_factor"] = (1.0, 1.0)
            results["img_shape"] = results["img"].shape[:2]

    IMAGE_TRANSFORMS.register_module(module=Nothing)
    try:
        assert build("Nothing", scale=3)(sample)["img"].shape == (6, 8, 3)
    finally:
        for registry in (IMAGE_TRANSFORMS, TRANSFORMS):
            del registry._users["Nothing"]
