"""Dicts with attribute access, and how a config is merged over the one it inherits from."""

from collections.abc import Mapping
from typing import Any

from kinema.errors import ConfigError
from kinema.spelling import nearest

DELETE_KEY = "_delete_"


def unknown_key(name: object, known: Mapping[Any, Any]) -> str:
    """Message about a key that is not there, with the nearest ones that are."""
    near = nearest(str(name), [str(key) for key in known])
    hint = f"did you mean {', '.join(near)}?" if near else f"there are: {', '.join(map(str, known)) or 'none'}"
    return f"no key {name!r} ({hint})"


def attribute_dicts(value: Any) -> Any:
    """`value` with a `ConfigDict` in the place of every dict in it, through lists and tuples."""
    if isinstance(value, dict) and not isinstance(value, ConfigDict):
        return ConfigDict(value)
    if type(value) in (list, tuple):
        return type(value)(attribute_dicts(entry) for entry in value)
    return value


def plain_dicts(value: Any) -> Any:
    """`value` with a plain dict in the place of every mapping in it; the inverse of `attribute_dicts`."""
    if isinstance(value, Mapping):
        return {key: plain_dicts(entry) for key, entry in value.items()}
    if type(value) in (list, tuple):
        return type(value)(plain_dicts(entry) for entry in value)
    return value


class ConfigDict(dict[Any, Any]):
    """A dict whose keys are attributes too: `cfg.model.backbone.depth`.

    Dicts put into it, also inside lists and tuples, become `ConfigDict`s. A missing attribute names
    the nearest keys.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()
        self.update(*args, **kwargs)

    def __setitem__(self, key: Any, value: Any) -> None:
        super().__setitem__(key, attribute_dicts(value))

    def update(self, *args: Any, **kwargs: Any) -> None:
        """As `dict.update`."""
        for key, value in dict(*args, **kwargs).items():
            self[key] = value

    def setdefault(self, key: Any, default: Any = None) -> Any:
        """As `dict.setdefault`."""
        if key not in self:
            self[key] = default
        return self[key]

    def copy(self) -> "ConfigDict":
        """A shallow copy."""
        return ConfigDict(self)

    def __missing__(self, key: Any) -> Any:
        raise KeyError(unknown_key(key, self))

    def __getattr__(self, name: str) -> Any:
        if name in self:
            return self[name]
        if name.startswith("__"):  # copy and pickle ask for these
            raise AttributeError(name)
        raise AttributeError(f"the config has {unknown_key(name, self)}")

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value

    def __delattr__(self, name: str) -> None:
        if name not in self:
            raise AttributeError(f"the config has {unknown_key(name, self)}")
        del self[name]

    def to_dict(self) -> dict[Any, Any]:
        """The same as plain dicts, inside lists and tuples too."""
        plain: dict[Any, Any] = plain_dicts(self)
        return plain


def merged(base: Mapping[Any, Any], own: Mapping[Any, Any], where: str = "") -> ConfigDict:
    """`own` over `base`: dicts are merged key by key, everything else is replaced.

    A dict in `own` with `_delete_=True` replaces the one in `base` as a whole.

    Args:
        base: the inherited config.
        own: what is changed in it.
        where: dotted path of both, for messages.

    Raises:
        ConfigError: `own` has a dict where `base` has another value.
    """
    result = ConfigDict(base)
    for key, value in own.items():
        if key == DELETE_KEY:
            continue
        inherited = result.get(key)
        if not isinstance(value, Mapping) or value.get(DELETE_KEY) or inherited is None:
            result[key] = without_delete(value)
        elif isinstance(inherited, Mapping):
            result[key] = merged(inherited, value, f"{where}{key}.")
        else:
            raise ConfigError(
                f"{where}{key} is a dict, but a {type(inherited).__name__} in the config it inherits from: "
                f"add {DELETE_KEY}=True to replace it"
            )
    return result


def without_delete(value: Any) -> Any:
    """`value` without the `_delete_` keys, which have done their work."""
    if isinstance(value, Mapping):
        return ConfigDict({key: without_delete(entry) for key, entry in value.items() if key != DELETE_KEY})
    return value
