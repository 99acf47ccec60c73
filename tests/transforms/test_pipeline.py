import ast
from pathlib import Path

import numpy as np
import pytest
import torch

import kinema.transforms
from kinema.errors import PartArgumentError, RegistryError, SampleError, VideoError
from kinema.registry import TRANSFORMS
from kinema.transforms import BaseTransform, Compose, DecodeVideo, DecordDecode, OpenVideo, Sample, SampleFrames
from kinema.transforms.formatting import to_tensor

PIPELINE = [
    dict(type="DecordInit"),
    dict(type="SampleFrames", clip_len=4, frame_interval=2, num_clips=2, test_mode=True),
    dict(type="DecordDecode"),
    dict(type="Resize", scale=(-1, 32)),
    dict(type="CenterCrop", crop_size=24),
    dict(type="FormatShape", input_format="NCTHW"),
    dict(type="PackActionInputs", meta_keys=("img_shape", "num_clips", "clip_len")),
]


def test_a_pipeline_of_configs_packs_the_frames_it_chose(make_video) -> None:
    path = make_video(num_frames=20, size=(64, 48))
    packed = Compose(PIPELINE)({"filename": str(path), "label": 3, "start_index": 0})
    inputs, data_sample = packed["inputs"], packed["data_samples"]
    assert inputs.shape == (2, 3, 4, 24, 24)
    assert inputs.dtype == torch.uint8
    chosen = SampleFrames(4, 2, 2, test_mode=True)({"total_frames": 20})["frame_inds"]
    decoded = OpenVideo()({"filename": str(path)})["video_reader"].get_batch(chosen)
    levels = decoded[:, 10, 10, 0].reshape(2, 4)
    assert np.abs(inputs[:, 0, :, 5, 5].numpy().astype(int) - levels.astype(int)).max() <= 1
    assert data_sample.gt_label.tolist() == [3]
    assert data_sample.metainfo == {"img_shape": (24, 24), "num_clips": 2, "clip_len": 4}


@pytest.mark.parametrize("library", ["Decord", "PyAV", "OpenCV", "PIMS"])
def test_openmmlabs_names_open_and_decode_alike(make_video, library) -> None:
    sample = TRANSFORMS.build({"type": f"mmaction.{library}Init"})({"filename": str(make_video())})
    decode = TRANSFORMS.build({"type": f"{library}Decode"})
    assert isinstance(decode, DecodeVideo)
    frames = decode({**sample, "frame_inds": np.array([[4], [1]])})["imgs"]
    exact = DecodeVideo()(OpenVideo()({"filename": str(make_video()), "frame_inds": [4, 1]}))["imgs"]
    assert np.array_equal(frames, exact)


def test_what_decodes_no_other_frames_is_named(caplog) -> None:
    with caplog.at_level("INFO", logger="kinema"):
        TRANSFORMS.build({"type": "PyAVDecode", "multi_thread": True, "mode": "efficient"})
    assert "PyAVDecode: multi_thread has no effect" in caplog.text
    assert "PyAVDecode: mode='efficient' has no effect" in caplog.text
    with pytest.raises(ValueError, match="DecordDecode: mode must be 'accurate' or 'efficient', got 'fast'"):
        DecordDecode("fast")


def test_decoding_closes_the_video(make_video) -> None:
    sample = OpenVideo()({"filename": str(make_video()), "frame_inds": np.array([[3, 1], [3, 0]])})
    assert (sample["total_frames"], sample["avg_fps"]) == (20, 10)
    sample = DecodeVideo()(sample)
    assert sample["video_reader"] is None
    assert sample["imgs"].shape == (4, 48, 64, 3)
    assert sample["original_shape"] == sample["img_shape"] == (48, 64)
    assert np.array_equal(sample["imgs"][0], sample["imgs"][2])


def test_a_name_without_extension_means_mp4(make_video) -> None:
    path = make_video()
    assert OpenVideo()({"filename": str(path.with_suffix(""))})["total_frames"] == 20


def test_to_tensor_takes_what_samples_hold() -> None:
    assert to_tensor(np.ones((2, 3))[:, ::-1]).shape == (2, 3)
    assert to_tensor(3).tolist() == [3]
    assert to_tensor(2.5).tolist() == [2.5]
    assert to_tensor([1, 2]).tolist() == [1, 2]
    tensor = torch.zeros(2)
    assert to_tensor(tensor) is tensor


