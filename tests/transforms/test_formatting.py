import numpy as np
import pytest
import torch

from kinema.errors import SampleError, SampleValueError
from kinema.transforms import BuildPseudoClip, FormatShape, PackActionInputs


def test_format_shape_orders_the_axes() -> None:
    frames = np.arange(24 * 4 * 5 * 3, dtype=np.uint8).reshape(24, 4, 5, 3)
    clips = FormatShape("NCTHW")({"imgs": list(frames), "clip_len": 4})
    assert clips["imgs"].shape == clips["input_shape"] == (6, 3, 4, 4, 5)
    assert np.array_equal(clips["imgs"][1, 2, 3], frames[7, :, :, 2])
    images = FormatShape("NCHW")({"imgs": frames})["imgs"]
    assert np.array_equal(images[7, 2], frames[7, :, :, 2])
    assert FormatShape("NCTHW", collapse=True)({"imgs": frames, "clip_len": 24})["imgs"].shape == (3, 24, 4, 5)


@pytest.mark.parametrize("num_crops", [1, 3])
def test_views_are_crops_times_clips(num_crops):
    frames = np.random.default_rng(0).integers(0, 256, (num_crops * 2 * 4, 4, 5, 3), dtype=np.uint8)
    views = FormatShape("NCTHW")({"imgs": list(frames), "clip_len": 4, "num_clips": 2})["imgs"]
    assert (views.shape, views.dtype) == ((num_crops * 2, 3, 4, 4, 5), np.uint8)
    for crop, clip, frame in np.ndindex(num_crops, 2, 4):
        source = frames[(crop * 2 + clip) * 4 + frame]
        assert np.array_equal(views[crop * 2 + clip, :, frame], source.transpose(2, 0, 1))


@pytest.mark.parametrize("channels", [2, 3])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_crops_and_mirror_images_are_copied_as_they_are(channels, dtype):
    frames = np.random.default_rng(0).integers(0, 256, (6, 9, 12, channels), dtype=np.uint8).astype(dtype)
    mirrored = frames[:, :, ::-1]
    for view in (frames, frames[:, 2:7, 3:8], mirrored, mirrored[:, 1:5, 2:9], frames[:, ::-1], mirrored[:, ::-1, 1:5]):
        clips = FormatShape("NCTHW")({"imgs": view, "clip_len": 3})["imgs"]
        assert np.array_equal(clips, view.reshape(2, 3, *view.shape[1:]).transpose(0, 4, 1, 2, 3))
        assert clips.flags.c_contiguous
        images = FormatShape("NCHW")({"imgs": list(view)})["imgs"]
        assert np.array_equal(images, view.transpose(0, 3, 1, 2))
        assert images.flags.c_contiguous


def test_heat_maps_of_joints_get_their_clips_first():
    heatmaps = np.random.default_rng(0).random((12, 17, 4, 5), dtype=np.float32)
    alone = FormatShape("NCTHW_Heatmap")({"imgs": heatmaps, "clip_len": 6, "num_clips": 2})
    assert (alone["input_shape"], alone["imgs"].dtype) == ((2, 17, 6, 4, 5), np.float32)
    assert np.array_equal(alone["imgs"][1, 3, 2], heatmaps[8, 3])
    frames = np.zeros((8, 4, 5, 3), dtype=np.uint8)
    both = {"imgs": frames, "heatmap_imgs": heatmaps, "clip_len": {"RGB": 4, "Pose": 6}, "num_clips": 2}
    both = FormatShape("NCTHW")(both)
    assert both["input_shape"] == (2, 3, 4, 4, 5)
    assert both["heatmap_input_shape"] == both["heatmap_imgs"].shape == (2, 17, 6, 4, 5)
    only = FormatShape("NCTHW")({"heatmap_imgs": heatmaps, "clip_len": {"Pose": 6}, "num_clips": 2})
    assert np.array_equal(only["heatmap_imgs"], alone["imgs"])


def test_proposals_come_before_frames():
    frames = np.random.default_rng(0).integers(0, 256, (2 * 3 * 4, 4, 5, 3), dtype=np.uint8)
    sample = {"imgs": list(frames), "clip_len": 4, "num_clips": 3, "num_proposals": 2}
    result = FormatShape("NPTCHW")(sample)
    assert result["input_shape"] == (2, 12, 3, 4, 5)
    assert np.array_equal(result["imgs"][1, 7], frames[19].transpose(2, 0, 1))


def test_x_and_y_of_a_flow_as_frames_of_their_own_become_channels():
    pairs = np.random.default_rng(0).integers(0, 256, (10, 4, 5, 2), dtype=np.uint8)
    apart = [frame[..., axis] for frame in pairs for axis in (0, 1)]
    for layout in ("NCHW", "NCTHW"):
        given = {"clip_len": 5, "modality": "Flow"}
        whole = FormatShape(layout)({"imgs": list(pairs), **given})["imgs"]
        assert np.array_equal(FormatShape(layout)({"imgs": apart, **given})["imgs"], whole)


