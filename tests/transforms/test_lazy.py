import random

import cv2
import numpy as np
import pytest

from kinema.errors import SampleValueError
from kinema.transforms import (
    CenterCrop,
    Compose,
    Flip,
    Fuse,
    MultiScaleCrop,
    RandomCrop,
    RandomResizedCrop,
    Resize,
    ThreeCrop,
)


def frames_of(height, width, num_frames=3):
    return np.random.default_rng(0).integers(0, 256, (num_frames, height, width, 3), dtype=np.uint8)


def sample_of(height, width, *, as_list=False, **keys):
    frames = frames_of(height, width)
    return {"imgs": list(frames) if as_list else frames, "img_shape": (height, width), "modality": "RGB", **keys}


def seed_all(seed=0):
    random.seed(seed)
    np.random.seed(seed)


@pytest.mark.parametrize("as_list", [True, False])
@pytest.mark.parametrize("flip_ratio", [0.0, 1.0])
def test_lazy_steps_touch_no_pixel_until_they_are_done_at_once(as_list, flip_ratio):
    sample = sample_of(240, 320, as_list=as_list)
    before = sample["imgs"]
    steps = [
        Resize((-1, 256), lazy=True),
        RandomResizedCrop(lazy=True),
        Resize((224, 224), keep_ratio=False, lazy=True),
        Flip(flip_ratio, lazy=True),
    ]
    seed_all()
    sample = Compose(steps)(sample)
    assert sample["imgs"] is before
    assert (sample["img_shape"], sample["flip"]) == ((224, 224), flip_ratio == 1)

    left, top, right, bottom = sample["crop_bbox"]  # in frames of 341x256
    box = [round(left * 320 / 341), round(top * 240 / 256), round(right * 320 / 341), round(bottom * 240 / 256)]
    assert sample["lazy"]["crop_bbox"].round().tolist() == box
    expected = [cv2.resize(frame[box[1] : box[3], box[0] : box[2]], (224, 224)) for frame in frames_of(240, 320)]
    fused = Fuse()(sample)
    assert np.array_equal(fused["imgs"], np.stack(expected)[:, :, :: -1 if flip_ratio else 1])
    assert "lazy" not in fused


@pytest.mark.parametrize(
    "crop", [CenterCrop, RandomCrop, lambda size, lazy: MultiScaleCrop(size, (1, 0.8), random_crop=True, lazy=lazy)]
)
def test_a_lazy_crop_alone_gives_the_pixels_of_the_crop(crop):
    seed_all(3)
    at_once = crop(32, lazy=False)(sample_of(48, 64))
    seed_all(3)
    later = Fuse()(crop(32, lazy=True)(sample_of(48, 64)))
    assert np.array_equal(at_once["imgs"], later["imgs"])
    for key in ("crop_bbox", "crop_quadruple", "img_shape"):
        assert np.array_equal(at_once[key], later[key])


def test_lazy_crops_of_crops_add_up():
    later = Compose([CenterCrop(40, lazy=True), CenterCrop((20, 10), lazy=True), Fuse()])(sample_of(48, 64))
    assert np.array_equal(later["imgs"], frames_of(48, 64)[:, 19:29, 22:42])


def test_the_last_lazy_resize_chooses_the_interpolation():
    steps = [Resize((-1, 24), lazy=True), Resize((30, 20), False, "nearest", lazy=True), Fuse()]
    expected = [cv2.resize(frame, (30, 20), interpolation=cv2.INTER_NEAREST) for frame in frames_of(48, 64)]
    assert np.array_equal(Compose(steps)(sample_of(48, 64))["imgs"], expected)


def test_a_lazy_flip_changes_the_label_at_once_and_flow_turns_its_sign():
    sample = sample_of(8, 10, label=1)
    sample["imgs"], sample["modality"] = sample["imgs"][..., :2], "Flow"
    fused = Fuse()(Flip(1.0, flip_label_map={1: 2}, lazy=True)(dict(sample)))
    assert fused["label"] == 2
    assert np.array_equal(fused["imgs"], Flip(1.0)(dict(sample))["imgs"])


@pytest.mark.parametrize(
    ("steps", "keys", "message"),
    [
        ([Fuse()], {}, "Fuse: no lazy step came before it: give lazy=True"),
        ([CenterCrop(8, lazy=True), Resize(0.5)], {}, "Resize: lazy steps wait to be done: put Fuse behind the last"),
        ([CenterCrop(8, lazy=True), ThreeCrop(8)], {}, "ThreeCrop: lazy steps wait to be done"),
        ([Flip(1.0, lazy=True), CenterCrop(8, lazy=True)], {}, "CenterCrop: of the lazy steps, Flip must be the last"),
        ([Flip(1.0, lazy=True), Flip(1.0, lazy=True)], {}, "Flip must be the last, and there can be one only"),
        ([Resize(0.5, lazy=True)], {"keypoint": 1}, "Resize: lazy=True moves frames only, and this sample has 'keypoint'"),
        ([Flip(lazy=True)], {"gt_bboxes": 1}, "Flip: lazy=True moves frames only, and this sample has 'gt_bboxes'"),
    ],
)  # fmt: skip
def test_lazy_steps_in_a_wrong_order_are_named(steps, keys, message):
    with pytest.raises(SampleValueError, match=message):
        Compose(steps)(sample_of(20, 30, **keys))
