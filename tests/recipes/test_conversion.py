"""A config as a recipe, and recipes of one's own."""

from pathlib import Path
from typing import Any

import pytest

from command_line import kinema
from kinema.config import Config
from kinema.config.checking import check_parts
from kinema.engine.plan import DEFAULT_TYPES
from kinema.errors import ConfigError
from kinema.recipes import classification
from kinema.recipes.conversion import recipe_text, stretched

PIPELINE = [
    dict(type="DecordInit", io_backend="disk"),
    dict(type="SampleFrames", clip_len=4, frame_interval=2, num_clips=1),
    dict(type="DecordDecode"),
    dict(type="Resize", scale=(24, 24), keep_ratio=False),
    dict(type="FormatShape", input_format="NCTHW"),
    dict(type="PackActionInputs"),
]
FRAMES = [PIPELINE[1], dict(type="RawFrameDecode", io_backend="disk"), *PIPELINE[3:]]


def config(**changes: Any) -> dict[str, Any]:
    dataset = dict(type="VideoDataset", ann_file="list.txt", data_prefix=dict(video="videos"), pipeline=PIPELINE)
    loader = dict(
        batch_size=8, num_workers=2, persistent_workers=True, sampler=dict(type="DefaultSampler", shuffle=True)
    )
    return {
        "ann_file": "list.txt",
        "model": dict(
            type="Recognizer3D",
            backbone=dict(type="ResNet3dSlowOnly", depth=18, pretrained=None, lateral=False),
            cls_head=dict(type="I3DHead", num_classes=400, in_channels=512, average_clips="prob"),
            data_preprocessor=dict(
                type="ActionDataPreprocessor", mean=[120.0] * 3, std=[58.0] * 3, format_shape="NCTHW"
            ),
            train_cfg=None,
        ),
        "train_dataloader": {**loader, "dataset": dict(type="RepeatDataset", times=2, dataset=dataset)},
        "val_dataloader": {**loader, "batch_size": 1, "dataset": {**dataset, "pipeline": FRAMES, "test_mode": True}},
        "val_evaluator": dict(type="AccMetric"),
        "train_cfg": dict(type="EpochBasedTrainLoop", max_epochs=50, val_interval=2),
        "optim_wrapper": dict(optimizer=dict(type="SGD", lr=0.1)),
        "param_scheduler": [
            dict(type="LinearLR", start_factor=0.1, end=10),
            dict(type="MultiStepLR", milestones=[20, 40]),
        ],
        "auto_scale_lr": dict(enable=False, base_batch_size=64),
        "default_hooks": dict(
            timer=dict(type="IterTimerHook"),
            logger=dict(type="LoggerHook"),
            checkpoint=dict(type="CheckpointHook", interval=3),
        ),
        **changes,
    }


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    file = tmp_path / "own.py"
    file.write_text(recipe_text(Config(config()), "slow.py"))
    return file


def test_a_config_becomes_a_recipe_for_any_clips(recipe: Path, small_run: Path) -> None:
    made = classification(
        small_run.parent / "data", recipe=str(recipe), epochs=5, batch_size=3, workers=0, work_dir="w"
    )
    check_parts(made, DEFAULT_TYPES)
    assert made["model"]["cls_head"]["num_classes"] == 8
    assert "train_cfg" not in made["model"]
    train, val = made["train_dataloader"]["dataset"], made["val_dataloader"]["dataset"]
    assert train["times"] == 2
    assert Path(train["dataset"]["ann_file"]).name == "train.txt"
    assert [step["type"] for step in val["pipeline"]][:3] == ["OpenVideo", "SampleFrames", "DecodeVideo"]
    assert val["test_mode"] is True
    assert len(val["metainfo"]["classes"]) == 8
    assert (made["train_dataloader"]["batch_size"], made["val_dataloader"]["batch_size"]) == (3, 1)
    assert made["train_cfg"] == {"max_epochs": 5, "val_interval": 2}
    assert made["param_scheduler"][0]["end"] == 1
    assert made["param_scheduler"][1]["milestones"] == [2, 4]
    assert made["auto_scale_lr"] == {"enable": True, "base_batch_size": 64}
    assert set(made["default_hooks"]) == {"checkpoint"}
    notes = made["custom_hooks"][0]["notes"]["data"]
    assert (notes["model"], notes["sees"]) == ("ResNet3dSlowOnly", "1 x 4 frames, every 2")
    as_it_is = classification(small_run.parent / "data", recipe=str(recipe), pretrained="weights.pth")
    assert as_it_is["train_cfg"]["max_epochs"] == 50
    assert as_it_is["param_scheduler"] == config()["param_scheduler"]
    assert as_it_is["load_from"] == "weights.pth"


