"""What a run shall do, read from its config: typed, complete, and without building anything."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kinema.config.kinds import check_kinds
from kinema.config.sections import Section
from kinema.config.values import check_types, naming
from kinema.datasets import ReproducibleLoader
from kinema.engine.openmmlab_loops import EpochBasedTrainLoop, IterBasedTrainLoop
from kinema.errors import ConfigError
from kinema.hooks import CheckpointHook, LoggerHook
from kinema.hooks.validation import ValidationHook
from kinema.launching import LAUNCHERS
from kinema.openmmlab.configs import ENVIRONMENT, OPTIONAL_HOOKS, SCALING, base_batch_size_of, cudnn_benchmark_of
from kinema.openmmlab.distribution import CONNECTION, connection_of, strategy_of
from kinema.optim.precision import DTYPES
from kinema.randomness import seed_everything
from kinema.runs.trackers import tracker_configs
from kinema.spelling import nearest
from kinema.training.progress import Until

DEFAULT_HOOKS = {
    "runtime_info": "RuntimeInfoHook",
    "param_scheduler": "ParamSchedulerHook",
    "logger": "LoggerHook",
    "checkpoint": "CheckpointHook",
    "stop": "StopSignalHook",
    "broken": "BrokenVideosHook",
    "nonfinite": "NonFiniteHook",
    "hang": "HangHook",
}
# Parts whose config may leave the type out, by dotted path.
DEFAULT_TYPES = {
    "optim_wrapper": "OptimWrapper",
    "log_processor": "LogProcessor",
    **{f"default_hooks.{key}": DEFAULT_HOOKS[key] for key in DEFAULT_HOOKS},
}
# Keys of train_cfg that say how long to train, when to validate and when to end early.
_OF_LENGTH = ("max_epochs", "max_iters", "max_steps")
_OF_VALIDATION = ("val_begin", "val_interval", "dynamic_intervals")
_PLAIN_LOOPS = ("EpochBasedTrainLoop", "IterBasedTrainLoop", EpochBasedTrainLoop, IterBasedTrainLoop)


_OF_TRAINING = ("by_epoch", *_OF_LENGTH, *_OF_VALIDATION, "patience")  # of a plain loop
_RANDOMNESS = ("seed", "deterministic", "diff_rank_seed")
# What a config says of a run beside its parts, by dotted path.
SECTIONS = {
    "optim_wrapper.clip_grad": Section(
        ("type", "max_norm", "norm_type", "clip_value", "error_if_nonfinite", "foreach")
    ),
    "train_cfg": Section(_OF_TRAINING, (EpochBasedTrainLoop, IterBasedTrainLoop)),
    "randomness": Section(_RANDOMNESS, (seed_everything,)),
    "env_cfg": Section(ENVIRONMENT),
    "env_cfg.dist_cfg": Section(CONNECTION),
    "auto_scale_lr": Section(SCALING),
}


@dataclass(frozen=True)
class Phase:
    """Training, validation or test: its loader, its loop's settings, its metrics; configs or objects."""

    loader: Any
    loop: Mapping[str, Any]
    evaluator: Any = None


@dataclass(frozen=True, kw_only=True)
class RunPlan:
    """A run: what `plan_of` read.

    Attributes:
        model: its config, or the model.
        work_dir: folder for the files of the run.
        train, val, test: None: there is no such phase.
        until: how far to train; None: no training, or one that a loop of the user's own measures.
        optim_wrapper, param_scheduler: configs or objects.
        hooks: configs or objects, those of the user among them.
        load_from, resume: see `Runner`.
        strategy: arguments of `choose_strategy`.
        base_batch_size: for which the learning rate was chosen; None: it stays as it is.
        compiled: settings of `compile_model`; False: nothing is compiled.
        cudnn_benchmark: let cuDNN try its algorithms for the sizes that it meets.
        seed: None: one is drawn.
        log_processor: config or object that makes the lines of the log; None: Kinema's own lines.
        auto_scale_lr: as it was given, for `Runner.scale_lr`.
    """

    model: Any
    work_dir: Path
    train: Phase | None = None
    val: Phase | None = None
    test: Phase | None = None
    until: Until | None = None
    optim_wrapper: Any = None
    param_scheduler: Any = None
    hooks: Sequence[Any] = ()
    data_preprocessor: Any = None
    load_from: Any = None
    resume: bool = False
    launcher: str = "none"
    precision: str = "fp32"
    strategy: Mapping[str, Any] = field(default_factory=dict)
    base_batch_size: int | None = None
    compiled: bool | Mapping[str, Any] = False
    cudnn_benchmark: bool = False
    seed: int | None = None
    deterministic: bool = False
    device: str = "auto"
    experiment_name: str = ""
    log_processor: Any = None
    auto_scale_lr: Mapping[str, Any] = field(default_factory=dict)


