"""A whole config is checked before anything of it is built: all unknown parts and keywords at once.

What cannot be known without building a part, such as a value that does not suit another, is left to
the part.
"""

import inspect
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from torch.utils.data import DataLoader

from kinema import registry as registries
from kinema.config.sections import Section, problems_of_sections, problems_of_shape
from kinema.config.values import check_types
from kinema.errors import ConfigError, ConfigProblemsError, PartArgumentError, RegistryError
from kinema.openmmlab.keywords import NEEDLESS
from kinema.openmmlab.names import INSTEAD, NOT_YET, OTHER_PROJECTS, instead_of, not_yet
from kinema.registry import Registry, unknown_keywords
from kinema.spelling import nearest

LOADERS = ("train_dataloader", "val_dataloader", "test_dataloader")
# The registry of what stands at a key, there and below.
_ROOTS = {
    **dict.fromkeys(("model", "data_preprocessor"), registries.MODELS),
    "tta_model": registries.MODELS,
    "tta_pipeline": registries.TRANSFORMS,
    "optim_wrapper": registries.OPTIM_WRAPPERS,
    "param_scheduler": registries.PARAM_SCHEDULERS,
    **dict.fromkeys(("val_evaluator", "test_evaluator"), registries.METRICS),
    **dict.fromkeys(("default_hooks", "custom_hooks"), registries.HOOKS),
    **dict.fromkeys(LOADERS, registries.DATASETS),
    **dict.fromkeys(("train_cfg", "val_cfg", "test_cfg"), registries.LOOPS),
    "log_processor": registries.LOG_PROCESSORS,
    "visualizer": registries.VISUALIZERS,
}
_KEYS = {
    **dict.fromkeys(("dataset", "datasets"), registries.DATASETS),
    **dict.fromkeys(("pipeline", "transforms"), registries.TRANSFORMS),
    **dict.fromkeys(("sampler", "batch_sampler"), registries.DATA_SAMPLERS),
    **dict.fromkeys(("collate_fn", "worker_init_fn"), registries.FUNCTIONS),
    "metrics": registries.METRICS,
    "optimizer": registries.OPTIMIZERS,
    "constructor": registries.OPTIM_WRAPPER_CONSTRUCTORS,
    "init_cfg": registries.WEIGHT_INITIALIZERS,
    "vis_backends": registries.VISBACKENDS,
}
# Settings in which `type` and names of parts mean something else.
_NO_PARTS = ("on_trace_ready", "paramwise_cfg")
# Parts that get all their keywords from the config, as transforms do.
_WITHOUT_DEFAULTS = ("model", "backbone", "neck", "cls_head", "dataset")
# Networks of other libraries, which an adapter looks up.
LIBRARIES = ("timm", "torchvision", "transformers")
# Keywords that what builds a part of a kind takes off its config.
_OF_BUILDERS: dict[Registry, Collection[str]] = {
    registries.OPTIM_WRAPPERS: ("constructor", "paramwise_cfg", "dtype", "loss_scale"),
    registries.PARAM_SCHEDULERS: ("convert_to_iter_based", "epoch_length"),
    registries.HOOKS: ("priority",),
}
# Keywords of a loader's config beside those of torch's.
_OF_LOADERS = ("allow_broken", "max_broken_share", "num_batch_per_epoch", *NEEDLESS["build_dataloader"])
_ALL = [value for value in vars(registries).values() if isinstance(value, Registry)]


@dataclass(frozen=True)
class Problem:
    """What is wrong in a config.

    Attributes:
        path: dotted path of the entry.
        message: what is wrong with it.
        error: class of the error, where it is the only one.
        not_yet: name of the part, where it is one of MMAction2 that Kinema does not have yet.
    """

    path: str
    message: str
    error: type[ConfigError] = PartArgumentError
    not_yet: str = ""


