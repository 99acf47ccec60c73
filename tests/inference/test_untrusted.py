"""A config that comes with weights builds a model and a pipeline of Kinema's parts, and does nothing else."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import kinema
from kinema.checkpoints.saving import save_pretrained
from kinema.errors import CheckpointError
from kinema.inference.contract import read_contract
from kinema.inference.untrusted import REFUSED_TRANSFORMS, _counted, checked_model, checked_pipeline
from kinema.models import create_model, zoo
from kinema.registry import MODELS, TRANSFORMS
from kinema.transforms.base import BaseTransform

CONTRACT: dict[str, Any] = {
    "model": zoo.model_config("compact3d", 3),
    "classes": ["jump", "run", "sit"],
    "sampling": [{"type": "SampleFrames", "clip_len": 4, "frame_interval": 2, "test_mode": True}],
    "preprocessing": [
        {"type": "Resize", "scale": [-1, 36]},
        {"type": "CenterCrop", "crop_size": 32},
        {"type": "FormatShape", "input_format": "NCTHW"},
        {"type": "PackActionInputs"},
    ],
}


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    return save_pretrained(create_model("compact3d", num_classes=3), tmp_path / "saved", config=CONTRACT)


def changed(saved: Path, **changes: Any) -> Path:
    (saved / "config.json").write_text(json.dumps({"format": 1, **CONTRACT, **changes}))
    return saved


def model_with(part: str, **changes: Any) -> dict[str, Any]:
    return {**CONTRACT["model"], part: {**CONTRACT["model"][part], **changes}}


def with_step(**step: Any) -> list[Any]:
    return [step, *CONTRACT["preprocessing"]]


STAND_IN = """
import torch
calls = []
def list_models(): return ["resnet18"]
def create_model(name, **settings):
    calls.append(settings)
    return torch.nn.Conv2d(3, 4, 1)
"""


@pytest.mark.slow
def test_no_name_that_a_config_can_hold_reaches_a_file_an_address_or_another_library(
    saved: Path, tmp_path: Path
) -> None:
    (tmp_path / "libraries" / "timm").mkdir(parents=True)
    (tmp_path / "libraries" / "timm" / "__init__.py").write_text(STAND_IN)
    (tmp_path / "libraries" / "tripwire.py").write_text("")
    (tmp_path / "tripwire.pth").write_bytes(b"x")
    path = os.pathsep.join([str(tmp_path / "libraries"), str(Path(kinema.__file__).parents[1])])
    script = Path(__file__).with_name("hostile_configs.py")
    done = subprocess.run(
        [sys.executable, str(script), str(saved), str(tmp_path / "tripwire.pth")],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=1200,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["touched"] == []
    assert told["refused"] > 1000
    assert told["timm"] > 0


def test_every_transform_of_kinema_is_one_that_files_may_name_or_may_not() -> None:
    """A new adapter to another library must be added to `REFUSED_TRANSFORMS`: those here are Kinema's alone."""
    adapters = {
        name for name, part in TRANSFORMS.module_dict.items() if part.__module__ == "kinema.transforms.adapters"
    }
    assert adapters == REFUSED_TRANSFORMS


def test_every_model_of_the_zoo_may_be_named_by_a_file() -> None:
    for name in zoo.names():
        config = zoo.model_config(name, 5)
        kept = checked_model(config, "a.pth")
        assert kept["backbone"]["type"] == config["backbone"]["type"]


@pytest.mark.slow
def test_every_model_of_the_zoo_is_built_by_what_its_weights_allow() -> None:
    for name in zoo.names():
        config = checked_model(zoo.model_config(name, 5), "a.pth")
        with torch.device("meta"):
            weights = MODELS.build(config).state_dict()
        with _counted(weights, "a.pth"), torch.device("meta"):
            MODELS.build(config)


