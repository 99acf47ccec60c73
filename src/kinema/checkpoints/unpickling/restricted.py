"""Reading files of `torch.save` without running anything that is in them.

A pickle is a program: it names classes and functions and calls them. Here no name is resolved by importing. A name that is
known leads to a function of this file. Any other name becomes an inert class: making an object of it (as pickles of plain objects
do) gives an empty shell that holds the object's state; calling it (as pickles do that run something) is an error. Each operation is
checked before it is done, see `kinema.checkpoints.unpickling.machine`, and every size, see `kinema.checkpoints.unpickling.containers`.
"""

import codecs
import io
import re
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch

from kinema.checkpoints.unpickling.containers import read_legacy, read_zip, storage_type, view
from kinema.checkpoints.unpickling.machine import (
    Budget,
    Callee,
    Inert,
    InertClass,
    PickleMachine,
    add_pairs,
    check_nesting,
    hashable,
    named,
    refused,
)
from kinema.errors import CheckpointError
from kinema.printable import printable

MOST_SHOWN = 500  # characters of a message, of which names in the file may be a part

__all__ = ["Inert", "Unpickled", "first_line", "load_restricted"]


@dataclass(frozen=True)
class Unpickled:
    """What a file of `torch.save` holds.

    Attributes:
        content: the object, usually a dict.
        inert: names of the classes whose objects became shells, sorted.
    """

    content: Any
    inert: tuple[str, ...]


# ---- numpy, rebuilt without numpy's own unpickling: a forged dtype or length makes it read memory that is not its own

_PLAIN_TYPE = re.compile(r"[<>=|]?[biufcSUO?]\d{0,7}")
_PLAIN_ELEMENTS = (str, bytes, bool, int, float, complex, type(None))


class _DType:
    """Stand-in of a pickled dtype of numbers or texts."""

    def __init__(self, code: str, *_: Any) -> None:
        if type(code) is not str or not _PLAIN_TYPE.fullmatch(code):
            raise CheckpointError(f"holds an array of the unusual type {_short(code)}")
        self.code = code
        self.order = "="

    def set_order(self, state: Any) -> None:
        if type(state) is tuple and len(state) > 1 and state[1] in ("<", ">"):
            self.order = state[1]

    def real(self) -> np.dtype[Any]:
        try:
            return np.dtype(self.code).newbyteorder(self.order)  # type: ignore[arg-type]
        except TypeError:
            raise CheckpointError(f"holds an array of the unusual type {self.code!r}") from None


def _short(value: Any) -> str:
    return repr(value)[:60] if type(value) in (str, bytes) else f"of a {type(value).__name__}"


def _as_dtype(dtype: Any) -> np.dtype[Any]:
    if not isinstance(dtype, _DType):
        raise CheckpointError(f"holds an array of the unusual type {_short(dtype)}")
    return dtype.real()


def _shape(shape: Any, dtype: np.dtype[Any], num_bytes: int | None, length: int | None) -> tuple[int, ...]:
    """`shape`, when an array of it has so many bytes, or so many elements.

    Raises:
        CheckpointError: it has not.
    """
    if type(shape) is not tuple or len(shape) > 32 or any(type(one) is not int or one < 0 for one in shape):
        raise CheckpointError("holds an array whose shape is no tuple of numbers")
    elements = 1
    for one in shape:
        elements *= one
    if (num_bytes is not None and elements * dtype.itemsize != num_bytes) or (
        length is not None and elements != length
    ):
        raise CheckpointError(f"holds an array whose content is not of its shape: {elements} elements")
    return shape


def _empty_array(*_: Any) -> np.ndarray:
    return np.ndarray((0,), np.int8)


def _fill_array(array: np.ndarray, state: Any) -> None:
    if array.shape != (0,) or array.dtype != np.int8 or type(state) is not tuple or len(state) != 5:
        raise CheckpointError("is damaged: it fills an array in an unknown way")
    _, shape, kind, order, data = state
    is_fortran: Any = order is True or order == 1
    dtype = _as_dtype(kind)
    if type(data) is str:  # bytes that Python 2 wrote
        data = data.encode("utf-8")
    if dtype.hasobject != (type(data) is list) or type(data) not in (list, bytes, bytearray):
        raise CheckpointError("holds an array whose content is not of its type")
    if dtype.hasobject:
        if any(type(one) not in _PLAIN_ELEMENTS for one in data):
            raise CheckpointError("holds an array of objects that are no plain values")
        _shape(shape, dtype, None, len(data))
        array.__setstate__((1, shape, dtype, is_fortran, list(data)))
        return
    _shape(shape, dtype, len(data), None)
    array.__setstate__((1, shape, dtype, is_fortran, bytes(data)))


def _scalar(dtype: Any, data: Any = None) -> Any:
    real = _as_dtype(dtype)
    if type(data) is str:
        data = data.encode("utf-8")
    if real.hasobject or type(data) is not bytes or len(data) != real.itemsize or not data:
        raise CheckpointError("holds a number whose content is not of its type")
    return np.frombuffer(data, real)[0]


def _array_of_bytes(data: Any, dtype: Any, shape: Any, order: Any) -> Any:
    real = _as_dtype(dtype)
    if real.hasobject or type(data) not in (bytes, bytearray) or not real.itemsize:
        raise CheckpointError("holds an array whose content is not of its type")
    return np.frombuffer(data, real).reshape(_shape(shape, real, len(data), None), order="F" if order == "F" else "C")


# ---- the names that are known


