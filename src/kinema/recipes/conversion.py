"""A config of OpenMMLab, or any other, as a recipe: a file with a function that trains any clips in the same way."""

import copy
import re
from collections.abc import Mapping, Sequence
from typing import Any

from kinema.config import Config
from kinema.errors import ConfigError
from kinema.openmmlab.configs import OPTIONAL_HOOKS
from kinema.openmmlab.keywords import needless_keywords
from kinema.openmmlab.names import ALIASES
from kinema.registry import DATASETS, HOOKS, MODELS, TRANSFORMS, Registry

_OWN_NAMES = {alias: name for name, aliases in ALIASES.items() for alias in aliases}
_CODE = re.compile(r"'@@(.*?)@@'")
# Of a dataset's config, what says how clips are read, and not which.
_KEPT_OF_DATASETS = ("modality", "start_index", "multi_class", "test_mode")
_KEPT = ("optim_wrapper", "param_scheduler", "precision", "strategy", "compile", "load_from", "find_unused_parameters")
_HEADER = '''\
"""How {name} trains, for any clips.

kinema train CLIPS --recipe THIS_FILE
"""

from kinema.config import Config
from kinema.recipes.clips import TrainingClips
from kinema.recipes.conversion import stretched


def recipe(
    clips: TrainingClips,
    *,
    epochs: int = {epochs},
    batch_size: int = {batch_size},
    workers: int = {workers},
    work_dir: str = "work/{stem}",
    seed: int = 0,
) -> Config:
    """The config of training on clips.

    The learning rate is for the clips of an update that `auto_scale_lr` names, and scaled to those
    of the run; schedules end with `epochs`.
    """
'''


def stretched(schedules: Any, factor: float) -> Any:
    """Schedules of learning rates whose epochs are multiplied by a factor, rounded to whole ones of at least 1.

    Args:
        schedules: config of a schedule, or a list of them; of several optimizers by name.
        factor: 1 leaves them as they are.
    """
    if factor == 1:
        return schedules
    if isinstance(schedules, Sequence):
        return [stretched(entry, factor) for entry in schedules]
    if "type" not in schedules:
        return {name: stretched(entry, factor) for name, entry in schedules.items()}
    if not schedules.get("by_epoch", True):
        return schedules

    def times(epochs: float) -> int:
        return max(1, round(epochs * factor)) if epochs else 0

    changed = dict(schedules)
    for key in ("begin", "end", "T_max", "step_size", "total_iters"):
        if isinstance(changed.get(key), int | float):
            changed[key] = times(changed[key])
    if changed.get("milestones") is not None:
        changed["milestones"] = [times(epochs) for epochs in changed["milestones"]]
    return changed


def recipe_text(config: Mapping[str, Any], name: str) -> str:
    """A config of a training as the text of a Python file with a function `recipe(clips, ...)`.

    What names clips, classes and folders becomes an argument; parts have Kinema's names; keywords and
    hooks that have no effect are left out. What a config has for tests is left out, too: the
    function's config trains and validates.

    Args:
        config: of a run that trains in epochs on videos, and validates.
        name: of its file.

    Raises:
        ConfigError: it trains on something else, or says not how long.
    """
    if not config.get("train_cfg"):
        raise ConfigError(f"{name}: it has no training (train_cfg), of which a recipe is made")
    epochs = config["train_cfg"].get("max_epochs")
    if not isinstance(epochs, int):
        raise ConfigError(f"{name}: a recipe is made of a config with train_cfg.max_epochs, got {epochs!r}")
    for key in ("model", "train_dataloader", "val_dataloader", "val_evaluator", "optim_wrapper"):
        if not config.get(key):
            raise ConfigError(f"{name}: a recipe is made of a config that trains and validates: it has no {key}")
    loader = config["train_dataloader"]
    content = {
        "model": _model(config["model"], name),
        "train_dataloader": _loader(loader, "train", name),
        "val_dataloader": _loader(config["val_dataloader"], "val", name),
        "val_evaluator": copy.deepcopy(config["val_evaluator"]),
        "train_cfg": {"max_epochs": "@@epochs@@", **_only(config["train_cfg"], ("val_begin", "val_interval"))},
        "val_cfg": {},
        **{key: copy.deepcopy(config[key]) for key in _KEPT if config.get(key)},
        **_scaling(config),
        "default_hooks": _hooks(config.get("default_hooks") or {}),
        "custom_hooks": [_without_needless(hook, HOOKS) for hook in config.get("custom_hooks") or ()],
        "randomness": {"seed": "@@seed@@"},
    }
    content = {key: value for key, value in content.items() if value not in ({}, []) or key == "val_cfg"}
    code = _CODE.sub(lambda match: match[1], "".join(_source(key, value) for key, value in content.items()))
    code = code.replace("spread_of_clips=", "**")
    header = _HEADER.format(
        name=name,
        stem=name.rpartition(".")[0] or name,
        epochs=epochs,
        batch_size=loader.get("batch_size", 1),
        workers=loader.get("num_workers", 0),
    )
    values = {key: f"stretched({key}, epochs / {epochs})" if key == "param_scheduler" else key for key in content}
    return "\n".join(
        [
            header.rstrip("\n"),
            *(f"    {line}" for line in code.splitlines()),
            "    return Config(",
            "        dict(",
            *(f"            {key}={value}," for key, value in values.items()),
            "            work_dir=work_dir,",
            "        )",
            "    )\n",
        ]
    )


