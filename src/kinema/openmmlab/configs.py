"""Configs of MMAction2: where they keep things, and those of 0.x in the terms of 1.x."""

import copy
import logging
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from kinema.errors import ConfigError
from kinema.spelling import nearest

logger = logging.getLogger("kinema")

# Keys that a config of a run may have: one of them is no misspelling of another.
TOP_LEVEL_KEYS = (
    *("model", "work_dir", "train_dataloader", "val_dataloader", "test_dataloader", "train_cfg", "val_cfg", "test_cfg"),
    *("auto_scale_lr", "optim_wrapper", "param_scheduler", "val_evaluator", "test_evaluator", "default_hooks"),
    *("custom_hooks", "data_preprocessor", "load_from", "resume", "launcher", "env_cfg", "log_processor", "log_level"),
    *("visualizer", "default_scope", "randomness", "experiment_name", "device", "precision", "strategy", "compile"),
    *("sync_bn", "find_unused_parameters", "model_wrapper_cfg", "trackers"),
    *("custom_imports", "train_pipeline", "val_pipeline", "test_pipeline", "vis_backends", "runner_type"),
)
# Those of them that are read where the runner does not see it.
_READ_ELSEWHERE = ("custom_imports", "train_pipeline", "val_pipeline", "test_pipeline")

# Steps of a 0.x pipeline whose work the data preprocessor and `PackActionInputs` do.
_REPLACED_STEPS = ("Normalize", "Collect", "ToTensor")


def is_of_0x(config: Mapping[str, Any]) -> bool:
    """True for a config of MMAction2 0.x, which keeps its datasets under `data`."""
    return "data" in config


def from_0x(config: Mapping[str, Any]) -> dict[str, Any]:
    """Model and test pipeline of a config of MMAction2 0.x, in the terms of 1.x.

    0.x normalised in the pipeline, and averaged as `test_cfg` said.
    """
    model = dict(config.get("model") or {})
    test_cfg = dict(model.pop("test_cfg", None) or config.get("test_cfg") or {})
    model.pop("train_cfg", None)
    head = {**(model.get("cls_head") or {}), "average_clips": test_cfg.pop("average_clips", None) or "prob"}
    data = config["data"]
    steps = [dict(step) for step in ((data.get("test") or data.get("val") or {}).get("pipeline") or ())]
    shape = next((step.get("input_format") for step in steps if step.get("type") == "FormatShape"), "NCHW")
    preprocessor: dict[str, Any] = {"type": "ActionDataPreprocessor", "format_shape": shape}
    for step in steps:
        if step.get("type") == "Normalize":
            preprocessor.update(mean=step.get("mean"), std=step.get("std"), to_rgb=bool(step.get("to_bgr", False)))
    kept = [step for step in steps if step.get("type") not in _REPLACED_STEPS]
    return {
        "model": {**model, "cls_head": head, "data_preprocessor": preprocessor, "test_cfg": test_cfg or None},
        "test_pipeline": [*kept, {"type": "PackActionInputs"}] if kept else None,
    }


def keys_not_read(config: Mapping[str, Any], known: Collection[str]) -> list[str]:
    """The top-level keys of a config that a run does not read: variables of the config, say.

    Args:
        config: of a run.
        known: the keys that the run reads.

    Raises:
        ConfigError: a key looks like a misspelling of a known one, and its value is not part of another entry.
    """
    for key, near in misspelled_keys(config, known).items():
        raise ConfigError(f"the config's key {key!r} is not known: did you mean {near}? A variable needs another name")
    return [key for key in config if key not in known and key not in _READ_ELSEWHERE]


def misspelled_keys(config: Mapping[str, Any], known: Collection[str]) -> dict[str, str]:
    """The top-level keys that look like a misspelling of a known one, which is the value here.

    A key whose value is part of another entry is a variable.
    """
    near = {
        key: nearest(key, known, count=1, cutoff=0.8)
        for key in config
        if key not in known and key not in TOP_LEVEL_KEYS and not _is_used(key, config)
    }
    return {key: names[0] for key, names in near.items() if names and _looks_misspelled(key, names[0])}


def _looks_misspelled(key: str, known: str) -> bool:
    """Whether each word of `key` looks like that of `known`: `val_dataloder`, but not `image_dataloader`."""
    words, others = key.split("_"), known.split("_")
    return len(words) != len(others) or all(nearest(word, [other]) for word, other in zip(words, others, strict=True))