@pytest.mark.slow
def test_clips_are_trained_by_a_recipe_that_the_command_wrote(tmp_path: Path, small_run: Path) -> None:
    (tmp_path / "slow.py").write_text(Config(config()).pretty_text)
    written = kinema("config", tmp_path / "slow.py", "--as-recipe")
    assert written.returncode == 0, written.stderr
    (tmp_path / "own.py").write_text(written.stdout)
    done = kinema(
        *("train", small_run.parent / "data", "--recipe", "own.py", "--epochs", 1, "--workers", 0, "--no-trial"),
        *("--device", "cpu"),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert "crops as own.py says" in done.stdout + done.stderr
    assert (tmp_path / "work" / "data" / "summary.json").is_file()


WRONG = [
    (dict(train_cfg=None), r"c\.py: it has no training \(train_cfg\), of which a recipe is made"),
    (dict(train_cfg=dict(max_iters=5)), r"c\.py: a recipe is made of a config with train_cfg\.max_epochs, got None"),
    (dict(val_evaluator=None), r"c\.py: .* trains and validates: it has no val_evaluator"),
    (dict(model=dict(type="X")), r"c\.py: a recipe is made of a model with cls_head\.num_classes"),
    (dict(train_dataloader=({},)), r"c\.py: train_dataloader must be a dict, got a tuple"),
    (
        dict(train_dataloader=dict(dataset=dict(type="ConcatDataset", datasets=[]))),
        r"c\.py: a recipe is made of a config with one dataset, got train_dataloader\.dataset of several",
    ),
    (dict(train_dataloader=dict(dataset=dict(type="A"))), r"c\.py: train_dataloader\.dataset has no pipeline"),
    (
        dict(train_dataloader=dict(dataset=dict(pipeline=[dict(type="RawFrameDecode"), dict(modality="Flow")]))),
        r"c\.py: a recipe reads videos, and this config reads optical flow",
    ),
    (
        dict(train_dataloader=dict(dataset=dict(pipeline=[dict(type="PoseDecode")]))),
        r"c\.py: a recipe reads videos: its pipeline begins with 'PoseDecode', not with OpenVideo",
    ),
]


@pytest.mark.parametrize(("changes", "message"), WRONG)
def test_what_cannot_become_a_recipe_is_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        recipe_text(config(**changes), "c.py")


def test_schedules_in_batches_are_not_stretched() -> None:
    schedule = dict(type="CosineAnnealingLR", T_max=10, begin=0, end=10)
    assert stretched(schedule, 1) is schedule
    assert stretched(schedule, 0.5) == {**schedule, "T_max": 5, "end": 5}
    assert stretched({**schedule, "by_epoch": False}, 0.5) == {**schedule, "by_epoch": False}


FILES = [
    ("def other(): ...", {}, r"own\.py: a recipe is a file with a function recipe\(clips"),
    ("1 / 0", {}, r"own\.py: the recipe cannot be read: ZeroDivisionError"),
    (
        "def recipe(clips, *, work_dir, seed): return 3",
        {},
        r"own\.py: recipe\(\.\.\.\) must return a Config, got a int",
    ),
    ("def recipe(clips, *, work_dir, seed): return clips.x", {}, r"own\.py: recipe\(\.\.\.\) failed: AttributeError"),
    ("def recipe(clips, *, work_dir, seed): ...", dict(epochs=2), r"has no keyword 'epochs': it has work_dir, seed"),
    ("def recipe(clips): ...", dict(mixup=0.2, model=None), r"own\.py: a recipe of one's own settles mixup itself"),
]


@pytest.mark.parametrize(("text", "options", "message"), FILES)
def test_wrong_recipe_files_are_named(
    tmp_path: Path, small_run: Path, text: str, options: dict[str, Any], message: str
) -> None:
    (tmp_path / "own.py").write_text(text)
    with pytest.raises(ConfigError, match=message):
        classification(small_run.parent / "data", recipe=str(tmp_path / "own.py"), **options)


def test_a_recipe_file_that_is_not_there_is_named(small_run: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.py: there is no such recipe file; `kinema recipes` lists"):
        classification(small_run.parent / "data", recipe="none.py")
