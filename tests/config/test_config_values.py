import pytest
from toy_run import run_config

from kinema.config import Config, parse_override
from kinema.config.kinds import check_kinds
from kinema.config.values import naming
from kinema.engine import Runner
from kinema.errors import ConfigError


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("optim_wrapper.optimizer.lr=abc", r"optim_wrapper\.optimizer\.lr must be a number, got 'abc'"),
        ("optim_wrapper.optimizer.lr=[1,2]", r"optim_wrapper\.optimizer\.lr must be a number, got \[1, 2\]"),
        (
            "optim_wrapper.optimizer.lr=-1",
            r"optim_wrapper\.optimizer: SGD takes no such values: Invalid learning rate: -1",
        ),
        (
            "optim_wrapper.optimizer.nesterov=maybe",
            r"optim_wrapper\.optimizer\.nesterov must be True or False, got 'maybe'",
        ),
        ("optim_wrapper.accumulative_counts=x", r"optim_wrapper\.accumulative_counts must be a number, got 'x'"),
        ("optim_wrapper.accumulative_counts=0", r"optim_wrapper: .*accumulative_counts must be at least 1, got 0"),
        ("optim_wrapper.clip_grad.max_norm=big", r"optim_wrapper\.clip_grad\.max_norm must be a number, got 'big'"),
        ("optim_wrapper.clip_grad=5", r"optim_wrapper: .*clip_grad must be a dict"),
        (
            "optim_wrapper.optimizer={'type': 'Adam', 'betas': 3}",
            r"optim_wrapper\.optimizer\.betas must be a list of numbers, got 3",
        ),
        ("param_scheduler.end=soon", r"param_scheduler\.end must be a number, got 'soon'"),
        (
            "param_scheduler=[{'type': 'StepLR', 'step_size': 'x'}]",
            r"param_scheduler\.0\.step_size must be a number, got 'x'",
        ),
        (
            "param_scheduler=[{'type': 'MultiStepLR', 'milestones': 'x'}]",
            r"param_scheduler\.0\.milestones must be a list of numbers",
        ),
        ("train_dataloader.batch_size=abc", r"train_dataloader\.batch_size must be a number, got 'abc'"),
        ("train_dataloader.batch_size=0", r"train_dataloader: batch_size should be a positive integer"),
        ("train_dataloader.num_workers=two", r"train_dataloader\.num_workers must be a number, got 'two'"),
        ("train_dataloader.num_workers=-1", r"train_dataloader: num_workers option should be non-negative"),
        ("train_dataloader.timeout=long", r"train_dataloader\.timeout must be a number, got 'long'"),
        ("train_dataloader.max_broken_share=all", r"train_dataloader\.max_broken_share must be a number, got 'all'"),
        ("val_dataloader.batch_size=abc", r"val_dataloader\.batch_size must be a number, got 'abc'"),
        ("val_dataloader.allow_broken=perhaps", r"val_dataloader\.allow_broken must be True or False, got 'perhaps'"),
        ("train_cfg.max_epochs=abc", r"train_cfg\.max_epochs must be a number, got 'abc'"),
        ("train_cfg.max_epochs=0", r"train_cfg: max_epochs must be at least 1, got max_epochs=0"),
        (
            "default_hooks.checkpoint.interval=x",
            r"default_hooks\.checkpoint\.interval: expected .* got 'x'",
        ),
        ("default_hooks.logger.interval=x", r"default_hooks\.logger\.interval must be a number, got 'x'"),
        ("randomness.seed=abc", r"randomness\.seed must be a number, got 'abc'"),
        ("randomness.deterministic=abc", r"randomness\.deterministic must be True or False, got 'abc'"),
    ],
)
def test_a_value_of_a_wrong_kind_names_its_key(tmp_path, override, message):
    config = Config(run_config(tmp_path))
    config.merge_from_dict(dict([parse_override(override)]))
    with pytest.raises(ConfigError, match=message):
        Runner.from_cfg(config).train()
    assert not (tmp_path / "checkpoints").exists()


def test_errors_about_user_files_are_left_as_they_are():
    with pytest.raises(ConfigError, match=r"^of its own$"), naming("train_cfg"):
        raise ConfigError("of its own")
    with pytest.raises(ConfigError, match=r"^train_cfg: cannot be used \(KeyError\)$"), naming("train_cfg"):
        raise KeyError


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        (
            "default_hooks",
            [1],
            r"default_hooks must be a dict such as dict\(logger=dict\(interval=20\)\), got list: \[1\]",
        ),
        ("custom_hooks", "EMAHook", "custom_hooks must be a list such as .*, got str: 'EMAHook'"),
        ("custom_hooks", {"type": "EMAHook"}, "custom_hooks must be a list such as .*, got dict: "),
        ("train_cfg", 5, "train_cfg must be a dict such as dict\\(max_epochs=30\\), got int: 5"),
        ("val_evaluator", "AccMetric", "val_evaluator must be a dict such as .*, or a list, got str: 'AccMetric'"),
        ("model", "slowonly_r50", "model must be a dict with 'type', or a module, got str: 'slowonly_r50'"),
        ("randomness", 3, "randomness must be a dict such as dict\\(seed=0\\), got int: 3"),
        ("visualizer", True, "visualizer must be a dict such as .*, got bool: True"),
        ("load_from", 3, "load_from must be a file, folder or address, got int: 3"),
        ("resume", "maybe", "resume must be True or False; load_from names the checkpoint, got str: 'maybe'"),
    ],
)
def test_each_key_of_a_run_takes_its_kind_of_value(key, value, message):
    with pytest.raises(ConfigError, match=f"^{message}"):
        check_kinds({key: value})


def test_none_and_objects_are_left_to_the_part_that_takes_them():
    check_kinds({"custom_hooks": None, "optim_wrapper": object(), "model": object(), "resume": None})