def test_a_network_of_another_library_that_reads_tensors_while_it_is_built_is_built(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "libraries" / "timm").mkdir(parents=True)
    text = STAND_IN.replace("    calls.append", "    torch.linspace(0, 1, 3)[1].item()\n    calls.append").replace(
        "(3, 4, 1)", "(3, 4, 1, dtype=torch.float32)"
    )
    (tmp_path / "libraries" / "timm" / "__init__.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path / "libraries"))
    monkeypatch.delitem(sys.modules, "timm", raising=False)
    model = {"type": "Recognizer2D", "backbone": {"type": "timm.resnet18"}}
    with pytest.raises(CheckpointError, match=r"saved: next to nothing|saved: nothing in the checkpoint fits"):
        kinema.load(changed(saved, model=model))
    model["backbone"] = {"type": "timm.resnet18", "img_size": [224, 5000]}
    with pytest.raises(CheckpointError, match=r"img_size=\[224, 5000\] of 'timm.resnet18' must be from 0 to 1024"):
        kinema.load(changed(saved, model=model))
    sys.modules.pop("timm", None)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"format": 99}, "is of format 99, this Kinema .* reads up to 1: it was written by a newer Kinema"),
        ({"format": "1"}, "'format' must be a whole number above 0, got '1'"),
        ({"model": []}, "expected an object for 'model', got a list"),
        ({"sampling": 5}, "expected a list of transforms for 'sampling', got a int"),
        ({"preprocessing": [5]}, "its pipeline is no list of transforms"),
        ({"classes": 5}, "its classes are no list of names"),
        ({"classes": [["a"]]}, "its classes are no list of names"),
        ({"classes": ["a" * 3000, "b", "c"]}, "a name of more than 2000 characters"),
        ({"classes": ["a"]}, "it has the names of 1 classes, and a model for 3"),
        ({"classes": list("abcd")}, "it has the names of 4 classes, and a model for 3"),
        ({"model": model_with("data_preprocessor", std=[0, 1, 1])}, r"the std .* must be above 0, got \[0, 1, 1\]"),
        ({"model": model_with("data_preprocessor", std=[math.nan] * 3)}, "the std .* is no list of finite numbers"),
        ({"model": model_with("data_preprocessor", mean=["x"])}, "the mean .* is no list of finite numbers"),
        ({"model": model_with("backbone", width=10**7)}, "its model has a number beyond 100000"),
        ({"model": model_with("backbone", width=50_000)}, "of a larger model than its weights: too many numbers"),
        ({"model": model_with("backbone", width=25)}, "its config cannot be built: the backbone .* gives 100 channels"),
        ({"model": model_with("cls_head", num_classes=4)}, ": the checkpoint does not fit Recognizer3D: loaded"),
        (
            {"model": model_with("backbone", type="ResNet3d", stage_blocks=[9999, 1, 1, 1])},
            "its config cannot be built|too many modules|too many tensors",
        ),
        ({"model": {"type": "ConvModule", "in_channels": 3, "out_channels": 3, "kernel_size": 3, "padding": 65}}, "padding=65 is beyond 64"),
        ({"model": {"type": "Conv3d", "in_channels": 3, "out_channels": 3, "kernel_size": 3}}, "builds a Conv3d, which is no recognizer"),
        ({"model": model_with("backbone", type="Nothing")}, r"model\.backbone: it names 'Nothing', which .* may not"),
        ({"model": model_with("backbone", type="os.getcwd")}, r"names 'os\.getcwd', which .* may not"),
        ({"preprocessing": with_step(type="torch.nn.ReLU")}, r"names 'torch\.nn\.ReLU', which .* may not"),
        ({"model": model_with("backbone", type=5)}, "'type' must be the name of a model, got a int"),
        ({"model": model_with("backbone", wdith=3)}, "its config cannot be built: .* no keyword 'wdith'"),
        ({"model": model_with("backbone", x="a" * 3000)}, "its model has a text of 3000 characters"),
        ({"model": model_with("backbone", x=[0] * 200_000)}, "its model is too large or too deeply nested"),
        (
            {"model": {**CONTRACT["model"], "backbone": {"type": "timm.resnet18", "checkpoint_path": "x.pth"}}},
            "it sets 'checkpoint_path' of 'timm.resnet18', which a config that comes with weights may not",
        ),
        ({"model": model_with("backbone", type="timm.hf-hub:a/b")}, "is no network that a config that comes with weights may name"),
        ({"preprocessing": with_step(type="TorchVisionWrapper", op="ColorJitter")}, "it names 'TorchVisionWrapper', which"),
        ({"preprocessing": with_step(type="Resize", scale=[10_000, 10])}, r"scale=\[10000, 10\] of 'Resize' is beyond 4096"),
        ({"preprocessing": with_step(type="Resize", scale=50)}, "scale=50 of 'Resize' is beyond 16"),
        (
            {"sampling": [{"type": "OpenVideo", "limits": {"more_formats": ["concat"]}}]},
            "it sets 'limits' of 'OpenVideo', which a config that comes with weights may not: .* KINEMA_VIDEO_LIMITS",
        ),
        ({"sampling": [{"type": "DecordInit", "num_threads": 65}]}, "num_threads=65 is beyond 64"),
        ({"preprocessing": with_step(type="CenterCrop", crop_size="x")}, "its pipeline cannot be built"),
        ({"sampling": [{"type": "SampleFrames", "clip_len": 10**6}]}, "its pipeline has a number beyond 100000"),
        ({"sampling": [{"type": "SampleFrames", "clip_len": 30_000}]}, "takes 30000 frames of a video, 30000 with its crops; 2048 and 8192"),
        ({"sampling": [{"type": "SampleFrames", "clip_len": 1, "num_clips": 99_999}]}, "takes 99999 frames of a video"),
        (
            {"sampling": [{"type": "SampleFrames", "clip_len": 1000}], "preprocessing": with_step(type="TenCrop", crop_size=8)},
            "takes 1000 frames of a video, 10000 with its crops",
        ),
        ({"sampling": [{"type": "SampleFrames", "clip_len": 0}]}, "clip_len of 'SampleFrames' must be a whole number above 0, got 0"),
    ],
)  # fmt: skip
def test_an_odd_config_is_one_line_that_names_the_file(saved: Path, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(CheckpointError, match=rf"saved.*{said}"):
        kinema.load(changed(saved, **changes))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[" * 100_000, "is no JSON file that can be read: maximum recursion"),
        ('{"model": ' + "9" * 5000 + "}", "is no JSON file that can be read: Exceeds the limit"),
        ("[]", "expected a JSON object, got a list"),
        (" " * (5 << 20), "is longer than 4194304 characters"),
    ],
)
def test_a_config_that_is_none_is_one_line(saved: Path, text: str, said: str) -> None:
    (saved / "config.json").write_text(text)
    with pytest.raises(CheckpointError, match=rf"config\.json: {said}"):
        read_contract(saved)


