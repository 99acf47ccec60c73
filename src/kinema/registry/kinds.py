"""The registries of Kinema, one a kind of part, and what is built otherwise than by `build_from_cfg`."""

from collections.abc import Mapping
from typing import Any

from kinema.real_modules import object_named
from kinema.registry.registry import Registry, build_from_cfg


def build_runner_from_cfg(cfg: Any, registry: Registry) -> Any:
    """Build the runner of a whole run by its `from_cfg`; the config's `runner_type` names it, default "Runner"."""
    if not isinstance(cfg, Mapping) or "type" in cfg:
        return build_from_cfg(cfg, registry)
    with registry.switch_scope_and_registry(cfg.get("_scope_")) as chosen:
        kind = cfg.get("runner_type", "Runner")
        part: Any = chosen.get(kind) if isinstance(kind, str) else kind
        if part is None:
            raise registry.unknown(kind)
        return part.from_cfg(cfg)


def build_model_from_cfg(
    cfg: Any, registry: Registry, default_args: Mapping[str, Any] | None = None, **defaults: Any
) -> Any:
    """Build a module; a list of configs gives a `Sequential` of them, which is a `BaseModule`."""
    if not isinstance(cfg, list):
        return build_from_cfg(cfg, registry, default_args, **defaults)
    sequential = object_named("kinema.models.base.Sequential")  # which imports this package
    return sequential(*(build_from_cfg(layer, registry, default_args, **defaults) for layer in cfg))


# Each name beside the package that holds its parts. Packages that do not exist yet are not named.
RUNNERS = Registry("runner", build_func=build_runner_from_cfg, locations=["kinema.engine"])
RUNNER_CONSTRUCTORS = Registry("runner constructor")
LOOPS = Registry("loop", locations=["kinema.engine"])
HOOKS = Registry("hook", locations=["kinema.hooks"])
LOG_PROCESSORS = Registry("log processor", locations=["kinema.engine"])
STRATEGIES = Registry("strategy")
OPTIMIZERS = Registry("optimizer", locations=["kinema.optim"])
OPTIM_WRAPPERS = Registry("optim wrapper", locations=["kinema.optim"])
OPTIM_WRAPPER_CONSTRUCTORS = Registry("optim wrapper constructor", locations=["kinema.optim"])
PARAM_SCHEDULERS = Registry("parameter scheduler", locations=["kinema.optim"])
DATASETS = Registry("dataset", locations=["kinema.datasets"])
DATA_SAMPLERS = Registry("data sampler", locations=["kinema.datasets"])
TRANSFORMS = Registry("transform", locations=["kinema.transforms"])
FUNCTIONS = Registry("function", locations=["kinema.datasets"])
MODELS = Registry("model", build_func=build_model_from_cfg, locations=["kinema.models"])
MODEL_WRAPPERS = Registry("model wrapper", locations=["kinema.models.wrappers"])
WEIGHT_INITIALIZERS = Registry("weight initializer", locations=["kinema.models"])
TASK_UTILS = Registry("task util")
METRICS = Registry("metric", locations=["kinema.evaluation"])
EVALUATOR = Registry("evaluator", locations=["kinema.evaluation"])
VISUALIZERS = Registry("visualizer", locations=["kinema.visualization"])
VISBACKENDS = Registry("tracker", locations=["kinema.runs"])
INFERENCERS = Registry("inferencer")
