"""Recognizers from files of MMAction2, whose config travels in the file or is given."""

import json
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

import kinema
from kinema.checkpoints import ModelContract
from kinema.cli.main import app
from kinema.errors import CheckpointError
from kinema.registry import MODELS

MODEL = """model = dict(
    type='Recognizer3D',
    backbone=dict(type='ResNet3dSlowOnly', depth=18, base_channels=4, lateral=False, pretrained='torchvision://resnet18'),
    cls_head=dict(type='I3DHead', num_classes=3, in_channels=32{averaging}){further})
"""
NEW = (
    MODEL.format(averaging=", average_clips='prob'", further="""
    , data_preprocessor=dict(
        type='ActionDataPreprocessor', mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375],
        format_shape='NCTHW')""")
    + """test_pipeline = [
    dict(type='DecordInit'),
    dict(type='SampleFrames', clip_len=4, frame_interval=2, num_clips=2, test_mode=True),
    dict(type='DecordDecode'),
    dict(type='Resize', scale=(-1, 36)),
    dict(type='CenterCrop', crop_size=32),
    dict(type='FormatShape', input_format='NCTHW'),
    dict(type='PackActionInputs')]
"""
)  # fmt: skip
OLD = (
    MODEL.format(averaging="", further=", train_cfg=None, test_cfg=dict(average_clips='prob')")
    + """data = dict(videos_per_gpu=8, test=dict(type='VideoDataset', pipeline=[
    dict(type='DecordInit'),
    dict(type='SampleFrames', clip_len=4, frame_interval=2, num_clips=2, test_mode=True),
    dict(type='DecordDecode'),
    dict(type='Resize', scale=(-1, 36)),
    dict(type='CenterCrop', crop_size=32),
    dict(type='Normalize', mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], to_bgr=False),
    dict(type='FormatShape', input_format='NCTHW'),
    dict(type='Collect', keys=['imgs', 'label'], meta_keys=[]),
    dict(type='ToTensor', keys=['imgs'])]))
"""
)


def weights() -> dict:
    torch.manual_seed(0)
    backbone = {"type": "ResNet3dSlowOnly", "depth": 18, "base_channels": 4, "lateral": False}
    head = {"type": "I3DHead", "num_classes": 3, "in_channels": 32}
    return MODELS.build({"type": "Recognizer3D", "backbone": backbone, "cls_head": head}).state_dict()


def write(path: Path, meta: dict) -> Path:
    torch.save({"meta": meta, "state_dict": weights()}, path)
    return path


def test_both_generations_of_files_tell_all_that_prediction_needs(tmp_path: Path, make_video) -> None:
    video = make_video()
    new = kinema.load(write(tmp_path / "new.pth", {"cfg": NEW, "dataset_meta": {"classes": ("a", "b", "c")}}))
    old = kinema.load(write(tmp_path / "old.pth", {"config": OLD, "CLASSES": ["a", "b", "c"]}))
    assert new.classes == old.classes == ("a", "b", "c")
    assert new.scores(video).sum().item() == pytest.approx(1)
    assert torch.equal(new.scores(video), old.scores(video))


def test_a_file_that_names_no_classes_gets_those_of_its_public_data_set(tmp_path: Path) -> None:
    text = (
        NEW.replace("num_classes=3", "num_classes=51")
        + "ann_file_train = 'data/hmdb51/hmdb51_train_split_1_videos.txt'\n"
    )
    torch.manual_seed(0)
    backbone = {"type": "ResNet3dSlowOnly", "depth": 18, "base_channels": 4, "lateral": False}
    head = {"type": "I3DHead", "num_classes": 51, "in_channels": 32}
    state = MODELS.build({"type": "Recognizer3D", "backbone": backbone, "cls_head": head}).state_dict()
    torch.save({"meta": {"cfg": text}, "state_dict": state}, tmp_path / "a.pth")
    assert kinema.load(tmp_path / "a.pth").classes[0] == "brush_hair"


def test_a_file_without_config_takes_one(tmp_path: Path, make_video) -> None:
    file = write(tmp_path / "a.pth", {})
    (tmp_path / "config.py").write_text(NEW)
    with pytest.raises(
        CheckpointError, match=r"a\.pth: the file does not hold its config: give it, as in kinema\.load"
    ):
        kinema.load(file)
    expected = kinema.load(write(tmp_path / "b.pth", {"cfg": NEW})).scores(make_video())
    assert torch.equal(kinema.load(file, config=tmp_path / "config.py").scores(make_video()), expected)
    told = CliRunner().invoke(
        app, ["predict", str(file), str(make_video()), "--config", str(tmp_path / "config.py"), "--json"]
    )
    assert json.loads(told.stdout)[0]["scores"] == pytest.approx(sorted(expected.tolist(), reverse=True), abs=1e-5)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import os", r"the config in it:1: expected 'name = value', got 'import os'\. Give the config"),
        ("model = open('x')", r"the config in it:1: expected a plain value, got \"open\('x'\)\""),
        ("model = dict(", "the config in it:1: is no config"),
        ("lr = 1", "its config has no model"),
        ("model = dict(type='Recognizer3D')", "its config has no pipeline"),
    ],
)
def test_a_config_in_a_file_is_read_and_not_run(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(CheckpointError, match=said):
        kinema.load(write(tmp_path / "a.pth", {"cfg": text}))


def test_weights_that_do_not_fit_the_config_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"a\.pth: the checkpoint does not fit Recognizer3D: loaded .* 5 classes"):
        kinema.load(write(tmp_path / "a.pth", {"cfg": NEW.replace("num_classes=3", "num_classes=5")}))


def test_a_loaded_file_is_saved_with_its_contract_and_a_card(tmp_path: Path, make_video) -> None:
    recognizer = kinema.load(write(tmp_path / "a.pth", {"cfg": NEW, "dataset_meta": {"classes": ["a", "b", "c"]}}))
    folder = recognizer.save_pretrained(tmp_path / "saved")
    assert sorted(one.name for one in folder.iterdir()) == ["README.md", "config.json", "model.safetensors"]
    again = kinema.load(folder)
    assert again.classes == recognizer.classes
    assert torch.equal(again.scores(make_video()), recognizer.scores(make_video()))
    card = (folder / "README.md").read_text()
    assert card.startswith("---\nlibrary_name: kinema\npipeline_tag: video-classification\n")
    assert "ResNet3dSlowOnly with I3DHead" in card
    assert "clip_len 4, frame_interval 2, num_clips 2 (SampleFrames)" in card
    assert "## Classes (3)\n\na, b, c" in card


def test_a_recognizer_that_could_not_be_loaded_again_is_not_saved(tmp_path: Path) -> None:
    recognizer = kinema.load(write(tmp_path / "a.pth", {"cfg": NEW}))
    recognizer.contract = ModelContract()
    with pytest.raises(CheckpointError, match="not saved: the recognizer lacks the config of its model"):
        recognizer.save_pretrained(tmp_path / "saved")
    recognizer.pipeline = recognizer.pipeline[1:]
    with pytest.raises(CheckpointError, match="not saved: the recognizer lacks a pipeline that opens and decodes"):
        recognizer.save_pretrained(tmp_path / "saved")


def test_a_config_beside_a_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no checkpoint here"):
        kinema.load(tmp_path, config={})
