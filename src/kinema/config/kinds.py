"""What kind of value each key of a run's config holds."""

from collections.abc import Iterator, Mapping
from pathlib import PurePath
from typing import Any

from kinema.errors import ConfigError

_DICT: tuple[type, ...] = (Mapping,)
_DICTS: tuple[type, ...] = (Mapping, list, tuple)
# Of a value that is data; objects, such as a model or an optimizer, are the business of their part.
_KINDS: dict[str, tuple[tuple[type, ...], str]] = {
    "model": (_DICT, "a dict with 'type', or a module"),
    **dict.fromkeys(("train_cfg", "val_cfg", "test_cfg"), (_DICT, "a dict such as dict(max_epochs=30)")),
    **dict.fromkeys(("val_evaluator", "test_evaluator"), (_DICTS, "a dict such as dict(type='AccMetric'), or a list")),
    "optim_wrapper": (_DICT, "a dict such as dict(optimizer=dict(type='SGD', lr=0.1))"),
    "param_scheduler": (_DICTS, "a dict such as dict(type='CosineAnnealingLR', T_max=30), or a list"),
    "default_hooks": (_DICT, "a dict such as dict(logger=dict(interval=20))"),
    "custom_hooks": ((list, tuple), "a list such as [dict(type='EMAHook')]"),
    "data_preprocessor": (_DICT, "a dict with 'type', or a module"),
    "randomness": (_DICT, "a dict such as dict(seed=0)"),
    "env_cfg": (_DICT, "a dict such as dict(cudnn_benchmark=True)"),
    "auto_scale_lr": (_DICT, "a dict such as dict(enable=True, base_batch_size=256)"),
    "log_processor": (_DICT, "a dict such as dict(window_size=20)"),
    "visualizer": (_DICT, "a dict such as dict(type='ActionVisualizer', vis_backends=[...])"),
    "strategy": ((str, Mapping), "a name such as 'ddp', or a dict"),
    "load_from": ((str, PurePath), "a file, folder or address"),
    "work_dir": ((str, PurePath), "a folder"),
    "resume": ((bool,), "True or False; load_from names the checkpoint"),
    "experiment_name": ((str,), "a name"),
}
_DATA = (Mapping, list, tuple, set, str, bytes, bool, int, float)


def check_kinds(config: Mapping[str, Any]) -> None:
    """Check that what a config says of a run is a dict where a dict is expected, and so on.

    Args:
        config: the arguments of `Runner` by name; None stands for a default.

    Raises:
        ConfigError: a value is of another kind.
    """
    for _, message in wrong_kinds(config):
        raise ConfigError(message)


def wrong_kinds(config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The keys whose value is of another kind than the run expects, with what is wrong."""
    for key, (kinds, expected) in _KINDS.items():
        value = config.get(key)
        if value is not None and isinstance(value, _DATA) and not isinstance(value, kinds):
            yield key, f"{key} must be {expected}, got {type(value).__name__}: {value!r}"