def plan_of(config: Mapping[str, Any]) -> RunPlan:
    """The plan of a config.

    Args:
        config: the arguments of `Runner` by name.

    Raises:
        ConfigError: a value is of a wrong kind, unknown, or does not fit another.
    """
    check_kinds(config)
    phases = {split: _phase(config, split) for split in ("train", "val", "test")}
    train_cfg = dict(phases["train"].loop) if phases["train"] is not None else {}
    randomness = _randomness(config.get("randomness") or {})
    work_dir = Path(os.fspath(config["work_dir"]))
    connection_of(config.get("env_cfg") or {})
    _one_of("launcher", config.get("launcher") or "none", LAUNCHERS)
    _one_of("precision", config.get("precision") or "fp32", ("auto", *DTYPES))
    return RunPlan(
        model=config["model"],
        work_dir=work_dir,
        train=phases["train"],
        val=phases["val"],
        test=phases["test"],
        until=_until(train_cfg) if phases["train"] is not None else None,
        optim_wrapper=config.get("optim_wrapper"),
        param_scheduler=config.get("param_scheduler"),
        hooks=(
            *_default_hooks(config.get("default_hooks") or {}, config.get("custom_hooks") or ()),
            *_hooks_of_loop(train_cfg),
            *(config.get("custom_hooks") or ()),
            *_tracking(config),
        ),
        data_preprocessor=config.get("data_preprocessor"),
        load_from=config.get("load_from"),
        resume=bool(config.get("resume")),
        launcher=config.get("launcher") or "none",
        precision=config.get("precision") or "fp32",
        strategy=strategy_of(config),
        base_batch_size=base_batch_size_of(config.get("auto_scale_lr") or {}),
        compiled=_compiled(config.get("compile") or False),
        cudnn_benchmark=cudnn_benchmark_of(config.get("env_cfg") or {}) and not randomness.get("deterministic"),
        seed=randomness.get("seed"),
        deterministic=bool(randomness.get("deterministic")),
        device=config.get("device") or "auto",
        experiment_name=config.get("experiment_name") or work_dir.name,
        log_processor=config.get("log_processor"),
        auto_scale_lr=config.get("auto_scale_lr") or {},
    )


def _phase(config: Mapping[str, Any], split: str) -> Phase | None:
    """Loader, loop settings and evaluator of a split, which are given together."""
    names = [f"{split}_dataloader", f"{split}_cfg"] + ([f"{split}_evaluator"] if split != "train" else [])
    values = [config.get(name) for name in names]
    missing = [name for name, value in zip(names, values, strict=True) if value is None]
    if len(missing) == len(names):
        return None
    if missing:
        raise ConfigError(f"{' and '.join(missing)} missing: {', '.join(names)} are given together or not at all")
    if isinstance(values[0], list | tuple):
        raise ConfigError(
            f"{names[0]} must be a dict, got a {type(values[0]).__name__} of {len(values[0])}: a comma behind its"
            " closing bracket makes a tuple of it"
        )
    check_types(ReproducibleLoader, values[0], names[0])
    return Phase(values[0], dict(values[1] or {}), values[2] if len(values) > 2 else None)


def _until(train_cfg: Mapping[str, Any]) -> Until | None:
    """How far the settings of a training loop say to train; None: a loop of the user's own counts in its own way."""
    check_types(EpochBasedTrainLoop, train_cfg, "train_cfg")
    check_types(IterBasedTrainLoop, train_cfg, "train_cfg")
    given = {name: train_cfg[name] for name in _OF_LENGTH if train_cfg.get(name) is not None}
    if not given and not is_plain(train_cfg):
        return None
    if len(given) != 1:
        raise ConfigError(f"train_cfg needs one of {', '.join(_OF_LENGTH)}, got {', '.join(given) or 'none'}")
    ((name, value),) = given.items()
    unit = {"max_epochs": "epochs", "max_iters": "iterations", "max_steps": "steps"}[name]
    if train_cfg.get("by_epoch", unit == "epochs") != (unit == "epochs"):
        raise ConfigError(f"train_cfg: by_epoch={train_cfg['by_epoch']} does not go with {name}")
    with naming("train_cfg"):
        return Until(**{unit: value})


