"""The names in pickles that are known, and what each of them leads to."""

import codecs
from collections import OrderedDict
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import torch

from kinema.checkpoints.unpickling.arrays import (
    PickledDType,
    array_of_bytes,
    empty_array,
    fill_array,
    scalar,
    shown_type,
)
from kinema.checkpoints.unpickling.bounds import Budget, add_pairs, hashable
from kinema.checkpoints.unpickling.containers import storage_type, view
from kinema.checkpoints.unpickling.stand_ins import Callee, Inert, InertClass, named, refused
from kinema.errors import CheckpointError


def _encode(text: Any, encoding: Any = "latin1") -> bytes:
    """How bytes are written in old pickles."""
    if (
        type(text) is not str
        or type(encoding) is not str
        or encoding.lower() not in ("latin1", "latin-1", "iso-8859-1")
    ):
        raise CheckpointError(f"encodes bytes as {shown_type(encoding)}, which pickles do not do")
    return codecs.latin_1_encode(text)[0]


def _attribute(owner: Any, name: Any) -> Any:
    """`getattr`, for parts of inert classes alone: HistoryBuffer names its own methods so."""
    if not (isinstance(owner, InertClass) and type(name) is str and len(owner.__qualname__) + len(name) < 1000):
        raise refused(f"builtins.getattr of {named(owner)}")
    return _inert(f"{owner.__qualname__}.{name}")


def _inert(name: str) -> InertClass:
    return InertClass(name.rpartition(".")[2], (Inert,), {"__qualname__": name})


def _filled(target: dict[Any, Any], items: tuple[Any, ...]) -> dict[Any, Any]:
    """`target` with what a dict was called with: nothing, a dict, or a list of pairs."""
    for item in items:
        pairs = item.items() if isinstance(item, dict) else item
        if type(item) not in (dict, OrderedDict, list, tuple) or any(len(pair) != 2 for pair in pairs):
            raise CheckpointError("makes a dict of what are no pairs")
        add_pairs(target, pairs)
    return target


def _plain_dict(*items: Any) -> dict[Any, Any]:
    return _filled({}, items[:1])


def _ordered_dict(*items: Any) -> dict[Any, Any]:
    return _filled(OrderedDict(), items[:1])


def _default_dict(factory: Any = None, *items: Any) -> dict[Any, Any]:
    return _filled({}, items[:1])


def _set(*items: Any) -> set[Any]:
    return set(hashable(_list(*items)))


def _frozen_set(*items: Any) -> frozenset[Any]:
    return frozenset(hashable(_list(*items)))


def _list(*items: Any) -> list[Any]:
    if items and type(items[0]) not in (list, tuple, set, frozenset):
        raise CheckpointError(f"makes a list of a {type(items[0]).__name__}")
    return list(*items[:1])


def _bytes(*parts: Any) -> bytes:
    """Bytes as old pickles write them, empty ones by a call without arguments."""
    if len(parts) > 1 or any(type(part) is not bytes for part in parts):
        raise refused("builtins.bytes of what is no bytes")
    return b"".join(parts)


def _bytearray(*parts: Any) -> bytes:
    return _bytes(*parts)


def _complex(*parts: Any) -> complex:
    if any(type(part) not in (int, float) for part in parts):
        raise CheckpointError("makes a complex number of what are no numbers")
    return complex(*parts)


def _path(*parts: Any) -> str:
    """A path as its text: one of another system could not be made here."""
    if any(type(part) is not str for part in parts):
        raise CheckpointError("makes a path of what are no texts")
    return "/".join(parts)


def _size(*dims: Any) -> tuple[int, ...]:
    values = tuple(*dims[:1])
    if len(values) > 32 or any(type(value) is not int or abs(value) >= 2**48 for value in values):
        raise CheckpointError("makes a size of what are no numbers")
    return torch.Size(values)


def _device(*parts: Any) -> torch.device:
    if any(type(part) not in (str, int) for part in parts):
        raise CheckpointError("makes a device of what is no name")
    return torch.device(*parts)


def _shell(cls: Any, *args: Any) -> Any:
    return Inert.of(cls, args)


def _reconstructed(cls: Any, base: Any, state: Any) -> Any:
    """How objects are written by the oldest protocols."""
    if not isinstance(cls, InertClass):
        raise refused(f"copyreg._reconstructor of {named(cls)}")
    return _shell(cls)


def _new_object(cls: Any, *args: Any) -> Any:
    if not isinstance(cls, InertClass):
        raise refused(f"copyreg.__newobj__ of {named(cls)}")
    return _shell(cls, *args)


def _parameter(data: Any, *_: Any) -> torch.Tensor:
    if not isinstance(data, torch.Tensor):
        raise CheckpointError("makes a parameter of what is no tensor")
    return data


def _subclassed(rebuild: Any, kind: Any, args: Any, state: Any) -> Any:
    """A tensor of some subclass, as a plain one."""
    if not isinstance(rebuild, Callee) or not rebuild.name.startswith("torch._utils.") or type(args) is not tuple:
        raise refused(f"torch._tensor._rebuild_from_type_v2 of {named(rebuild)}")
    return rebuild.function(*args)


def _with_metadata(tensor: torch.Tensor, metadata: Any) -> torch.Tensor:
    """`conj` and `neg` of complex tensors are marks on a tensor, not in its storage."""
    if isinstance(metadata, dict) and tensor.is_complex() and metadata.get("conj"):
        tensor = tensor.conj()
    return torch._neg_view(tensor) if isinstance(metadata, dict) and metadata.get("neg") else tensor


