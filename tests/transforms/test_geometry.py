import random

import cv2
import numpy as np
import pytest

from kinema.transforms import CenterCrop, Flip, RandomCrop, RandomResizedCrop, Resize, rescale_size


def frames_of(height, width, num_frames=3):
    return np.random.default_rng(0).integers(0, 256, (num_frames, height, width, 3), dtype=np.uint8)


def sample_of(height, width, *, as_list=False, **keys):
    frames = frames_of(height, width)
    return {"imgs": list(frames) if as_list else frames, "img_shape": (height, width), **keys}


def seed_all() -> None:
    random.seed(0)
    np.random.seed(0)


@pytest.mark.parametrize(
    ("size", "scale", "expected"),
    [
        ((340, 256), (np.inf, 256), (340, 256)),
        ((640, 360), (np.inf, 256), (455, 256)),
        ((320, 240), (np.inf, 224), (299, 224)),
        ((1280, 720), (340, 256), (340, 191)),
        ((100, 80), 0.5, (50, 40)),
    ],
)
def test_rescale_size_gives_the_published_sizes(size, scale, expected) -> None:
    assert rescale_size(size, scale) == expected


def test_rescale_size_refuses_what_is_no_scale() -> None:
    with pytest.raises(ValueError, match="scale must be above 0, got -1"):
        rescale_size((10, 10), -1)
    with pytest.raises(TypeError, match="scale must be a number or two numbers"):
        rescale_size((10, 10), "big")


@pytest.mark.parametrize("as_list", [True, False])
@pytest.mark.parametrize("scale", [(-1, 32), [-1, 32], (32, -1)])
def test_resize_to_a_short_side_is_opencvs_bilinear(as_list, scale) -> None:
    sample = sample_of(48, 64, as_list=as_list)
    expected = [cv2.resize(frame, (43, 32), interpolation=cv2.INTER_LINEAR) for frame in frames_of(48, 64)]
    result = Resize(scale)(sample)
    assert np.array_equal(np.stack(list(result["imgs"])), np.stack(expected))
    assert result["img_shape"] == (32, 43)
    assert np.allclose(result["scale_factor"], [43 / 64, 32 / 48])


def test_resize_to_a_fixed_size_accumulates_the_factor() -> None:
    result = Resize((20, 12), keep_ratio=False)(Resize(0.5)(sample_of(48, 64)))
    assert np.asarray(result["imgs"]).shape == (3, 12, 20, 3)
    assert result["keep_ratio"] is False
    assert np.allclose(result["scale_factor"], [20 / 64, 12 / 48])


def test_resize_of_flipped_frames_equals_resize_of_their_copy() -> None:
    flipped = Flip(1.0)(sample_of(48, 64))
    copied = {**flipped, "imgs": np.ascontiguousarray(flipped["imgs"])}
    assert np.array_equal(Resize((-1, 24))(flipped)["imgs"], Resize((-1, 24))(copied)["imgs"])


def test_center_crop_takes_the_published_box() -> None:
    result = CenterCrop(224)(sample_of(257, 341))
    assert result["crop_bbox"].tolist() == [58, 16, 282, 240]
    assert np.array_equal(result["imgs"], frames_of(257, 341)[:, 16:240, 58:282])
    assert result["img_shape"] == (224, 224)


def test_crops_are_views() -> None:
    sample = sample_of(48, 64)
    assert np.shares_memory(CenterCrop((32, 16))(dict(sample))["imgs"], sample["imgs"])


def test_random_crops_draw_the_published_boxes() -> None:
    seed_all()
    assert RandomResizedCrop()(sample_of(256, 340))["crop_bbox"].tolist() == [49, 26, 285, 235]
    seed_all()
    assert RandomCrop(224)(sample_of(256, 340))["crop_bbox"].tolist() == [47, 12, 271, 236]


def test_crop_quadruple_tells_the_part_of_the_first_frame() -> None:
    result = CenterCrop(16)(CenterCrop((32, 24))(sample_of(48, 64)))
    assert np.allclose(result["crop_quadruple"], [24 / 64, 16 / 48, 16 / 64, 16 / 48])


def test_random_resized_crop_falls_back_to_the_centre() -> None:
    result = RandomResizedCrop(area_range=(1.0, 1.0), aspect_ratio_range=(1.0, 1.0))(sample_of(20, 60))
    assert result["crop_bbox"].tolist() == [20, 0, 40, 20]


@pytest.mark.parametrize("as_list", [True, False])
@pytest.mark.parametrize(("direction", "axis"), [("horizontal", 2), ("vertical", 1)])
def test_flip_mirrors_all_frames(as_list, direction, axis) -> None:
    result = Flip(1.0, direction)(sample_of(6, 8, as_list=as_list))
    assert np.array_equal(np.stack(list(result["imgs"])), np.flip(frames_of(6, 8), axis))
    assert (result["flip"], result["flip_direction"]) == (True, direction)


def test_flip_maps_the_label_only_when_it_mirrors() -> None:
    assert Flip(1.0, flip_label_map={3: 4})(sample_of(6, 8, label=3))["label"] == 4
    assert Flip(1.0, flip_label_map={3: 4})(sample_of(6, 8, label=5))["label"] == 5
    unflipped = Flip(0.0, flip_label_map={3: 4})(sample_of(6, 8, label=3))
    assert (unflipped["label"], unflipped["flip"]) == (3, False)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Resize(0), "scale must be above 0, got 0"),
        (lambda: Resize((-1, -1)), "at most one -1"),
        (lambda: Resize((-1, 20), keep_ratio=False), r"keep_ratio=False needs scale=\(width, height\)"),
        (lambda: Resize(0.5, interpolation="cubic"), "interpolation must be one of nearest, .*, got 'cubic'"),
        (lambda: Resize(0.5, lazy=True), "Resize: lazy=True is not supported"),
        (lambda: CenterCrop((1, 2, 3)), r"crop_size must be one or two .*, got \(1, 2, 3\)"),
        (lambda: RandomCrop((3, 4)), "size is the side of a square"),
        (lambda: RandomResizedCrop((0.0, 1.0)), "area_range must be two numbers, 0 < low <= high"),
        (lambda: Flip(1.5), "flip_ratio must be within 0 and 1, got 1.5"),
        (lambda: Flip(direction="diagonal"), "direction must be 'horizontal' or 'vertical', got 'diagonal'"),
    ],
)
def test_bad_arguments_are_named(make, message) -> None:
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("crop", [CenterCrop(50), RandomCrop(50)])
def test_a_crop_larger_than_the_frames_is_refused(crop) -> None:
    with pytest.raises(ValueError, match=r"a crop of 50x50 .* does not fit frames of 64x48: put a Resize .*\(a.mp4\)"):
        crop(sample_of(48, 64, filename="a.mp4"))