def is_plain(train_cfg: Mapping[str, Any]) -> bool:
    """Is the training loop one of Kinema's, and not the user's own?

    Raises:
        ConfigError: it has no such setting.
    """
    if train_cfg.get("type", "EpochBasedTrainLoop") not in _PLAIN_LOOPS:
        return False
    known = ("type", *_OF_TRAINING)
    for key in train_cfg:
        if key not in known:
            near = nearest(key, known, count=1)
            hint = f"did you mean {near[0]}? " if near else ""
            raise ConfigError(f"train_cfg has no {key!r}: {hint}It takes {', '.join(known)}")
    return True


def _hooks_of_loop(train_cfg: Mapping[str, Any]) -> list[Any]:
    """The hooks that do what `train_cfg` says of validations and of an early end."""
    if not train_cfg:
        return []
    by_epoch = train_cfg.get("max_epochs") is not None
    interval = train_cfg.get("val_interval", 1 if by_epoch else 1000)
    with naming("train_cfg"):
        validation = ValidationHook(
            interval, train_cfg.get("val_begin", 1), by_epoch, train_cfg.get("dynamic_intervals") or ()
        )
    patience = train_cfg.get("patience")
    return [validation, *([] if patience is None else [{"type": "PatienceHook", "patience": patience}])]


def _default_hooks(entries: Mapping[str, Any], custom: Sequence[Any]) -> list[Any]:
    """Configs of the hooks that every run has, changed by the entries of `default_hooks`.

    None removes a hook; a type of the user's own replaces it.
    """
    check_types(LoggerHook, entries.get("logger"), "default_hooks.logger")
    checkpoint = dict(entries.get("checkpoint") or {}) if isinstance(entries.get("checkpoint"), Mapping) else {}
    checkpoint.pop("interval", None)  # which may be a text
    check_types(CheckpointHook, checkpoint, "default_hooks.checkpoint")
    hooks = []
    for name, entry in {**{key: {} for key in DEFAULT_HOOKS}, **entries}.items():
        if entry is None:
            continue
        kind = DEFAULT_HOOKS.get(name) or OPTIONAL_HOOKS.get(name)
        if not isinstance(entry, Mapping):
            hooks.append(entry)
        else:
            hooks.append({"type": kind, **entry} if kind is not None else dict(entry))
    replaced = {kind if isinstance(kind, str) else kind.__name__ for kind in map(_type_of, custom)}
    return [hook for hook in hooks if _type_of(hook) != "BrokenVideosHook" or "BrokenVideosHook" not in replaced]


def _tracking(config: Mapping[str, Any]) -> list[Any]:
    """The hook of the trackers that the config asks for, in our form or in OpenMMLab's."""
    trackers = tracker_configs(config.get("trackers"), config.get("visualizer"))
    folder = Path(os.fspath(config["work_dir"])) / "vis_data"
    return [{"type": "TrackingHook", "trackers": trackers, "folder": folder}] if trackers else []


def _type_of(hook: Any) -> Any:
    return hook.get("type", "") if isinstance(hook, Mapping) else type(hook)


def _randomness(settings: Mapping[str, Any]) -> Mapping[str, Any]:
    unknown = sorted(set(settings) - set(_RANDOMNESS))
    if unknown:
        raise ConfigError(f"randomness has no {unknown[0]!r}: it takes seed and deterministic")
    check_types(seed_everything, settings, "randomness")
    return settings


def _compiled(settings: Any) -> bool | Mapping[str, Any]:
    if not isinstance(settings, bool | Mapping):
        raise ConfigError(f"compile must be True, False or a dict of torch.compile's keywords, got {settings!r}")
    return settings


def _one_of(name: str, value: Any, known: Sequence[str]) -> None:
    if value not in known:
        raise ConfigError(f"{name} must be one of {', '.join(known)}, got {value!r}")
