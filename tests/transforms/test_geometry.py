import random

import cv2
import numpy as np
import pytest

from kinema.errors import SampleValueError
from kinema.transforms import (
    CenterCrop,
    Flip,
    FormatShape,
    MultiScaleCrop,
    RandomCrop,
    RandomRescale,
    RandomResizedCrop,
    Resize,
    TenCrop,
    ThreeCrop,
)
from kinema.transforms.cropping import multi_scale_sizes
from kinema.transforms.geometry import rescale_size


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
    assert Flip(1.0, flip_label_map={"3": 4})(sample_of(6, 8, label=3))["label"] == 4  # a config in JSON has no others
    unflipped = Flip(0.0, flip_label_map={3: 4})(sample_of(6, 8, label=3))
    assert (unflipped["label"], unflipped["flip"]) == (3, False)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Flip(flip_label_map={"left": 1}), r"must map labels to labels, \{0: 1, 1: 0\}, got \{'left': 1\}"),
        (lambda: Resize(0), "scale must be above 0, got 0"),
        (lambda: Resize((-1, -1)), "at most one -1"),
        (lambda: Resize((-1, 20), keep_ratio=False), r"keep_ratio=False needs scale=\(width, height\)"),
        (lambda: Resize(0.5, interpolation="cubic"), "interpolation must be one of nearest, .*, got 'cubic'"),
        (lambda: CenterCrop((1, 2, 3)), r"crop_size must be one or two .*, got \(1, 2, 3\)"),
        (lambda: RandomCrop((3, 4)), "size is the side of a square"),
        (lambda: RandomResizedCrop((0.0, 1.0)), "area_range must be two numbers, 0 < low <= high"),
        (lambda: RandomResizedCrop((0.5, 1.5)), r"area_range holds shares of the frame, at most 1, got \(0.5, 1.5\)"),
        (lambda: Flip(left_kp=[1, 2], right_kp=[3]), r"left_kp and right_kp must be lists of one length, got \[1, 2\]"),
        (lambda: Flip(1.5), "flip_ratio must be within 0 and 1, got 1.5"),
        (lambda: Flip(direction="diagonal"), "direction must be 'horizontal' or 'vertical', got 'diagonal'"),
    ],
)
def test_bad_arguments_are_named(make, message) -> None:
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("crop", [CenterCrop(50), RandomCrop(50), CenterCrop(50, lazy=True)])
def test_a_crop_larger_than_the_frames_is_refused(crop) -> None:
    with pytest.raises(
        SampleValueError, match=r"a crop of 50x50 .* does not fit frames of 64x48: put a Resize .*\(a.mp4\)"
    ):
        crop(sample_of(48, 64, filename="a.mp4"))


def test_multi_scale_crop_draws_the_published_boxes():
    scales = (1, 0.875, 0.75, 0.66)
    seed_all()
    result = MultiScaleCrop(224, scales, 1, False, 5)(sample_of(256, 340))
    assert result["crop_bbox"].tolist() == [148, 64, 340, 256]
    assert result["scales"] == scales
    random.seed(1)
    assert MultiScaleCrop(224, scales, 1, False, 13)(sample_of(256, 340))["crop_bbox"].tolist() == [21, 8, 277, 232]


def test_multi_scale_sizes_mix_neighbouring_shares():
    assert multi_scale_sizes((80, 40), [1, 0.5, 0.25], 1) == [
        (40, 40),
        (20, 40),
        (40, 20),
        (20, 20),
        (10, 20),
        (20, 10),
        (10, 10),
    ]


def test_multi_scale_crop_takes_the_final_size_when_it_is_near_and_fits():
    assert MultiScaleCrop(39, [1])(sample_of(40, 60))["img_shape"] == (39, 39)
    assert MultiScaleCrop(41, [1])(sample_of(40, 60))["img_shape"] == (40, 41)


@pytest.mark.parametrize("seed", range(5))
def test_multi_scale_crop_may_lie_anywhere(seed):
    random.seed(seed)
    result = MultiScaleCrop(32, [0.5], random_crop=True)(sample_of(40, 60))
    left, top, right, bottom = result["crop_bbox"]
    assert (right - left, bottom - top) == (20, 20)
    assert np.array_equal(result["imgs"], frames_of(40, 60)[:, top:bottom, left:right])


@pytest.mark.parametrize("as_list", [True, False])
def test_three_crop_takes_left_right_middle(as_list):
    result = ThreeCrop(224)(sample_of(224, 298, as_list=as_list))
    assert [box.tolist() for box in result["crop_bbox"][::3]] == [[x, 0, x + 224, 224] for x in (0, 74, 37)]
    expected = np.concatenate([frames_of(224, 298)[:, :, x : x + 224] for x in (0, 74, 37)])
    assert np.array_equal(np.stack(result["imgs"]), expected)
    assert result["img_shape"] == (224, 224)


def test_three_crop_of_portrait_frames_takes_top_bottom_middle():
    result = ThreeCrop((20, 20))(sample_of(31, 20))
    assert [box.tolist() for box in result["crop_bbox"][::3]] == [[0, y, 20, y + 20] for y in (0, 10, 5)]