def _source(key: str, value: Any) -> str:
    return Config({key: value}).pretty_text


def _only(values: Mapping[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    return {key: values[key] for key in keys if key in values}


def _model(model: Mapping[str, Any], name: str) -> Any:
    """The model's config, whose head has as many classes as the clips."""
    changed = {key: value for key, value in _without_needless(model, MODELS).items() if value is not None}
    head = changed.get("cls_head")
    if not isinstance(head, dict) or "num_classes" not in head:
        raise ConfigError(f"{name}: a recipe is made of a model with cls_head.num_classes")
    classes = head["num_classes"]

    def fitted(value: Any) -> Any:
        if isinstance(value, dict):
            return {
                key: "@@len(clips.classes)@@" if key == "num_classes" and entry == classes else fitted(entry)
                for key, entry in value.items()
            }
        return [fitted(entry) for entry in value] if isinstance(value, list) else value

    return fitted(changed)


def _loader(loader: Any, part: str, name: str) -> dict[str, Any]:
    """The config of a loader whose dataset reads the clips that it is given."""
    if not isinstance(loader, Mapping):
        raise ConfigError(f"{name}: {part}_dataloader must be a dict, got a {type(loader).__name__}")
    kept = {key: copy.deepcopy(value) for key, value in loader.items() if key not in ("dataset", "num_workers")}
    kept |= {"num_workers": "@@workers@@", "persistent_workers": "@@workers > 0@@"}
    if part == "train" or loader.get("batch_size", 1) > 1:
        kept["batch_size"] = "@@batch_size@@"
    return {**kept, "dataset": _dataset(loader.get("dataset"), part, name)}


def _dataset(dataset: Any, part: str, name: str) -> dict[str, Any]:
    if not isinstance(dataset, Mapping) or "datasets" in dataset:
        raise ConfigError(
            f"{name}: a recipe is made of a config with one dataset, got {part}_dataloader.dataset of several"
        )
    if isinstance(dataset.get("dataset"), Mapping):  # of a wrapper
        return {**copy.deepcopy(dict(dataset)), "dataset": _dataset(dataset["dataset"], part, name)}
    if "pipeline" not in dataset:
        raise ConfigError(f"{name}: {part}_dataloader.dataset has no pipeline")
    return {
        "spread_of_clips": f"@@clips.{part}_data@@",
        "metainfo": {"classes": "@@list(clips.classes)@@"},
        **_only(_without_needless(dataset, DATASETS), [key for key in _KEPT_OF_DATASETS if key != "multi_class"]),
        "pipeline": _pipeline(dataset["pipeline"], name),
    }


def _pipeline(steps: Sequence[Any], name: str) -> list[Any]:
    """The steps by Kinema's names; those that read files of frames read videos."""
    changed = [_without_needless(step, TRANSFORMS) for step in steps]
    kinds = [step.get("type") for step in changed]
    if "RawFrameDecode" in kinds:
        if any(step.get("modality") == "Flow" for step in changed):
            raise ConfigError(f"{name}: a recipe reads videos, and this config reads optical flow")
        place = kinds.index("RawFrameDecode")
        changed[place] = {"type": "DecodeVideo"}
        changed.insert(0, {"type": "OpenVideo"})
    if "OpenVideo" not in [step.get("type") for step in changed]:
        raise ConfigError(f"{name}: a recipe reads videos: its pipeline begins with {kinds[0]!r}, not with OpenVideo")
    return changed


def _without_needless(value: Any, registry: Registry) -> Any:
    """A config of parts by Kinema's names, without the keywords that have no effect."""
    if isinstance(value, Mapping):
        kind = value.get("type")
        part = registry.get(kind) if isinstance(kind, str) else kind
        dropped = set() if part is None else set(needless_keywords(part))
        if isinstance(kind, str) and _OWN_NAMES.get(kind) is not None:
            dropped |= {"io_backend", "mode", "multi_thread"}  # of a decoder: clips are local, frames exact
        changed = {
            key: _without_needless(entry, registry)
            for key, entry in value.items()
            if key not in dropped and not (key == "init_cfg" and entry is None)
        }
        if isinstance(kind, str):
            changed["type"] = _OWN_NAMES.get(kind, kind)
        return changed
    if isinstance(value, list | tuple):
        return type(value)(_without_needless(entry, registry) for entry in value)
    return copy.deepcopy(value)


def _scaling(config: Mapping[str, Any]) -> dict[str, Any]:
    size = (config.get("auto_scale_lr") or {}).get("base_batch_size")
    return {} if size is None else {"auto_scale_lr": {"enable": True, "base_batch_size": size}}


def _hooks(entries: Mapping[str, Any]) -> dict[str, Any]:
    """What a config changes of the hooks that every run has."""
    changed = {}
    for key, entry in entries.items():
        kind = entry.get("type") if isinstance(entry, Mapping) else None
        if key in OPTIONAL_HOOKS or kind in OPTIONAL_HOOKS.values() or key == "visualization":
            continue
        changed[key] = _without_needless(entry, HOOKS)
    return {key: entry for key, entry in changed.items() if not entry or set(entry) - {"type"}}
