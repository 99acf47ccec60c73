import numpy as np
import pytest

from kinema.errors import SampleValueError
from kinema.transforms import CenterCrop, Compose, Flip, RandomCrop, RandomResizedCrop, Resize, TenCrop, ThreeCrop
from kinema.transforms.points_and_boxes import swapped_joints

DOT = np.array([40.0, 10.0])  # a bright pixel, x and y, in frames of 64x48


def sample_with_a_dot(**keys):
    frames = np.zeros((2, 48, 64, 3), dtype=np.uint8)
    frames[:, 10, 40] = 255
    joints = np.tile(DOT, (1, 2, 3, 1)).astype(np.float32)  # one person, 2 frames, 3 joints
    return {"imgs": frames, "img_shape": (48, 64), "modality": "RGB", "keypoint": joints, **keys}


class EdgeCrop(RandomCrop):
    """A crop as users of MMAction2 write them: it calls the steps of the class that it derives from."""

    def transform(self, results):
        box = np.array([30, 5, 60, 45])
        results["imgs"] = self._crop_imgs(results["imgs"], box)
        results["keypoint"] = self._crop_kps(results["keypoint"], box)
        return self._all_box_crop(results, box)


def test_subclasses_find_the_steps_that_they_call():
    cropped = EdgeCrop(4)(sample_with_a_dot(gt_bboxes=np.array([[20.0, 10, 80, 40]])))
    assert cropped["imgs"][0].shape == (40, 30, 3)
    assert cropped["keypoint"][0, 0, 0].tolist() == [10, 5]
    assert cropped["gt_bboxes"].tolist() == EdgeCrop._box_crop(np.array([[20, 10, 80, 40]]), [30, 5, 60, 45]).tolist()
    assert cropped["gt_bboxes"].tolist() == [[0, 5, 29, 35]]
    resize, flip = Resize((32, 24)), Flip(left_kp=[0], right_kp=[1])
    assert resize._resize_imgs(cropped["imgs"], 15, 20)[1].shape == (20, 15, 3)
    assert resize._resize_kps(np.ones(2), np.array([2, 3])).tolist() == [2, 3]
    assert resize._box_resize(np.ones(4), [2, 3]).tolist() == [2, 3, 2, 3]
    assert dot_in(np.array(flip._flip_imgs(cropped["imgs"], "RGB"))) == [19, 5]
    joints, scores = flip._flip_kps(np.array([[[[10.0, 5], [20, 6]]]]), np.array([[[0.1, 0.2]]]), 30)
    assert (joints.tolist(), scores.tolist()) == ([[[[10, 6], [20, 5]]]], [[[0.2, 0.1]]])
    assert flip._box_flip(np.array([1, 2, 9, 4]), 30).tolist() == [21, 2, 29, 4]


class Whole(RandomCrop):
    """A crop that leaves the frames as they are."""

    def _crop_imgs(self, imgs, crop_bbox):
        return imgs


def test_steps_that_subclasses_override_are_called():
    assert Whole(8)(sample_with_a_dot())["imgs"].shape == (2, 48, 64, 3)
    flip = type("Own", (Flip,), {"_box_flip": staticmethod(lambda box, img_width: box - img_width)})
    sample = sample_with_a_dot(gt_bboxes=np.array([[20.0, 10, 80, 40]]))
    assert flip(1.0, left_kp=[], right_kp=[])(sample)["gt_bboxes"].tolist() == [[-44, -54, 16, -24]]


def dot_in(frames):
    rows, columns = np.nonzero(frames[0, ..., 0])
    return [columns.mean(), rows.mean()]


