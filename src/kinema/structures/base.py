"""The base of what travels beside a batch: named fields, metainfo and data kept apart."""

import copy
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

_RECORDS = ("_metainfo_fields", "_data_fields")


def _convert(value: Any, leaf: Callable[[Any], Any]) -> Any:
    """`value` with `leaf` applied to everything in it, through data elements, dicts, lists and tuples."""
    if isinstance(value, BaseDataElement):
        return value.new(**{name: _convert(entry, leaf) for name, entry in value.items()})
    if isinstance(value, dict):
        return {key: _convert(entry, leaf) for key, entry in value.items()}
    if type(value) in (list, tuple):
        return type(value)(_convert(entry, leaf) for entry in value)
    return leaf(value)


def _plain(value: Any) -> Any:
    """`value` with a dict in the place of every data element."""
    if isinstance(value, BaseDataElement):
        return value.to_dict()
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    if type(value) in (list, tuple):
        return type(value)(_plain(entry) for entry in value)
    return value


class BaseDataElement:
    """Named fields of one sample, metainfo and data kept apart.

    Fields are attributes: `element.gt_label = x` writes a data field. Metainfo is written with
    `set_metainfo` and cannot be overwritten by an assignment. A subclass may declare a field as a
    property whose setter stores it under `_name` through
    `self.set_field(value, "_name", dtype=...)`; the field is then listed once, as `name`.

    Args:
        metainfo: facts about the sample; copied deeply.
        data: the data fields.

    Raises:
        AttributeError: a key is in both.
    """

    def __init__(self, *, metainfo: Mapping[str, Any] | None = None, **data: Any) -> None:
        # Dicts used as ordered sets: fields are listed in the order of their first writing.
        for record in _RECORDS:
            object.__setattr__(self, record, {})
        if metainfo is not None:
            self.set_metainfo(metainfo)
        self.set_data(data)

    # ---- writing

    def set_metainfo(self, metainfo: Mapping[str, Any]) -> None:
        """Set or replace metainfo fields with deep copies of these.

        Raises:
            TypeError: `metainfo` is no mapping.
            AttributeError: a key is a data field already.
        """
        if not isinstance(metainfo, Mapping):
            raise TypeError(f"metainfo must be a dict, got {type(metainfo).__name__}")
        for name, value in copy.deepcopy(dict(metainfo)).items():
            self.set_field(value, name, field_type="metainfo")

    def set_data(self, data: Mapping[str, Any]) -> None:
        """Set or replace data fields.

        Raises:
            TypeError: `data` is no mapping.
            AttributeError: a key is a metainfo field already.
        """
        if not isinstance(data, Mapping):
            raise TypeError(f"data must be a dict, got {type(data).__name__}")
        for name, value in data.items():
            setattr(self, name, value)

    def set_field(
        self, value: Any, name: str, dtype: type | tuple[type, ...] | None = None, field_type: str = "data"
    ) -> None:
        """Write one field.

        Args:
            value: any object.
            name: the field's name.
            dtype: type that `value` must have.
            field_type: "data" or "metainfo".

        Raises:
            TypeError: `value` is not of type `dtype`.
            AttributeError: the name is a field of the other kind.
            ValueError: `field_type` is neither.
        """
        if field_type not in ("data", "metainfo"):
            raise ValueError(f"field_type must be 'data' or 'metainfo', got {field_type!r}")
        if name in _RECORDS or hasattr(BaseDataElement, name):
            raise AttributeError(f"{name!r} is used by {type(self).__name__} itself and cannot be a field")
        if field_type == "metainfo" and self._is_property(name):
            raise AttributeError(
                f"{name!r} is declared as a data field of {type(self).__name__} and cannot be metainfo"
            )
        if dtype is not None and not isinstance(value, dtype):
            raise TypeError(f"{name.removeprefix('_')} must be {_type_names(dtype)}, got {type(value).__name__}")
        own, other = self._data_fields, self._metainfo_fields
        if field_type == "metainfo":
            own, other = other, own
        if name in other or self._stored(name) in other:
            kind, other_kind = ("data", "metainfo") if field_type == "data" else ("metainfo", "data")
            raise AttributeError(
                f"cannot set {name!r} as a {kind} field: it is a {other_kind} field of this {type(self).__name__}"
                " already"
            )
        object.__setattr__(self, name, value)
        if field_type == "metainfo" or not self._is_property(name):
            own[name] = None

    def __setattr__(self, name: str, value: Any) -> None:
        self.set_field(value, name)

    def update(self, instance: "BaseDataElement") -> None:
        """Take over all fields of another element."""
        if not isinstance(instance, BaseDataElement):
            raise TypeError(f"can only update from a data element, got {type(instance).__name__}")
        self.set_metainfo(instance.metainfo)
        self.set_data(dict(instance.items()))

    def __delattr__(self, name: str) -> None:
        stored = self._stored(name)
        if name in self._metainfo_fields:
            del self.__dict__[name], self._metainfo_fields[name]
        elif stored in self._data_fields:
            del self.__dict__[stored], self._data_fields[stored]
        else:
            raise AttributeError(f"{type(self).__name__} has no field {name!r}; its fields: {self._listed()}")

    def pop(self, name: str, *default: Any) -> Any:
        """Remove a field and return its value; `default`, when given, if there is none.

        Raises:
            KeyError: there is no such field and no default.
        """
        if len(default) > 1:
            raise TypeError(f"pop takes a name and at most one default, got {len(default)} defaults")
        stored = self._stored(name)
        if stored in self._data_fields or name in self._metainfo_fields:
            value = self.__dict__[stored]
            delattr(self, name)
            return value
        if default:
            return default[0]
        raise KeyError(f"{type(self).__name__} has no field {name!r}; its fields: {self._listed()}")

    # ---- reading

    def __getattr__(self, name: str) -> Any:
        # Only reached for what is not there; during unpickling not even the records are.
        if name in _RECORDS or name.startswith("__"):
            raise AttributeError(name)
        raise AttributeError(f"{type(self).__name__} has no field {name!r}; its fields: {self._listed()}")

    def get(self, name: str, default: Any = None) -> Any:
        """The value of a field, or `default`."""
        return getattr(self, name) if name in self else default

    def __contains__(self, name: str) -> bool:
        return name in self._metainfo_fields or self._stored(name) in self._data_fields

    def keys(self) -> list[str]:
        """Names of the data fields."""
        return [self._public(name) for name in self._data_fields]

    def values(self) -> list[Any]:
        """Values of the data fields."""
        return [self.__dict__[name] for name in self._data_fields]

    def items(self) -> Iterator[tuple[str, Any]]:
        """Names and values of the data fields."""
        yield from zip(self.keys(), self.values(), strict=True)

    def metainfo_keys(self) -> list[str]:
        """Names of the metainfo fields."""
        return list(self._metainfo_fields)

    def metainfo_values(self) -> list[Any]:
        """Values of the metainfo fields."""
        return [self.__dict__[name] for name in self._metainfo_fields]

    def metainfo_items(self) -> Iterator[tuple[str, Any]]:
        """Names and values of the metainfo fields."""
        yield from zip(self.metainfo_keys(), self.metainfo_values(), strict=True)

    def all_keys(self) -> list[str]:
        """Names of all fields, metainfo first."""
        return self.metainfo_keys() + self.keys()

    def all_values(self) -> list[Any]:
        """Values of all fields, metainfo first."""
        return self.metainfo_values() + self.values()

    def all_items(self) -> Iterator[tuple[str, Any]]:
        """Names and values of all fields, metainfo first."""
        yield from self.metainfo_items()
        yield from self.items()

    @property
    def metainfo(self) -> dict[str, Any]:
        """The metainfo fields as a new dict."""
        return dict(self.metainfo_items())

    def to_dict(self) -> dict[str, Any]:
        """All fields as a dict, elements inside turned into dicts too."""
        return {name: _plain(value) for name, value in self.all_items()}

    # ---- copies

    def new(self, *, metainfo: Mapping[str, Any] | None = None, **data: Any) -> Self:
        """An element of the same type; metainfo and data that are not given are this one's."""
        element = type(self)()
        element.set_metainfo(self.metainfo if metainfo is None else metainfo)
        element.set_data(data or dict(self.items()))
        return element

    def clone(self) -> Self:
        """A copy that shares nothing; tensors are cloned within their autograd graph."""
        memo: dict[int, Any] = {}
        self._on_tensors(lambda tensor: memo.setdefault(id(tensor), tensor.clone()))
        return copy.deepcopy(self, memo)

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """A copy whose tensors went through `tensor.to(...)`."""
        return self._on_tensors(lambda tensor: tensor.to(*args, **kwargs))

    def cpu(self) -> Self:
        """A copy with its tensors on the CPU."""
        return self.to("cpu")

    def cuda(self) -> Self:
        """A copy with its tensors on the current CUDA device."""
        return self.to("cuda")

    def detach(self) -> Self:
        """A copy with its tensors detached from the autograd graph."""
        return self._on_tensors(torch.detach)

    def numpy(self) -> Self:
        """A copy with arrays in the place of tensors."""
        return self._on_tensors(lambda tensor: tensor.detach().cpu().numpy())

    def to_tensor(self) -> Self:
        """A copy with tensors in the place of arrays; they share memory."""
        converted: Self = _convert(
            self, lambda tensor: torch.from_numpy(tensor) if isinstance(tensor, np.ndarray) else tensor
        )
        return converted

    def _on_tensors(self, function: Callable[[Tensor], Any]) -> Self:
        converted: Self = _convert(self, lambda tensor: function(tensor) if isinstance(tensor, Tensor) else tensor)
        return converted

    # ---- names and text

    @classmethod
    def _is_property(cls, name: str) -> bool:
        return isinstance(getattr(cls, name, None), property)

    @classmethod
    def _stored(cls, name: str) -> str:
        """Name under which a field is kept: a property's value is kept under `_name`."""
        return f"_{name}" if cls._is_property(name) else name

    @classmethod
    def _public(cls, stored: str) -> str:
        """Name under which a field is listed; the inverse of `_stored`."""
        return stored[1:] if stored.startswith("_") and cls._is_property(stored[1:]) else stored

    def _listed(self) -> str:
        return ", ".join(self.all_keys()) or "none"

    def __repr__(self) -> str:
        """In OpenMMLab's layout, big tensors by their shapes."""
        lines = [f"<{type(self).__name__}("]
        for title, items in (("META INFORMATION", self.metainfo_items()), ("DATA FIELDS", self.items())):
            lines += ["", f"    {title}"]
            lines += [f"    {name}: {brief(value)}".replace("\n", "\n        ") for name, value in items]
        return "\n".join([*lines, f") at {hex(id(self))}>"])


def brief(value: Any) -> str:
    """The text of a value; of a big tensor or array its shape and type only."""
    if isinstance(value, Tensor | np.ndarray) and np.prod(value.shape) > 20:
        return f"{type(value).__name__} of shape {tuple(value.shape)}, {value.dtype}"
    return repr(value)


def _type_names(dtype: type | tuple[type, ...]) -> str:
    return " or ".join(kind.__name__ for kind in (dtype if isinstance(dtype, tuple) else (dtype,)))
