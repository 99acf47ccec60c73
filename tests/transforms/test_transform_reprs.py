"""How transforms show themselves: every parameter, by the name that they were built by, as OpenMMLab's do."""

import pytest

import kinema.transforms as parts
from kinema.registry import TRANSFORMS

SHOWN = [
    ("DecordInit", {"num_threads": 3}, "DecordInit(io_backend=disk, num_threads=3)"),
    ("PyAVInit", {}, "PyAVInit(io_backend=disk)"),
    ("OpenCVInit", {}, "OpenCVInit(io_backend=disk)"),
    ("PIMSInit", {}, "PIMSInit(io_backend=disk, mode=accurate)"),
    ("DecordDecode", {"mode": "efficient"}, "DecordDecode(mode=efficient)"),
    ("PyAVDecode", {"multi_thread": True}, "PyAVDecode(multi_thread=True, mode=accurate)"),
    ("OpenCVDecode", {}, "OpenCVDecode()"),
    ("RawFrameDecode", {}, "RawFrameDecode(io_backend=disk, decoding_backend=cv2)"),
    (
        "SampleFrames",
        {"clip_len": 4, "num_clips": 3, "target_fps": 5},
        "SampleFrames(clip_len=4, frame_interval=1, num_clips=3, temporal_jitter=False, twice_sample=False, "
        "out_of_bound_opt=loop, test_mode=False, target_fps=5)",
    ),
    (
        "DenseSampleFrames",
        {"clip_len": 4, "sample_range": 32},
        "DenseSampleFrames(clip_len=4, frame_interval=1, num_clips=1, sample_range=32, num_sample_positions=10, "
        "temporal_jitter=False, out_of_bound_opt=loop, test_mode=False)",
    ),
    ("CenterCrop", {"crop_size": 224}, "CenterCrop(crop_size=(224, 224), lazy=False)"),
    ("RandomCrop", {"size": 224, "lazy": True}, "RandomCrop(size=224, lazy=True)"),
    (
        "RandomResizedCrop",
        {},
        f"RandomResizedCrop(area_range=(0.08, 1.0), aspect_ratio_range=({3 / 4}, {4 / 3}), lazy=False)",
    ),
    (
        "MultiScaleCrop",
        {"input_size": 224, "scales": (1, 0.8)},
        "MultiScaleCrop(input_size=(224, 224), scales=(1, 0.8), max_wh_scale_gap=1, random_crop=False, "
        "num_fixed_crops=5, lazy=False)",
    ),
    (
        "Resize",
        {"scale": (-1, 256)},
        "Resize(scale=(inf, 256), keep_ratio=True, interpolation=bilinear, lazy=False)",
    ),
    ("RandomRescale", {"scale_range": (256, 320)}, "RandomRescale(scale_range=(256, 320), interpolation=bilinear)"),
    (
        "Flip",
        {"flip_label_map": {1: 2}},
        "Flip(flip_ratio=0.5, direction=horizontal, flip_label_map={1: 2}, lazy=False)",
    ),
    ("FormatShape", {"input_format": "NCHW"}, "FormatShape(input_format='NCHW')"),
    ("FormatAudioShape", {"input_format": "NCTF"}, "FormatAudioShape(input_format='NCTF')"),
    ("Transpose", {"keys": ["imgs"], "order": [1, 2, 0]}, "Transpose(keys=['imgs'], order=[1, 2, 0])"),
]


@pytest.mark.parametrize(("name", "arguments", "text"), SHOWN)
def test_a_transform_shows_its_parameters(name, arguments, text) -> None:
    transform = TRANSFORMS.build({"type": name, **arguments})
    assert repr(transform) == text
    assert type(transform).__name__ == name

    derived = type("Own", (getattr(parts, name),), {})
    assert repr(derived(**arguments)).startswith("Own(")