@pytest.mark.parametrize("only_joints", [True, False])
def test_joints_stay_on_the_pixel_they_mark(only_joints):
    flip = Flip(1.0, left_kp=[1], right_kp=[2])
    sample = sample_with_a_dot()
    if only_joints:
        del sample["imgs"]
    cropped = CenterCrop((50, 40))(sample)
    assert cropped["keypoint"][0, 0, 0].tolist() == [33, 6]
    if not only_joints:
        assert dot_in(cropped["imgs"]) == [33, 6]
    doubled = Resize((100, 80), keep_ratio=False)(cropped)
    assert doubled["keypoint"][0, 1, 2].tolist() == [66, 12]
    mirrored = flip(doubled)
    assert mirrored["keypoint"][0, 0, 0].tolist() == [
        34,
        12,
    ]  # width - x, as published: the pixel itself is at width - 1 - x
    assert ("imgs" in mirrored) is not only_joints


def test_joints_of_left_and_right_change_places_and_missing_ones_stay():
    joints = np.array([[[[5, 1], [6, 2], [0, 0], [7, 3]]]], dtype=np.float32)
    scores = np.array([[[0.1, 0.2, 0.3, 0.4]]])
    sample = {"keypoint": joints, "keypoint_score": scores, "img_shape": (10, 20)}
    result = Flip(1.0, left_kp=[1], right_kp=[3])(dict(sample))
    assert result["keypoint"][0, 0].tolist() == [[15, 1], [13, 3], [0, 0], [14, 2]]
    assert result["keypoint_score"][0, 0].tolist() == [0.1, 0.4, 0.3, 0.2]
    assert joints[0, 0, 0, 0] == 5  # what was given is left alone
    assert Flip(0.0, left_kp=[1], right_kp=[3])(dict(sample))["keypoint"] is joints


def test_joints_may_have_no_sides():
    assert swapped_joints(3, [], []) == [0, 1, 2]
    result = Flip(1.0, left_kp=[], right_kp=[])(sample_with_a_dot())
    assert result["keypoint"][0, 0, 0].tolist() == [24, 10]


def test_a_random_crop_moves_joints_by_its_corner():
    np.random.seed(1)
    result = RandomResizedCrop()(sample_with_a_dot())
    assert (DOT - result["keypoint"][0, 0, 0]).tolist() == result["crop_bbox"][:2].tolist()


def test_boxes_are_scaled_cut_and_mirrored():
    boxes = np.array([[4, 2, 40, 30], [0, 0, 64, 48]], dtype=np.float32)
    sample = {"imgs": np.zeros((1, 48, 64, 3), dtype=np.uint8), "gt_bboxes": boxes, "proposals": boxes[:1]}
    result = Resize((128, 96))(sample)
    assert result["gt_bboxes"].tolist() == [[8, 4, 80, 60], [0, 0, 128, 96]]
    result = CenterCrop((64, 48))(result)  # from (32, 24)
    assert result["gt_bboxes"].tolist() == [[0, 0, 48, 36], [0, 0, 63, 47]]
    result = Flip(1.0)(result)
    assert result["gt_bboxes"].tolist() == [[16, 0, 64, 36], [1, 0, 64, 47]]
    assert result["proposals"].tolist() == [[16, 0, 64, 36]]
    assert Flip(1.0)({**sample, "proposals": None})["proposals"] is None


@pytest.mark.parametrize(
    ("steps", "keys", "message"),
    [
        ([Flip(0.0)], {}, "to mirror 'keypoint' it needs left_kp and right_kp"),
        ([Flip(0.0, "vertical", left_kp=[1], right_kp=[2])], {}, "'keypoint' can be mirrored horizontally only"),
        ([ThreeCrop(48)], {}, "ThreeCrop: 'keypoint' belongs to one view only: take CenterCrop"),
        ([TenCrop(20)], {"gt_bboxes": np.zeros((1, 4))}, "TenCrop: 'keypoint' belongs to one view only"),
        (
            [Flip(0.0, flip_label_map={1: 2}, left_kp=[1], right_kp=[2])],
            {"label": [1, 2]},
            r"flip_label_map is for samples with one label, a whole number, got \[1, 2\]",
        ),
    ],
)
def test_what_cannot_be_moved_is_named(steps, keys, message):
    with pytest.raises(SampleValueError, match=message):
        Compose(steps)(sample_with_a_dot(**keys))
