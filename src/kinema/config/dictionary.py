"""Dicts with attribute access, and how a config is merged over the one it inherits from."""

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from kinema.config.lazy import Lazy, built, dotted_name
from kinema.errors import ConfigError
from kinema.spelling import nearest

DELETE_KEY = "_delete_"


def unknown_key(name: object, known: Mapping[Any, Any]) -> str:
    """Message about a key that is not there, with the nearest ones that are."""
    near = nearest(str(name), [str(key) for key in known])
    hint = f"did you mean {', '.join(near)}?" if near else f"there are: {', '.join(map(str, known)) or 'none'}"
    return f"no key {name!r} ({hint})"


def attribute_dicts(value: Any) -> Any:
    """`value` with a `ConfigDict` in the place of every dict in it, through lists and tuples.

    Dicts of a class of their own stay what they are.
    """
    if type(value) in (dict, OrderedDict):
        return ConfigDict(value)
    if type(value) in (list, tuple):
        return type(value)(attribute_dicts(entry) for entry in value)
    return value


def plain_dicts(value: Any, lazily: bool = True) -> Any:
    """`value` with a plain dict in the place of every mapping in it; the inverse of `attribute_dicts`.

    Args:
        value: of a config.
        lazily: leave what is not imported yet as it is; False puts its dotted name there.
    """
    if isinstance(value, Mapping):
        return {key: plain_dicts(entry, lazily) for key, entry in raw_items(value)}
    if type(value) in (list, tuple):
        return type(value)(plain_dicts(entry, lazily) for entry in value)
    return dotted_name(value) if isinstance(value, Lazy) and not lazily else value


def raw_items(mapping: Mapping[Any, Any]) -> Iterable[tuple[Any, Any]]:
    """Keys and values of a mapping, without importing what is lazy."""
    return dict.items(mapping) if isinstance(mapping, ConfigDict) else mapping.items()