def _is_used(key: str, config: Mapping[str, Any]) -> bool:
    """Whether the value of `key` is inside another entry, as that of a variable is; plain numbers say nothing."""
    value = config[key]
    if not value or not isinstance(value, Mapping | Sequence):
        return False
    return any(_holds(entry, value) for other, entry in config.items() if other != key)


def _holds(entry: Any, value: Any) -> bool:
    """Whether `value` equals one of the values inside `entry`."""
    inner = entry.values() if isinstance(entry, Mapping) else entry if isinstance(entry, list | tuple) else ()
    return any(item == value or _holds(item, value) for item in inner)


# OpenMMLab's default hooks that a run of Kinema does without, by their names in `default_hooks`: the
# logger measures, samplers know their epoch, and norms are alike in all processes.
OPTIONAL_HOOKS = {
    "timer": "IterTimerHook",
    "sampler_seed": "DistSamplerSeedHook",
    "sync_buffers": "SyncBuffersHook",
}


# Keys of `env_cfg` that need nothing, and why.
_ENVIRONMENT = {
    "mp_cfg": "the loaders set up their processes and threads",
    "resource_limit": "a loader opens few files at a time",
}
ENVIRONMENT = ("cudnn_benchmark", "dist_cfg", *_ENVIRONMENT)
SCALING = ("enable", "base_batch_size")


def cudnn_benchmark_of(env_cfg: Any) -> bool:
    """Whether `env_cfg` asks for cuDNN's benchmark.

    Raises:
        ConfigError: it has another key, or is no dict.
    """
    if not isinstance(env_cfg, Mapping):
        raise ConfigError(f"env_cfg must be a dict such as dict(cudnn_benchmark=True), got {env_cfg!r}")
    for key in env_cfg:
        if key not in ENVIRONMENT:
            raise ConfigError(f"env_cfg has no {key!r}: it takes {', '.join(ENVIRONMENT)}")
    return bool(env_cfg.get("cudnn_benchmark"))


def log_needless_environment(env_cfg: Mapping[str, Any]) -> None:
    """Log the keys of `env_cfg` that need nothing here."""
    if given := [key for key in _ENVIRONMENT if env_cfg.get(key)]:
        logger.info("env_cfg: without effect: %s", "; ".join(f"{key} ({_ENVIRONMENT[key]})" for key in given))


def base_batch_size_of(auto_scale_lr: Any) -> int | None:
    """The batch size for which the learning rate of a config was chosen; None: the rate stays as it is.

    Raises:
        ConfigError: it is no dict of `enable` and `base_batch_size`, or enabled without the latter.
    """
    if not isinstance(auto_scale_lr, Mapping) or set(auto_scale_lr) - set(SCALING):
        raise ConfigError(
            f"auto_scale_lr must be a dict such as dict(enable=True, base_batch_size=256), got {auto_scale_lr!r}"
        )
    if not auto_scale_lr.get("enable", False):
        return None
    size = auto_scale_lr.get("base_batch_size")
    if not isinstance(size, int) or isinstance(size, bool) or size < 1:
        raise ConfigError(f"auto_scale_lr.base_batch_size must be a whole number of at least 1, got {size!r}")
    return size


def pipeline_of_tests(config: Mapping[str, Any]) -> Sequence[Any] | None:
    """The pipeline that a config tests with; None when it has none."""
    pipeline = config.get("test_pipeline")
    for loader in ("test_dataloader", "val_dataloader"):
        pipeline = pipeline or ((config.get(loader) or {}).get("dataset") or {}).get("pipeline")
    return pipeline or None


def without_pretrained(model: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of a model's config whose head, backbone and its pathways name no weights to start from."""
    plain = copy.deepcopy(dict(model))
    backbone = plain.get("backbone") or {}
    for part in (plain.get("cls_head"), backbone, backbone.get("slow_pathway"), backbone.get("fast_pathway")):
        if not isinstance(part, dict):
            continue
        if part.get("pretrained"):
            part["pretrained"] = None
        if isinstance(part.get("init_cfg"), Mapping) and part["init_cfg"].get("type") == "Pretrained":
            part["init_cfg"] = None
    return plain