def _encode(text: Any, encoding: Any = "latin1") -> bytes:
    """How bytes are written in old pickles."""
    if (
        type(text) is not str
        or type(encoding) is not str
        or encoding.lower() not in ("latin1", "latin-1", "iso-8859-1")
    ):
        raise CheckpointError(f"encodes bytes as {_short(encoding)}, which pickles do not do")
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
    for one in items:
        pairs = one.items() if isinstance(one, dict) else one
        if type(one) not in (dict, OrderedDict, list, tuple) or any(len(pair) != 2 for pair in pairs):
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
    if len(values) > 32 or any(type(one) is not int or abs(one) >= 2**48 for one in values):
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
        made = view(storage, offset, size, stride, None, file_bytes)
        return _with_metadata(made, more[2] if len(more) > 2 else None)

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
    "numpy.dtype": _DType,
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
    _FUNCTIONS[f"{_core}.multiarray._reconstruct"] = _empty_array
    _FUNCTIONS[f"{_core}.multiarray.scalar"] = _scalar
    _FUNCTIONS[f"{_core}.numeric._frombuffer"] = _array_of_bytes
_DTYPES = {f"torch.{name}": one for name, one in vars(torch).items() if isinstance(one, torch.dtype)}
# Classes whose objects are pickled as calls, which cannot be told from calls of functions but by their names.
_CALLED = {
    *(f"datetime.{name}" for name in ("datetime", "date", "time", "timedelta", "timezone")),
    *("functools.partial", "numpy.random._pickle.__randomstate_ctor", "numpy.random._pickle.__generator_ctor"),
}
_ARRAY = _inert("numpy.ndarray")  # named by every array
_OLD_MODULES = {"__builtin__": "builtins", "copy_reg": "copyreg"}


def _build(target: Any, state: Any) -> None:
    """Set the state of an object that the pickle made."""
    if isinstance(target, Inert):
        target.state = state
    elif isinstance(target, _DType):
        target.set_order(state)
    elif type(target) is np.ndarray:
        _fill_array(target, state)
    elif type(target) is OrderedDict:
        # A state dict has the versions of its modules beside its items.
        metadata = state.get("_metadata") if isinstance(state, Mapping) else None
        if isinstance(metadata, Mapping) and all(_is_version(one) for one in metadata.values()):
            target._metadata = metadata  # type: ignore[attr-defined]
    elif type(target) not in (dict, list, set):
        raise CheckpointError(f"sets the attributes of a {type(target).__name__}, which weights do not need")


def _is_version(entry: Any) -> bool:
    return isinstance(entry, Mapping) and all(type(one) in (int, str, bool, type(None)) for one in entry.values())


class _Reader:
    """Runs the pickles of one file."""

    def __init__(self, stream: BinaryIO, file_bytes: int) -> None:
        self.inert: dict[str, InertClass] = {}
        self._stream = stream
        self._file_bytes = file_bytes
        self._budget = Budget(file_bytes)
        functions = {**_FUNCTIONS, **_tensors(file_bytes)}
        self._callees = {name: Callee(name, function) for name, function in functions.items()}

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

    def run(self, program: bytes | None, persistent: Callable[[Any], Any] | None) -> Any:
        """Run a pickle: `program`, or what follows in the file."""
        stream = self._stream if program is None else io.BytesIO(program)
        end = self._file_bytes if program is None else len(program)
        machine = PickleMachine(stream, end, self._budget, find=self.find, build=_build, persistent=persistent)
        content = machine.run()
        check_nesting(content)
        return content


def load_restricted(file: Path, *, map_location: str | torch.device = "cpu") -> Unpickled:
    """Read a file of `torch.save`, in its zip format or the older one, and run nothing of it.

    A file cannot make this run or import anything, crash, or use much more time and memory than a file of its size needs.

    Args:
        file: the file.
        map_location: device of the tensors.

    Raises:
        CheckpointError: the file calls something unknown, is damaged, is a TorchScript program, or no file of `torch.save` at all.
    """
    device = torch.device(map_location)
    try:
        with file.open("rb") as stream:
            file_bytes = stream.seek(0, 2)
            stream.seek(0)
            is_zip = stream.read(2) == b"PK"
            reader = _Reader(stream, file_bytes)
            if is_zip:
                content = read_zip(stream, file_bytes, device, reader.run)
            else:
                content = _moved(read_legacy(stream, file_bytes, reader.run), device)
    except CheckpointError as error:
        raise CheckpointError(f"{file} {_explained(printable(str(error)[:MOST_SHOWN]))}") from None
    except Exception as error:
        # Garbage meets the reader with whatever it stumbles over.
        raise CheckpointError(f"{file} is not a checkpoint: {first_line(error)}") from error
    return Unpickled(content, tuple(sorted(reader.inert)))


def _explained(what: str) -> str:
    if what.startswith(("is damaged", "is cut off", "is a damaged")):
        return f"is not a checkpoint: it {what}"
    return what if what.startswith("is ") else f"{what}. Save its state_dict alone, where it was made"


def _moved(content: Any, device: torch.device) -> Any:
    """Tensors of nested dicts, lists and tuples on `device`."""
    if device.type == "cpu":
        return content
    if isinstance(content, torch.Tensor):
        return content.to(device)
    if isinstance(content, dict):
        return type(content)((key, _moved(value, device)) for key, value in content.items())
    if type(content) in (list, tuple):
        return type(content)(_moved(value, device) for value in content)
    return content


def first_line(error: Exception) -> str:
    """Of an error of another library, what fits into a message of one line."""
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__