def check_parts(
    config: Mapping[str, Any],
    default_types: Mapping[str, str] | None = None,
    sections: Mapping[str, Section] | None = None,
    *,
    loaders: Collection[str] = LOADERS,
) -> None:
    """Look all parts and keywords of a run's config up, and build nothing.

    Args:
        config: of a run; a `Config` knows the files and lines of its values.
        default_types: names of parts whose config may leave the type out, by dotted path.
        sections: what is no part, by dotted path; None: only parts and loaders are looked up.
        loaders: keys of the loaders whose own keywords are checked, too. A training needs none for
            tests, whose keywords are checked when it is built.

    Raises:
        ConfigError: names every unknown part and keyword, its place, and the nearest that are there.
    """
    problems = _with_one_of_not_yet(list(problems_of(config, default_types or {}, sections, loaders=loaders)))
    if not problems:
        return
    places = getattr(config, "places", lambda: None)()
    lines = [
        problem.message if places is None else f"{places.of(problem.path)}: {problem.message}" for problem in problems
    ]
    if len(lines) == 1:
        raise problems[0].error(lines[0])
    raise ConfigProblemsError(lines)


def problems_of(
    config: Mapping[str, Any],
    default_types: Mapping[str, str],
    sections: Mapping[str, Section] | None = None,
    *,
    loaders: Collection[str] = LOADERS,
) -> Iterator[Problem]:
    """The unknown parts, keywords and keys of a run's config. The arguments are those of `check_parts`."""
    if sections is not None:
        for path, message in problems_of_sections(config, sections, default_types):
            yield Problem(path, message, ConfigError)
    for key, registry in _ROOTS.items():
        if key in config:
            yield from _walk(config[key], key, registry, default_types)
        if key in loaders:
            yield from problems_of_loader(config.get(key), key)


def problems_of_loader(loader: Any, path: str) -> Iterator[Problem]:
    """The unknown keywords of a loader's config; those of its parts are left to `problems_of`."""
    if isinstance(loader, Mapping):
        unknown, known = unknown_keywords(DataLoader, loader)
        yield from (
            Problem(f"{path}.{name}", f"{path}: a data loader has no keyword {name!r}{_hint(name, known)}")
            for name in unknown
            if name not in _OF_LOADERS
        )
        yield from _problems_of_types(DataLoader, loader, path)


def _hint(name: str, known: Collection[str]) -> str:
    near = nearest(name, known, count=1)
    return f" (did you mean {near[0]}?)" if near else f"; its keywords: {', '.join(known) or 'none'}"


def _with_one_of_not_yet(problems: list[Problem]) -> list[Problem]:
    """The problems, of which one names all parts that Kinema does not have yet: they are absent together."""
    absent = [problem for problem in problems if problem.not_yet]
    if len(absent) < 2:
        return problems
    first = absent[0]
    names = list(dict.fromkeys(problem.not_yet for problem in absent))
    together = replace(first, message=f"{first.path.removesuffix('.type')}: {not_yet(names)}")
    return [
        together if problem is first else problem for problem in problems if problem is first or not problem.not_yet
    ]


def _walk(value: Any, path: str, registry: Registry, default_types: Mapping[str, str]) -> Iterator[Problem]:
    for place, message in problems_of_shape(path.rpartition(".")[2], value, path):
        yield Problem(place, message, RegistryError)
    if isinstance(value, Mapping):
        kind = value.get("type", default_types.get(path))
        problems = [] if kind is None else list(_problems_of_part(kind, value, path, registry))
        yield from problems
        is_absent = any(problem.not_yet for problem in problems)  # what its settings hold is its own business
        for key, entry in value.items():
            if key not in _NO_PARTS:
                below = _walk(entry, f"{path}.{key}", _KEYS.get(key, registry), default_types)
                yield from (problem for problem in below if problem.not_yet or not is_absent)
        if isinstance(value.get("constructor"), str):
            yield from _problems_of_part(value["constructor"], {}, f"{path}.constructor", _KEYS["constructor"])
        if isinstance(value.get("paramwise_cfg"), Mapping):
            yield from _problems_of_rules(value, f"{path}.paramwise_cfg")
    elif isinstance(value, list | tuple):
        for number, entry in enumerate(value):
            yield from _walk(entry, f"{path}.{number}", registry, default_types)