class ConfigDict(dict[Any, Any]):
    """A dict whose keys are attributes too: `cfg.model.backbone.depth`.

    Dicts put into it, also inside lists and tuples, become `ConfigDict`s. A missing attribute names
    the nearest keys. A value that a config file imports is imported when it is read from here.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()
        if args != (None,):
            self.update(*args, **kwargs)

    def __setitem__(self, key: Any, value: Any) -> None:
        super().__setitem__(key, attribute_dicts(value))

    def __getitem__(self, key: Any) -> Any:
        return built(super().__getitem__(key))

    def __iter__(self) -> Iterator[Any]:  # defined here, so that `dict(self)` and `**self` read by `[]`
        return super().__iter__()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, dict):
            return NotImplemented
        return dict(self) == (dict(other) if isinstance(other, ConfigDict) else other)

    __hash__ = None

    def get(self, key: Any, default: Any = None) -> Any:
        """As `dict.get`."""
        return built(super().get(key, default))

    def pop(self, key: Any, default: Any = None) -> Any:
        """As `dict.pop`; None where there is no such key."""
        return built(super().pop(key, default))

    def values(self) -> list[Any]:  # type: ignore[override]
        """The values, as a list."""
        return [built(value) for value in super().values()]

    def items(self) -> list[tuple[Any, Any]]:  # type: ignore[override]
        """Pairs of key and value, as a list."""
        return [(key, built(value)) for key, value in super().items()]

    def update(self, *args: Any, **kwargs: Any) -> None:
        """As `dict.update`, but a dict is merged into one that is there, key by key."""
        given = args[0] if len(args) == 1 and isinstance(args[0], Mapping) else dict(*args)
        for key, value in (*raw_items(given), *kwargs.items()):
            present = super().get(key)
            if isinstance(present, ConfigDict) and isinstance(value, Mapping):
                present.update(value)
            else:
                self[key] = value

    def setdefault(self, key: Any, default: Any = None) -> Any:
        """As `dict.setdefault`."""
        if key not in self:
            self[key] = default
        return self[key]

    def merge(self, other: Mapping[Any, Any]) -> None:
        """Change it as a config changes the one it inherits from.

        Dicts are merged key by key, everything else is replaced; a dict with `_delete_=True`
        replaces the one that is there as a whole.
        """
        for key, value in raw_items(merged(self, other, replaces=True)):
            self[key] = value

    def copy(self) -> "ConfigDict":
        """A shallow copy."""
        return type(self)(self)

    __copy__ = copy

    def __reduce__(self) -> tuple[Any, ...]:  # deepcopy and pickle leave what is lazy as it is
        return type(self), (dict(dict.items(self)),)

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        return self.__reduce__()

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
        """The same as plain dicts, inside lists and tuples too; what a config file imports as its dotted name."""
        plain: dict[Any, Any] = plain_dicts(self, lazily=False)
        return plain

    def _to_lazy_dict(self) -> dict[Any, Any]:
        """The same as plain dicts; what a config file imports stays lazy."""
        plain: dict[Any, Any] = plain_dicts(self)
        return plain


def merged(
    base: Mapping[Any, Any],
    own: Mapping[Any, Any],
    where: str = "",
    *,
    list_keys: bool = False,
    replaces: bool = False,
) -> ConfigDict:
    """`own` over `base`: dicts are merged key by key, everything else is replaced.

    A dict in `own` with `_delete_=True` replaces the one in `base` as a whole.

    Args:
        base: the inherited config.
        own: what is changed in it.
        where: dotted path of both, for messages.
        list_keys: a dict whose keys are indices changes entries of a list.
        replaces: a dict replaces another value, too.

    Raises:
        ConfigError: `own` has a dict where `base` has another value.
    """
    result = ConfigDict(base)
    for key, value in raw_items(own):
        if key != DELETE_KEY:
            inherited = dict.get(result, key)
            result[key] = merged_value(inherited, value, f"{where}{key}", list_keys=list_keys, replaces=replaces)
    return result


def merged_value(
    inherited: Any, value: Any, where: str = "", *, list_keys: bool = False, replaces: bool = False
) -> Any:
    """`value` over the value that is inherited, at the dotted path `where`. See `merged`."""
    if not isinstance(value, Mapping) or value.get(DELETE_KEY) or inherited is None:
        return without_delete(value)
    if isinstance(inherited, Mapping):
        return merged(inherited, value, f"{where}.", list_keys=list_keys, replaces=replaces)
    if list_keys and isinstance(inherited, list | tuple) and value and all(map(_is_index, value)):
        return _with_entries(inherited, value, where)
    if replaces:
        return without_delete(value)
    raise ConfigError(
        f"{where} is a dict, but a {type(inherited).__name__} in the config it inherits from: "
        f"add {DELETE_KEY}=True to replace it"
    )


def _is_index(key: object) -> bool:
    return isinstance(key, int | str) and str(key).removeprefix("-").isdecimal()


def _with_entries(inherited: Sequence[Any], own: Mapping[Any, Any], where: str) -> Sequence[Any]:
    """`inherited` with the entries that `own` names by their indices changed."""
    entries = list(inherited)
    for key, value in raw_items(own):
        index = list_index(entries, key, where)
        entries[index] = merged_value(entries[index], value, f"{where}.{key}", list_keys=True)
    return tuple(entries) if isinstance(inherited, tuple) else entries


def list_index(entries: Sequence[Any], key: int | str, where: str) -> int:
    """The index that `key` names.

    Raises:
        ConfigError: it is none, or beyond the end.
    """
    if not _is_index(key) or not -len(entries) <= int(key) < len(entries):
        raise ConfigError(f"cannot set {where}: {key!r} is no index of a {type(entries).__name__} of {len(entries)}")
    return int(key)


def without_delete(value: Any) -> Any:
    """`value` without the `_delete_` keys, which have done their work."""
    if isinstance(value, ConfigDict) or type(value) in (dict, OrderedDict):
        return ConfigDict({key: without_delete(entry) for key, entry in raw_items(value) if key != DELETE_KEY})
    if type(value) in (list, tuple):
        return type(value)(without_delete(entry) for entry in value)
    return value
