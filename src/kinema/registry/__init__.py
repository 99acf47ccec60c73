"""Registries: an index of parts by name, one registry a kind of part.

A part is a class, or a function that returns one configured object. Parts work without any
registry; a registry only lets a config name them::

    @TRANSFORMS.register_module()
    class MyTransform(BaseTransform): ...

    TRANSFORMS.build(dict(type="MyTransform", size=224))

A name is found whether or not the module that defines it was imported: each registry knows the
package that holds its parts and imports it at the first look-up, and so it does with the plug-ins
of the entry-point group `kinema.plugins`.
"""

from kinema.registry.kinds import (
    DATA_SAMPLERS,
    DATASETS,
    EVALUATOR,
    FUNCTIONS,
    HOOKS,
    INFERENCERS,
    LOG_PROCESSORS,
    LOOPS,
    METRICS,
    MODEL_WRAPPERS,
    MODELS,
    OPTIM_WRAPPER_CONSTRUCTORS,
    OPTIM_WRAPPERS,
    OPTIMIZERS,
    PARAM_SCHEDULERS,
    RUNNER_CONSTRUCTORS,
    RUNNERS,
    STRATEGIES,
    TASK_UTILS,
    TRANSFORMS,
    VISBACKENDS,
    VISUALIZERS,
    WEIGHT_INITIALIZERS,
    build_model_from_cfg,
    build_runner_from_cfg,
)
from kinema.registry.part_arguments import check_arguments, unknown_keywords
from kinema.registry.registry import Registry, build_from_cfg
from kinema.registry.scopes import default_scope, init_default_scope

__all__ = [
    "DATASETS",
    "DATA_SAMPLERS",
    "EVALUATOR",
    "FUNCTIONS",
    "HOOKS",
    "INFERENCERS",
    "LOG_PROCESSORS",
    "LOOPS",
    "METRICS",
    "MODELS",
    "MODEL_WRAPPERS",
    "OPTIMIZERS",
    "OPTIM_WRAPPERS",
    "OPTIM_WRAPPER_CONSTRUCTORS",
    "PARAM_SCHEDULERS",
    "RUNNERS",
    "RUNNER_CONSTRUCTORS",
    "STRATEGIES",
    "TASK_UTILS",
    "TRANSFORMS",
    "VISBACKENDS",
    "VISUALIZERS",
    "WEIGHT_INITIALIZERS",
    "Registry",
    "build_from_cfg",
    "build_model_from_cfg",
    "build_runner_from_cfg",
    "check_arguments",
    "default_scope",
    "init_default_scope",
    "unknown_keywords",
]
