"""Sections of a run's config that are no parts: the keys that each takes, and what kind of value stands where.

Messages come as pairs of the dotted path and what is wrong there.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kinema.config.kinds import wrong_kinds
from kinema.config.values import check_types
from kinema.errors import PartArgumentError
from kinema.openmmlab.configs import OPTIONAL_HOOKS, TOP_LEVEL_KEYS, misspelled_keys
from kinema.spelling import nearest

# Whose value is a dict with a type, where it is data.
_PARTS = {"backbone": "ResNet", "cls_head": "TSNHead", "dataset": "VideoDataset", "optimizer": "SGD"}
_PARTS |= {"sampler": "DefaultSampler"}
# Whose value is one, too, but may have a default type.
_MODEL_PARTS = {"neck": "TPN", "data_preprocessor": "ActionDataPreprocessor"}
# Whose value is a list of such dicts.
_LISTS = {"pipeline": "Resize", "tta_pipeline": "Resize", "custom_hooks": "EMAHook"}
_DATA = (Mapping, list, tuple, str, bytes, bool, int, float)


@dataclass(frozen=True)
class Section:
    """What a section of a config takes.

    Attributes:
        keys: names of its settings.
        parts: classes or functions whose signatures say of which type their values are.
    """

    keys: Sequence[str]
    parts: Sequence[Callable[..., Any]] = ()


def problems_of_sections(
    config: Mapping[str, Any], sections: Mapping[str, Section], default_types: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    """What is wrong in a config beside its parts.

    Args:
        config: of a run.
        sections: by dotted path.
        default_types: names of parts whose config may leave the type out, by dotted path.
    """
    for key, known in misspelled_keys(config, TOP_LEVEL_KEYS).items():
        yield key, f"the config's key {key!r} is not known: did you mean {known}? A variable needs another name"
    yield from wrong_kinds(config)
    for path, section in sections.items():
        value = _at(config, path)
        if isinstance(value, Mapping) and ("type" not in value or "type" in section.keys):  # no part of a registry
            yield from _problems_of_section(value, path, section)
    hooks = config.get("default_hooks")
    if isinstance(hooks, Mapping):
        yield from _problems_of_default_hooks(hooks, default_types)


def problems_of_shape(key: str, value: Any, path: str) -> Iterator[tuple[str, str]]:
    """What is wrong with the kind of a value that holds parts, by the key where it stands."""
    if key in _PARTS:
        yield from _no_config(value, path, _PARTS[key])
    elif key in _MODEL_PARTS and not isinstance(value, Mapping):
        yield from _no_config(value, path, _MODEL_PARTS[key])
    elif key in _LISTS and isinstance(value, list | tuple):
        for number, entry in enumerate(value):
            yield from _no_config(entry, f"{path}.{number}", _LISTS[key])


def _no_config(value: Any, path: str, example: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        if "type" not in value:
            yield (
                path,
                f"{path} needs 'type', such as type={example!r}; it has {', '.join(map(str, value)) or 'no key'}",
            )
    elif isinstance(value, _DATA):
        yield path, f"{path} must be a dict such as dict(type={example!r}), got {type(value).__name__}: {value!r}"


def _at(config: Mapping[str, Any], path: str) -> Any:
    value: Any = config
    for key in path.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _problems_of_section(value: Mapping[str, Any], path: str, section: Section) -> Iterator[tuple[str, str]]:
    for key, entry in value.items():
        if key not in section.keys:
            yield f"{path}.{key}", f"{path} has no {key!r}{_hint(key, section.keys)}"
        for part in section.parts:
            try:
                check_types(part, {key: entry}, path)
            except PartArgumentError as error:
                yield f"{path}.{key}", str(error)


def _problems_of_default_hooks(hooks: Mapping[str, Any], default_types: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """A hook under a name that looks like one of those that every run has would run beside that one."""
    known = {path.rpartition(".")[2]: kind for path, kind in default_types.items() if path.startswith("default_hooks.")}
    known |= OPTIONAL_HOOKS
    for key, entry in hooks.items():
        if key in known or not isinstance(entry, Mapping):
            continue
        path, near = f"default_hooks.{key}", nearest(key, known, count=1, cutoff=0.8)
        if near and _name_of(entry.get("type", known[near[0]])) == known[near[0]]:
            yield path, f"default_hooks has no {key!r}: did you mean {near[0]}?"
        elif "type" not in entry:
            yield path, f"{path} needs 'type': the hooks that every run has are {', '.join(known)}"


def _name_of(kind: Any) -> str:
    return str(getattr(kind, "__name__", kind)).rpartition(".")[2]


def _hint(key: Any, known: Sequence[str]) -> str:
    near = nearest(str(key), known, count=1)
    return f": did you mean {near[0]}?" if near else f": it takes {', '.join(known)}"
