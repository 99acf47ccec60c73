import copy

import pytest

from kinema.errors import ConfigError
from kinema.openmmlab.configs import (
    from_0x,
    is_of_0x,
    keys_not_read,
    pipeline_of_tests,
    without_pretrained,
)

OLD = {
    "model": {
        "type": "Recognizer2D",
        "backbone": {"type": "ResNet", "depth": 50},
        "cls_head": {"type": "TSNHead", "num_classes": 5},
        "train_cfg": None,
        "test_cfg": {"average_clips": "score", "fcn_test": True},
    },
    "data": {
        "test": {
            "pipeline": [
                {"type": "SampleFrames", "clip_len": 1},
                {"type": "Normalize", "mean": [1, 2, 3], "std": [4, 5, 6], "to_bgr": False},
                {"type": "FormatShape", "input_format": "NCHW"},
                {"type": "Collect", "keys": ["imgs", "label"]},
                {"type": "ToTensor", "keys": ["imgs"]},
            ]
        }
    },
}


def test_a_config_of_0x_becomes_one_of_today() -> None:
    before = copy.deepcopy(OLD)
    assert is_of_0x(OLD)
    assert from_0x(OLD) == {
        "model": {
            "type": "Recognizer2D",
            "backbone": {"type": "ResNet", "depth": 50},
            "cls_head": {"type": "TSNHead", "num_classes": 5, "average_clips": "score"},
            "data_preprocessor": {
                "type": "ActionDataPreprocessor",
                "format_shape": "NCHW",
                "mean": [1, 2, 3],
                "std": [4, 5, 6],
                "to_rgb": False,
            },
            "test_cfg": {"fcn_test": True},
        },
        "test_pipeline": [
            {"type": "SampleFrames", "clip_len": 1},
            {"type": "FormatShape", "input_format": "NCHW"},
            {"type": "PackActionInputs"},
        ],
    }
    assert before == OLD


def test_a_config_of_0x_without_a_pipeline_tests_with_none() -> None:
    assert from_0x({"model": {}, "data": {}})["test_pipeline"] is None


def test_the_pipeline_of_tests_is_looked_for_where_configs_have_it() -> None:
    steps, others = [{"type": "A"}], [{"type": "B"}]
    loader = {"dataset": {"pipeline": others}}
    assert not is_of_0x({"test_pipeline": steps})
    assert pipeline_of_tests({"test_pipeline": steps, "test_dataloader": loader}) == steps
    assert pipeline_of_tests({"test_dataloader": None, "val_dataloader": loader}) == others
    assert pipeline_of_tests({}) is None


def test_image_weights_are_left_out_of_the_backbone_and_its_pathways() -> None:
    pathways = {"slow_pathway": {"pretrained": "a"}, "fast_pathway": {"depth": 50}}
    model = {"backbone": {"pretrained": "torchvision://resnet50", **pathways}}
    before = copy.deepcopy(model)
    assert without_pretrained(model)["backbone"] == {
        "pretrained": None,
        "slow_pathway": {"pretrained": None},
        "fast_pathway": {"depth": 50},
    }
    assert model == before
    initial = {"init_cfg": {"type": "Pretrained", "checkpoint": "b.pth"}}
    bare = {"backbone": {"init_cfg": None}, "cls_head": {"init_cfg": None}}
    assert without_pretrained({"backbone": initial, "cls_head": initial}) == bare
    constant = {"backbone": {"init_cfg": {"type": "Constant", "val": 0}}}
    assert without_pretrained(constant) == constant
    assert without_pretrained({"backbone": None}) == {"backbone": None}


def test_keys_that_a_run_does_not_read_are_listed() -> None:
    known = {"model", "param_scheduler"}
    config = {"model": 1, "custom_imports": 2, "test_pipeline": 3, "vis_backends": 4, "data_root": 5, "_mine": 6}
    assert keys_not_read(config, known) == ["vis_backends", "data_root", "_mine"]


@pytest.mark.parametrize(
    ("key", "near"),
    [("param_schedular", "param_scheduler"), ("optim_wraper", "optim_wrapper"), ("load_form", "load_from")],
)
def test_a_misspelled_key_is_an_error_that_names_the_right_one(key: str, near: str) -> None:
    with pytest.raises(ConfigError, match=f"the config's key '{key}' is not known: did you mean {near}?"):
        keys_not_read({key: 1}, {"param_scheduler", "optim_wrapper", "load_from", "val_cfg"})


def test_a_variable_that_another_entry_holds_is_no_misspelling() -> None:
    loader = {"batch_size": 2}
    known = {"train_cfg", "val_dataloader"}
    config = {"all_dataloader": loader, "train_cfg": {"other_loaders": [{"batch_size": 2}]}}
    assert keys_not_read(config, known) == ["all_dataloader"]
    with pytest.raises(ConfigError, match="'all_dataloader' is not known: did you mean val_dataloader"):
        keys_not_read({**config, "train_cfg": {"other_loaders": [{"batch_size": 3}]}}, known)


def test_a_variable_of_another_first_word_is_no_misspelling() -> None:
    assert keys_not_read({"image_dataloader": {"batch_size": 2}}, {"val_dataloader"}) == ["image_dataloader"]