def test_values_that_json_has_not_are_refused_too() -> None:
    with pytest.raises(CheckpointError, match=r"a\.pth: its model holds a complex, which is no plain value"):
        checked_model({"type": "Recognizer3D", "x": 1j}, "a.pth")
    with pytest.raises(CheckpointError, match=r"a\.pth: its model has a key that is no text"):
        checked_model({"type": "Recognizer3D", 5: 1}, "a.pth")


def test_origins_of_weights_are_left_out_wherever_they_are() -> None:
    origin = {"type": "Pretrained", "checkpoint": "http://localhost/x.pth"}
    backbone = {
        "type": "ResNet3dSlowFast",
        "pretrained": "x.pth",
        "slow_pathway": {"type": "resnet3d", "init_cfg": origin},
    }
    kept = checked_model({"type": "Recognizer3D", "init_cfg": origin, "backbone": backbone}, "a.pth")
    assert kept == {
        "type": "Recognizer3D",
        "backbone": {"type": "ResNet3dSlowFast", "slow_pathway": {"type": "resnet3d"}},
    }


def test_parts_that_the_program_registered_may_be_named_but_not_led_to_files(saved: Path) -> None:
    @TRANSFORMS.register_module()
    class Brighten(BaseTransform):
        def __init__(self, by: int = 1, mask_path: str = "") -> None:
            self.by = by

        def transform(self, results: Any) -> Any:
            return results

    try:
        assert kinema.load(changed(saved, preprocessing=with_step(type="Brighten", by=2))).pipeline[3]["by"] == 2
        with pytest.raises(CheckpointError, match=r"it sets 'mask_path' of 'Brighten', which may lead to files"):
            kinema.load(changed(saved, preprocessing=with_step(type="Brighten", mask_path="/etc/passwd")))
    finally:
        TRANSFORMS._users.pop("Brighten")