def _tensors(file_bytes: int) -> dict[str, Callable[..., Any]]:
    """How tensors are made, without hooks and further attributes."""

    def tensor(storage: Any, offset: Any, size: Any, stride: Any, *more: Any) -> torch.Tensor:
        plain = view(storage, offset, size, stride, None, file_bytes)
        return _with_metadata(plain, more[2] if len(more) > 2 else None)

    def typed_tensor(storage: Any, offset: Any, size: Any, stride: Any, *more: Any) -> torch.Tensor:
        dtype = more[2] if len(more) > 2 else None
        if not isinstance(dtype, torch.dtype):
            raise CheckpointError("has a tensor of an unknown type")
        return _with_metadata(
            view(storage, offset, size, stride, dtype, file_bytes), more[3] if len(more) > 3 else None
        )

    return {
        "torch._utils._rebuild_tensor": tensor,
        "torch._utils._rebuild_tensor_v2": tensor,
        "torch._utils._rebuild_tensor_v3": typed_tensor,
    }


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "torch._utils._rebuild_parameter": _parameter,
    "torch._utils._rebuild_parameter_with_state": _parameter,
    "torch._tensor._rebuild_from_type_v2": _subclassed,
    "torch.Size": _size,
    "torch.device": _device,
    "numpy.dtype": PickledDType,
    "collections.OrderedDict": _ordered_dict,
    "collections.defaultdict": _default_dict,
    "collections.deque": _list,
    "builtins.set": _set,
    "builtins.frozenset": _frozen_set,
    "builtins.list": _list,
    "builtins.complex": _complex,
    "builtins.bytes": _bytes,
    "builtins.bytearray": _bytearray,
    "builtins.getattr": _attribute,
    "_codecs.encode": _encode,
    "copyreg._reconstructor": _reconstructed,
    "copyreg.__newobj__": _new_object,
}
_DICTS = (
    "mmengine.config.config.ConfigDict",
    "mmcv.utils.config.ConfigDict",
    "addict.addict.Dict",
    "collections.Counter",
    "builtins.dict",
)
_PATHS = [f"pathlib.{name}" for name in ("PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath", "Path")]
_PATHS += [name.replace("pathlib.", "pathlib._local.") for name in _PATHS]
_FUNCTIONS |= {**dict.fromkeys(_DICTS, _plain_dict), **dict.fromkeys(_PATHS, _path)}
for _core in ("numpy.core", "numpy._core"):
    _FUNCTIONS[f"{_core}.multiarray._reconstruct"] = empty_array
    _FUNCTIONS[f"{_core}.multiarray.scalar"] = scalar
    _FUNCTIONS[f"{_core}.numeric._frombuffer"] = array_of_bytes
_DTYPES = {f"torch.{name}": dtype for name, dtype in vars(torch).items() if isinstance(dtype, torch.dtype)}
# Classes whose objects are pickled as calls, which cannot be told from calls of functions but by
# their names.
_CALLED = {
    *(f"datetime.{name}" for name in ("datetime", "date", "time", "timedelta", "timezone")),
    *("functools.partial", "numpy.random._pickle.__randomstate_ctor", "numpy.random._pickle.__generator_ctor"),
}
_ARRAY = _inert("numpy.ndarray")  # named by every array
_OLD_MODULES = {"__builtin__": "builtins", "copy_reg": "copyreg"}


class Names:
    """What the names in one file lead to.

    Args:
        file_bytes: size of the file.
        budget: of memory for its objects.

    Attributes:
        inert: classes of the file that are not known, by their names.
    """

    def __init__(self, file_bytes: int, budget: Budget) -> None:
        self.inert: dict[str, InertClass] = {}
        self._budget = budget
        functions = {**_FUNCTIONS, **_tensors(file_bytes)}
        self._callees = {name: Callee(name, function) for name, function in functions.items()}

    def add(self, name: str, function: Callable[..., Any]) -> None:
        """Let one more name lead to a function."""
        self._callees[name] = Callee(name, function)

    def find(self, module: str, name: str) -> Any:
        """The stand-in of `module.name`."""
        full = f"{_OLD_MODULES.get(module, module)}.{name}"
        if full in self._callees:
            return self._callees[full]
        stands_for = _ARRAY if full == "numpy.ndarray" else _DTYPES.get(full) or storage_type(module, name)
        if stands_for is not None:
            return stands_for
        if full not in self.inert:
            self._budget.take(2000 + 2 * len(full))
            self.inert[full] = _inert(full)
        kind = self.inert[full]
        return Callee(full, partial(_shell, kind)) if full in _CALLED else kind


def set_state(target: Any, state: Any) -> None:
    """Set the state of an object that the pickle made."""
    if isinstance(target, Inert):
        target.state = state
    elif isinstance(target, PickledDType):
        target.set_order(state)
    elif type(target) is np.ndarray:
        fill_array(target, state)
    elif type(target) is OrderedDict:
        # A state dict has the versions of its modules beside its items.
        metadata = state.get("_metadata") if isinstance(state, Mapping) else None
        if isinstance(metadata, Mapping) and all(_is_version(entry) for entry in metadata.values()):
            target._metadata = metadata  # type: ignore[attr-defined]
    elif type(target) not in (dict, list, set):
        raise CheckpointError(f"sets the attributes of a {type(target).__name__}, which weights do not need")


def _is_version(entry: Any) -> bool:
    return isinstance(entry, Mapping) and all(type(value) in (int, str, bool, type(None)) for value in entry.values())
