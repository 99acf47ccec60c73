import importlib.util
import sys

import numpy as np
import pytest
import torch

from kinema.errors import ConfigError, MissingDependencyError, PartArgumentError, SampleValueError
from kinema.registry import TRANSFORMS
from kinema.transforms import (
    RandAugment,
    TensorTransform,
    kornia_transform,
    pytorchvideo_transform,
    torchvision_transform,
)


def clip(num_frames=4, height=6, width=8):
    return np.random.default_rng(0).integers(0, 256, (num_frames, height, width, 3), dtype=np.uint8)


def test_any_function_of_a_clips_tensor_is_a_transform():
    seen = []

    def mirror(frames):
        seen.append((tuple(frames.shape), frames.dtype))
        return frames.flip(-1)

    frames = clip()
    sample = TensorTransform(mirror)({"imgs": list(frames), "clip_len": 2, "num_clips": 2})
    assert np.array_equal(sample["imgs"], frames[:, :, ::-1])
    assert seen == [((2, 3, 6, 8), torch.uint8)] * 2, "each clip has a call of its own"


def test_another_size_is_written_down():
    sample = TensorTransform(lambda frames: frames[..., 1:4, :5])({"imgs": clip(), "img_shape": (6, 8)})
    assert sample["imgs"].shape == (4, 3, 5, 3)
    assert sample["img_shape"] == (3, 5)


def test_a_module_gets_floats_and_no_gradients():
    class Halve(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.factor = torch.nn.Parameter(torch.tensor(0.5))

        def forward(self, frames):
            assert frames.dtype == torch.float32
            assert frames.max() <= 1
            return frames * self.factor

    frames = clip()
    result = TensorTransform(Halve(), pixels="unit")({"imgs": frames})["imgs"]
    assert np.array_equal(result, np.rint(frames * 0.5).astype(np.uint8))


def test_floats_that_come_back_are_cut_off_and_rounded():
    result = TensorTransform(lambda frames: frames * 2.0 - 100.4)({"imgs": clip()})["imgs"]
    assert np.array_equal(result, np.rint(np.clip(clip() * 2.0 - 100.4, 0, 255)).astype(np.uint8))


def shortened(frames):
    return frames[1:]


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (
            shortened,
            r"shortened must give a tensor \(4, 3, height, width\) for one of \(4, 3, 6, 8\), got \(3, 3, 6, 8\)",
        ),
        (lambda frames: frames.numpy(), "must give a tensor .* got ndarray"),
    ],
)
def test_a_function_that_gives_something_else_is_named(function, message):
    with pytest.raises(SampleValueError, match=message):
        TensorTransform(function)({"imgs": clip()})


def test_clips_of_different_sizes_are_refused():
    sizes = iter([3, 4])
    cut = TensorTransform(lambda frames: frames[..., : next(sizes)])
    with pytest.raises(SampleValueError, match=r"gave clips of different shapes, \(2, 6, 3, 3\) and \(2, 6, 4, 3\)"):
        cut({"imgs": clip(), "clip_len": 2})


def test_boxes_are_refused_unless_the_function_leaves_pixels_where_they_are():
    sample = {"imgs": clip(), "gt_bboxes": np.zeros((1, 4))}
    with pytest.raises(SampleValueError, match="<lambda> moves what is in the frames"):
        TensorTransform(lambda frames: frames)(dict(sample))
    assert "gt_bboxes" in TensorTransform(lambda frames: frames, moves=False)(sample)


def test_wrong_arguments_are_refused():
    with pytest.raises(TypeError, match="function must be callable, got str: 'os.system'"):
        TensorTransform("os.system")
    with pytest.raises(ValueError, match="pixels must be 'uint8' or 'unit', got 'float'"):
        TensorTransform(lambda frames: frames, pixels="float")


@pytest.mark.parametrize(
    ("library", "type_", "op"),
    [("torchvision", "TorchVisionWrapper", "ColorJitter"), ("kornia", "KorniaWrapper", "RandomGaussianBlur")],
)
def test_a_library_that_is_not_installed_is_named_with_what_to_do(library, type_, op):
    if importlib.util.find_spec(library) is not None:
        pytest.skip(f"{library} is installed")
    with pytest.raises(MissingDependencyError, match=rf"'{op}' is a transform of {library}, .* pip install {library}"):
        TRANSFORMS.build(dict(type=type_, op=op))