def test_ten_crop_takes_corners_and_centre_plain_and_mirrored():
    result = TenCrop(224)(sample_of(256, 341))
    places = [(0, 0), (116, 0), (0, 32), (116, 32), (58, 16)]
    expected = []
    for x, y in places:
        crop = frames_of(256, 341)[:, y : y + 224, x : x + 224]
        expected += [crop, crop[:, :, ::-1]]
    assert np.array_equal(np.stack(result["imgs"]), np.concatenate(expected))
    assert [box[:2].tolist() for box in result["crop_bbox"][::6]] == [list(place) for place in places]


def test_several_crops_become_views():
    sample = ThreeCrop(24)(sample_of(24, 40))
    views = FormatShape("NCTHW")({**sample, "clip_len": 3})["imgs"]
    assert views.shape == (3, 3, 3, 24, 24)
    assert np.array_equal(views[2, 1, 0], frames_of(24, 40)[0, :, 8:32, 1])


def test_random_rescale_draws_the_published_size():
    np.random.seed(0)
    result = RandomRescale((256, 320))(sample_of(360, 640))
    assert (result["short_edge"], result["img_shape"]) == (300, (300, 533))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MultiScaleCrop(0), "MultiScaleCrop: input_size must be one or two .* whole numbers above 0, got 0"),
        (lambda: MultiScaleCrop(32, [1.5]), r"scales must be shares of the short side, .* got \[1.5\]"),
        (lambda: MultiScaleCrop(32, num_fixed_crops=9), "num_fixed_crops must be 5 or 13, got 9"),
        (
            lambda: ThreeCrop(24)(sample_of(30, 40)),
            "the crop of 24x24 .* must have the width or height of the frames, 40x30",
        ),
        (lambda: TenCrop(64)(sample_of(30, 40)), "TenCrop: a crop of 64x64 .* does not fit frames of 40x30"),
        (
            lambda: RandomRescale((320, 256)),
            r"scale_range must be two whole numbers, 0 < low <= high, got \(320, 256\)",
        ),
        (lambda: RandomRescale((224.0, 256)), r"scale_range must be two whole numbers, .* got \(224\.0, 256\)"),
        (lambda: RandomRescale((20, 30), "cubic"), "interpolation must be one of"),
    ],
)
def test_bad_arguments_of_the_other_crops_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("kind", [tuple, list])
def test_sizes_scales_and_ranges_are_tuples_or_lists(kind):
    seed_all()
    wide, square = kind((60, 50)), kind((40, 40))
    for step in (
        Resize(wide, keep_ratio=False),
        RandomResizedCrop(kind((0.1, 1.0)), kind((0.75, 1.3))),
        Resize(wide, keep_ratio=False),
        RandomRescale(kind((48, 52))),
        MultiScaleCrop(square, kind((1, 0.9))),
        CenterCrop(square),
        RandomCrop(square),
        TenCrop(kind((32, 40))),
        ThreeCrop(kind((20, 40))),
    ):
        sample = step(sample_of(48, 64) if step.__class__ is Resize else sample)  # noqa: F821 - the first is a Resize
    assert sample["img_shape"] == (40, 20)
    assert len(sample["imgs"]) == 3 * 10 * 3


def test_frames_without_a_noted_size_are_measured():
    sample = CenterCrop(16)({"imgs": list(frames_of(24, 40))})
    assert sample["crop_bbox"].tolist() == [12, 4, 28, 20]


def test_frames_of_different_sizes_are_resized_to_one():
    frames = [frames_of(24, 40)[0], frames_of(20, 40)[0]]
    result = Resize((40, 24), keep_ratio=False)({"imgs": frames})
    assert np.array_equal(result["imgs"], [frames[0], cv2.resize(frames[1], (40, 24))])


def test_no_frames_are_named():
    with pytest.raises(SampleValueError, match=r"Resize: the sample has no frames \(a.mp4\)"):
        Resize(0.5)({"imgs": [], "filename": "a.mp4"})


@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic", "area", "lanczos"])
def test_frames_of_any_kind_are_resized_as_opencv_does(channels, interpolation):
    frames = np.random.default_rng(0).integers(0, 256, (2, 30, 40, channels), dtype=np.uint8)
    result = Resize((21, 17), keep_ratio=False, interpolation=interpolation)({"imgs": frames})["imgs"]
    flag = getattr(cv2, {"bilinear": "INTER_LINEAR", "bicubic": "INTER_CUBIC", "lanczos": "INTER_LANCZOS4"}.get(
        interpolation, f"INTER_{interpolation.upper()}"))  # fmt: skip
    expected = [cv2.resize(frame, (21, 17), interpolation=flag).reshape(17, 21, channels) for frame in frames]
    assert np.array_equal(result, expected)


def test_multi_scale_crop_of_small_frames_stays_inside():
    random.seed(0)
    sample = MultiScaleCrop(224, (1, 0.99))(sample_of(222, 300))
    left, top, right, bottom = sample["crop_bbox"]
    assert 0 <= left < right <= 300
    assert 0 <= top < bottom <= 222


def test_random_resized_crop_of_a_few_pixels_is_never_empty():
    seed_all()
    for _ in range(50):
        assert min(RandomResizedCrop()(sample_of(1, 2))["img_shape"]) == 1