def test_a_pipeline_stops_when_a_transform_rejects() -> None:
    seen = []

    class Reject(BaseTransform):
        def transform(self, results):
            return None

    assert Compose([Reject(), seen.append])({}) is None
    assert seen == []


def test_a_missing_key_names_its_writer() -> None:
    with pytest.raises(SampleError, match="DecodeVideo needs the key 'video_reader', which OpenVideo writes"):
        Compose([dict(type="DecodeVideo")])({"frame_inds": np.arange(2)})


def test_every_documented_key_has_a_writer_that_a_missing_one_is_asked_of() -> None:
    class Reads(BaseTransform):
        def __init__(self, key):
            self.key = key

        def transform(self, results):
            return results[self.key]

    for key in Sample.__annotations__:
        with pytest.raises(SampleError, match=rf"Reads needs the key '{key}', which .+ writes: put that before it"):
            Reads(key)({"other": 1})


def test_every_key_that_a_transform_names_is_documented() -> None:
    named = set()
    for file in Path(kinema.transforms.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            is_key = isinstance(node, ast.Subscript) and ast.unparse(node.value) == "results"
            if is_key and isinstance(node.slice, ast.Constant):
                named.add(node.slice.value)
    assert {"imgs", "frame_inds"} <= named <= set(Sample.__annotations__)


def test_a_function_that_lacks_a_key_is_named_too() -> None:
    def count_images(sample):
        return len(sample["imgs"])

    with pytest.raises(SampleError, match=r"count_images needs the key 'imgs', which DecodeVideo .*has filename\)"):
        Compose([count_images])({"filename": "a.mp4"})


@pytest.mark.parametrize(
    "step",
    [
        dict(type="Resize", scale=(-1, 8)),
        dict(type="CenterCrop", crop_size=8),
        dict(type="RandomResizedCrop"),
        dict(type="MultiScaleCrop", input_size=8),
        dict(type="ThreeCrop", crop_size=8),
        dict(type="TenCrop", crop_size=8),
        dict(type="Flip", flip_ratio=1),
        dict(type="ColorJitter"),
        dict(type="FormatShape", input_format="NCTHW"),
    ],
)
def test_every_step_on_frames_says_that_there_are_none(step) -> None:
    with pytest.raises(SampleError, match=rf"{step['type']} needs the key 'imgs', which DecodeVideo writes"):
        Compose([step])({"label": 1})


def test_a_key_error_of_a_users_own_key_stays_a_key_error() -> None:
    class Mine(BaseTransform):
        def transform(self, results):
            return results["mine"]

    with pytest.raises(KeyError, match="mine"):
        Mine()({})


@pytest.mark.parametrize(
    ("make", "kind", "message"),
    [
        (lambda: Compose([3]), TypeError, "a transform must be a callable or a dict with 'type', got int"),
        (
            lambda: Compose([dict(type="Rezise")]),
            RegistryError,
            "Rezise is not in the transform registry: did you mean Resize",
        ),
        (
            lambda: Compose([dict(type="Resize", sclae=3)]),
            PartArgumentError,
            r"Resize has no keyword 'sclae' \(did you mean scale\?\)",
        ),
        (
            lambda: Compose([dict(type="Resize", lazy=False)]),
            PartArgumentError,
            "Resize needs scale; it was given lazy",
        ),
        (lambda: OpenVideo(io_backend="petrel"), ValueError, "io_backend must be 'disk', got 'petrel'"),
        (lambda: to_tensor("text"), TypeError, "str cannot be made a tensor"),
        (lambda: OpenVideo()({"filename": "absent.mp4"}), VideoError, "absent.mp4"),
    ],
)
def test_bad_input_is_named(make, kind, message) -> None:
    with pytest.raises(kind, match=message):
        make()


def test_axes_keys_and_types_can_be_changed():
    sample = {"imgs": np.zeros((2, 3, 4)), "old": 1}
    sample = Compose(
        [dict(type="Transpose", keys=["imgs"], order=(2, 0, 1)), dict(type="Rename", mapping={"old": "new", "no": "x"})]
    )(sample)
    assert sample["imgs"].shape == (4, 2, 3)
    assert "old" not in sample
    assert Compose([dict(type="ToTensor", keys=["new"])])(sample)["new"].tolist() == [1]