LIBRARY = """
import torch

class Darken(torch.nn.Module):
    def __init__(self, by=2, same_on_batch=False):
        super().__init__()
        self.by, self.same_on_batch = by, same_on_batch

    def forward(self, frames):
        return frames // self.by if frames.dtype == torch.uint8 else frames / self.by / (1 + (not self.same_on_batch))

def run_anything(): ...
"""


@pytest.fixture
def libraries(tmp_path, monkeypatch):
    """Libraries on disk whose layout is that of torchvision and kornia, with one transform each."""
    if any(importlib.util.find_spec(name) for name in ("torchvision", "kornia")):
        pytest.skip("the libraries themselves are installed")
    for path in ("torchvision/transforms/v2.py", "kornia/augmentation.py"):
        file = tmp_path / path
        file.parent.mkdir(parents=True)
        file.write_text(LIBRARY)
    monkeypatch.syspath_prepend(tmp_path)
    yield
    for name in ("torchvision", "torchvision.transforms", "torchvision.transforms.v2", "kornia", "kornia.augmentation"):
        sys.modules.pop(name, None)


@pytest.mark.usefixtures("libraries")
def test_transforms_of_the_libraries_are_found_by_name():
    frames = clip()
    result = TRANSFORMS.build(dict(type="TorchVisionWrapper", op="Darken", by=4))({"imgs": frames})["imgs"]
    assert np.array_equal(result, frames // 4)
    result = TRANSFORMS.build(dict(type="KorniaWrapper", op="Darken"))({"imgs": frames})["imgs"]
    assert np.array_equal(result, np.rint(frames / np.float32(255) / 2 * 255).astype(np.uint8)), "alike in all frames"
    with pytest.raises(ConfigError, match=r"torchvision\.transforms\.v2 has no transform 'Drken': did you mean Darken"):
        torchvision_transform("Drken")
    with pytest.raises(PartArgumentError, match="kornia's Darken has no keyword 'b'.* its keywords: by, same_on_batch"):
        kornia_transform("Darken", b=2)


@pytest.mark.usefixtures("libraries")
@pytest.mark.parametrize("name", ["run_anything", "torch", "__builtins__"])
def test_a_config_reaches_nothing_of_a_library_but_its_transforms(name):
    with pytest.raises(ConfigError, match=rf"has no transform '{name}': there are: Darken"):
        torchvision_transform(name)


def test_pytorchvideos_rand_augment_needs_no_pytorchvideo():
    policy = pytorchvideo_transform("RandAugment", magnitude=7, num_layers=4)
    assert isinstance(policy, RandAugment)
    assert (policy.magnitude, policy.num_layers, policy.prob, policy.noise_std) == (7, 4, 0.5, 0.5)
    other = pytorchvideo_transform(
        "RandAugment", prob=1.0, transform_hparas={"fill": (1, 2, 3)}, sampling_hparas={"sampling_std": 0.0}
    )
    assert (other.magnitude, other.num_layers, other.prob, other.noise_std, other.fill) == (9, 2, 1.0, 0, (1, 2, 3))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (dict(op="AugMix"), ConfigError, "has RandAugment only, got op='AugMix': use RandAugment or TrivialAugment"),
        (dict(op="ShortSideScale", size=256), ConfigError, r"use Resize\(scale=\(-1, size\)\) instead"),
        (dict(op="RandAugmnt"), ConfigError, "got op='RandAugmnt': did you mean RandAugment"),
        (dict(op="xyz"), ConfigError, "got op='xyz'$"),
        (dict(op="RandAugment", layers=4), PartArgumentError, "has no keyword 'layers' .*num_layers"),
        (
            dict(op="RandAugment", sampling_type="uniform"),
            ConfigError,
            "sampling_type must be 'gaussian', got 'uniform'",
        ),
        (
            dict(op="RandAugment", transform_hparas={"filler": 1}),
            ConfigError,
            "transform_hparas takes fill, got filler",
        ),
        (dict(op="RandAugment", magnitude=12), ValueError, "magnitude must be within 0 and 10, got 12"),
    ],
)
def test_what_pytorchvideo_has_and_this_has_not_is_named(arguments, error, message):
    with pytest.raises(error, match=message):
        pytorchvideo_transform(**arguments)