def test_packing_takes_named_keys_and_multi_hot_labels() -> None:
    pack = PackActionInputs(collect_keys=("imgs", "flow"), algorithm_keys=("weight",))
    sample = {"imgs": np.zeros(3), "flow": np.ones(2), "label": np.array([0, 1, 1], dtype=np.float32), "weight": 2}
    packed = pack({**sample, "label": torch.tensor([0.0, 1.0, 1.0])})
    assert set(packed["inputs"]) == {"imgs", "flow"}
    assert packed["data_samples"].gt_label.tolist() == [0.0, 1.0, 1.0]
    assert packed["data_samples"].weight == 2


def test_packing_takes_the_first_kind_of_input_there_is():
    joints, heatmaps, sound = np.ones((2, 3, 4, 2)), np.ones((1, 17, 4, 4)), np.ones((1, 128, 80))
    for given, expected in (
        ({"keypoint": joints, "heatmap_imgs": heatmaps, "audios": sound}, heatmaps),
        ({"keypoint": joints, "audios": sound}, joints),
        ({"audios": sound}, sound),
    ):
        assert np.array_equal(PackActionInputs()(given)["inputs"], expected)


def test_packing_keeps_soft_labels_and_whole_ones_apart():
    def label_of(value):
        return PackActionInputs()({"imgs": np.zeros(3), "label": value})["data_samples"].gt_label

    soft = label_of(np.array([0.0, 0.5, 1.0], dtype=np.float32))
    assert (soft.dtype, soft.tolist()) == (torch.float32, [0.0, 0.5, 1.0])
    for value in (np.array([1, 2]), [1, 2]):
        assert (label_of(value).dtype, label_of(value).tolist()) == (torch.int64, [1, 2])
    assert label_of(3).tolist() == [3]


def test_packing_takes_boxes_and_what_a_model_asks_for():
    boxes = np.array([[1.0, 2, 3, 4], [5, 6, 7, 8]], dtype=np.float32)
    sample = {
        "imgs": np.zeros(3),
        "gt_bboxes": boxes,
        "gt_labels": np.array([[0, 1], [1, 0]]),
        "proposals": boxes[:1],
        "caption": "a dog",
        "img_shape": (4, 5),
        "filename": "a.mp4",
    }
    packed = PackActionInputs(algorithm_keys=("caption", "absent"))(sample)["data_samples"]
    assert packed.gt_instances.bboxes.tolist() == boxes.tolist()
    assert packed.gt_instances.labels.tolist() == [[0, 1], [1, 0]]
    assert packed.proposals.bboxes.tolist() == boxes[:1].tolist()
    assert packed.caption == "a dog"
    assert packed.metainfo == {"img_shape": (4, 5)}


def test_a_repeated_image_is_a_clip_of_independent_frames():
    clip = BuildPseudoClip(3)({"imgs": [np.zeros((2, 2, 3), dtype=np.uint8)]})["imgs"]
    clip[0][:] = 9
    assert clip[1].max() == 0


@pytest.mark.parametrize(
    ("run", "kind", "message"),
    [
        (lambda: FormatShape("NTHWC"), ValueError, "input_format must be one of NCTHW, .*, got 'NTHWC'"),
        (
            lambda: FormatShape("NCHW", collapse=True)({"imgs": np.zeros((2, 4, 4, 3))}),
            SampleValueError,
            "collapse=True needs one view, got 2",
        ),
        (
            lambda: FormatShape("NCTHW")({"imgs": np.zeros((7, 4, 4, 3)), "clip_len": 4, "filename": "a.mp4"}),
            SampleValueError,
            r"7 frames cannot be cut into clips of clip_len=4 \(a.mp4\)",
        ),
        (
            lambda: FormatShape("NCTHW")({"imgs": [np.zeros((4, 4, 3)), np.zeros((4, 5, 3))], "clip_len": 2}),
            SampleValueError,
            r"the frames have different sizes, \(4, 4, 3\), \(4, 5, 3\): put a Resize",
        ),
        (
            lambda: FormatShape("NCHW")({"imgs": np.zeros((2, 4, 5))}),
            SampleValueError,
            r"a frame must be \(H, W, C\), a heat map \(C, H, W\), got \(4, 5\)",
        ),
        (
            lambda: FormatShape("NCTHW")({"imgs": [], "clip_len": 2}),
            SampleValueError,
            "FormatShape: the sample has no frames",
        ),
        (
            lambda: PackActionInputs()({"label": 1, "frame_dir": "a"}),
            SampleError,
            r"found none of imgs, heatmap_imgs, .* in the sample, which has label, frame_dir \(a\)",
        ),
        (
            lambda: PackActionInputs(collect_keys=("imgs", "audios"))({"imgs": np.zeros(3)}),
            SampleError,
            "found no audios in the sample, which has imgs",
        ),
    ],
)
def test_what_cannot_be_formatted_or_packed_is_named(run, kind, message):
    with pytest.raises(kind, match=message):
        run()