def test_a_config_that_the_user_gives_is_trusted(saved: Path) -> None:
    given = {**CONTRACT, "preprocessing": [{"type": "Resize", "scale": [10_000, 36]}, *CONTRACT["preprocessing"]]}
    assert kinema.load(saved, config=given).classes == ("jump", "run", "sit")
    pipeline = [{"type": "OpenVideo"}, *CONTRACT["sampling"], {"type": "DecodeVideo"}, *CONTRACT["preprocessing"]]
    assert kinema.load(saved, config={"model": CONTRACT["model"], "test_pipeline": pipeline}).classes == ()


def test_a_pipeline_of_published_configs_passes() -> None:
    steps = [
        {"type": "DecordInit"},
        {"type": "SampleFrames", "clip_len": 32, "frame_interval": 2, "num_clips": 10, "test_mode": True},
        {"type": "DecordDecode"},
        {"type": "Resize", "scale": (math.inf, 256)},
        {"type": "ThreeCrop", "crop_size": 256},
        {"type": "FormatShape", "input_format": "NCTHW"},
        {"type": "mmaction.PackActionInputs"},
    ]
    assert checked_pipeline(steps, "a.pth") == steps


def test_a_part_that_is_not_kinemas_is_told_apart() -> None:
    assert MODELS.is_own(MODELS.get("Recognizer3D"))
    assert not MODELS.is_own(test_a_part_that_is_not_kinemas_is_told_apart)


@pytest.mark.parametrize(
    "changes",
    [
        {"model": model_with("data_preprocessor", mean=[1, 2], std=[1, 2])},
        {"preprocessing": CONTRACT["preprocessing"][:3]},
        {"preprocessing": [*CONTRACT["preprocessing"][:3], {"type": "PackActionInputs", "meta_keys": 5}]},
        {
            "preprocessing": [
                *CONTRACT["preprocessing"][:2],
                {"type": "FormatShape", "input_format": "NCHW"},
                {"type": "PackActionInputs"},
            ]
        },
    ],
)
def test_a_config_that_does_not_suit_its_model_is_one_line_at_the_first_video(
    saved: Path, make_video: Any, changes: Any
) -> None:
    recognizer = kinema.load(changed(saved, **changes))
    with pytest.raises(
        CheckpointError, match=r"saved: its config does not suit its model, or the video .*video\.mp4: "
    ):
        recognizer.predict(make_video())


ODD_TEXTS = [
    "model=list(1)",
    "model=" + "-" * 100_000 + "1",
    "model=" + "(" * 10_000,
    "model=" + "9" * 5000,
    'model="\ud800"',
    "model=1\0",
    "model={[]: 1}",
    "model=set([[]])",
    "model=dict(1)",
    "model=1j",
    "model=..." + "\n" * 1000,
    "x=" + "a." * 5000 + "b",
    "model=" + "+".join(["1"] * 50_000),
    "a" * 600_000,
    "import os",
    "data=5",
    "data=dict(test=5)",
    "data=dict(test=dict(pipeline=5))",
    "data=dict(test=dict(pipeline=[5]))",
    "model=5\ndata=dict(test=dict(pipeline=[dict(type='Normalize')]))",
    "model=dict(cls_head=5)\ndata=dict(test=dict(pipeline=[dict(type=[])]))",
    "model=dict()\ntest_cfg=5\ndata=dict(test=dict(pipeline=[dict(type='Normalize')]))",
    "model=dict(type='Recognizer3D')\ntest_dataloader=5",
    "model=dict(type='Recognizer3D')\ntest_dataloader=dict(dataset=[1])",
    "model=dict(type='Recognizer3D')\ntest_pipeline=5",
    "model=dict(type='Recognizer3D')\ntest_pipeline='abc'",
    "model=dict(type=5)\ntest_pipeline=[dict(type='FormatShape')]",
    "model={1: 2}\ntest_pipeline=[dict(type='FormatShape')]",
]


@pytest.mark.parametrize("number", range(len(ODD_TEXTS)))
def test_an_odd_config_in_a_file_is_one_line_that_names_the_file(tmp_path: Path, number: int) -> None:
    torch.save({"meta": {"cfg": ODD_TEXTS[number]}, "state_dict": {"x": torch.zeros(1)}}, tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match=r"a\.pth") as caught:
        kinema.load(tmp_path / "a.pth")
    assert len(str(caught.value)) < 1500
    assert "\n" not in str(caught.value)