def _problems_of_rules(wrapper: Mapping[str, Any], path: str) -> Iterator[Problem]:
    """Keys of `paramwise_cfg` that its constructor does not read."""
    kind = wrapper.get("constructor") or "DefaultOptimWrapperConstructor"
    constructor = registries.OPTIM_WRAPPER_CONSTRUCTORS.get(kind) if isinstance(kind, str) else kind
    known = vars(constructor).get("keys", ()) if inspect.isclass(constructor) else ()  # none: it may read any
    for key in wrapper["paramwise_cfg"] if known else ():
        if key not in known:
            near = nearest(key, known, count=1)
            hint = f"did you mean {near[0]}?" if near else f"its keys: {', '.join(known)}"
            yield Problem(f"{path}.{key}", f"{path} has no key {key!r}: {hint}", ConfigError)


def _unknown(kind: str, arguments: Mapping[str, Any], registry: Registry) -> str:
    scope, _, name = kind.rpartition(".")
    if scope in OTHER_PROJECTS:
        return f"{kind} is not in the {registry.name} registry: {instead_of(scope, name, arguments, registry.name)}"
    if name in NOT_YET or name in INSTEAD:
        return str(registry.unknown(kind))
    near = nearest(name, registry.names())
    hint = f": did you mean {' or '.join(near)}?" if near else ""
    return f"{kind} is not in the {registry.name} registry{hint} (one of your own is imported by custom_imports)"


def _problems_of_part(kind: Any, arguments: Mapping[str, Any], path: str, registry: Registry) -> Iterator[Problem]:
    """What is wrong with a part's name, or with its keywords."""
    part = kind
    if isinstance(kind, str) and kind.partition(".")[0] in LIBRARIES and registry is registries.MODELS:
        return  # its adapter checks the keywords
    if isinstance(kind, str):
        scope = arguments.get("_scope_")
        part = (registry.get(f"{scope}.{kind}") if scope else None) or registry.get(kind)
    if part is None:
        if kind.partition(".")[0] not in LIBRARIES and not any(kind in other for other in _ALL):
            place = f"{path}.type" if "type" in arguments else path
            name = kind.rpartition(".")[2]
            absent = name if name in NOT_YET else ""
            yield Problem(place, f"{path}: {_unknown(kind, arguments, registry)}", RegistryError, absent)
        return
    last = path.rpartition(".")[2]
    if not callable(part) or (last.endswith("_cfg") and last != "init_cfg" and registry is registries.MODELS):
        return  # of a layer, whose builder takes further keywords
    of_builder = {"type", "_scope_", *_OF_BUILDERS.get(registry, ())}
    given = {key: value for key, value in arguments.items() if key not in of_builder}
    unknown, known = unknown_keywords(part, given)
    for name in unknown:
        title = getattr(part, "__name__", part)
        yield Problem(f"{path}.{name}", f"{path}: {title} has no keyword {name!r}{_hint(name, known)}")
    is_given_all = registry is registries.TRANSFORMS or last in _WITHOUT_DEFAULTS
    missing = [name for name, keyword in known.items() if keyword.default is keyword.empty and name not in given]
    if missing and is_given_all and not unknown:  # of which one may be it, misspelled
        yield Problem(path, f"{path}: {getattr(part, '__name__', part)} needs {', '.join(missing)}")
    if registry is not registries.HOOKS:  # whose intervals may be texts
        yield from _problems_of_types(part, given, path)


def _problems_of_types(part: Any, given: Mapping[str, Any], path: str) -> Iterator[Problem]:
    for name in given:
        try:
            check_types(part, {name: given[name]}, path)
        except PartArgumentError as error:
            yield Problem(f"{path}.{name}", str(error))
