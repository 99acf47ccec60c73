"""Reading files of `torch.save` without running anything that is in them.

A pickle is a program: it names classes and functions and calls them. The unpickler here resolves no name by importing. A
name that it knows leads to a function of this file, or to one of torch's that rebuild tensors. Any other name becomes an
inert class: making an object of it (as pickles of plain objects do) gives an empty shell that holds the object's state;
calling it (as pickles do that run something) is an error.
"""

import codecs
import collections
import pickle
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from kinema.errors import CheckpointError


@dataclass(frozen=True)
class Unpickled:
    """What a file of `torch.save` holds.

    Attributes:
        content: the object, usually a dict.
        inert: names of the classes whose objects became shells, sorted.
    """

    content: Any
    inert: tuple[str, ...]


class _InertClass(type):
    """Class of the stand-ins: their objects can be made the way pickles of plain objects make them, but not called."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        raise _refused(cls.__qualname__)


class Inert(metaclass=_InertClass):
    """Shell of an object whose class was not imported: `state` is what the file says of it.

    Attributes:
        state: attributes, or whatever the object had pickled itself as; None: nothing.
        items: what it contains, if it is some list, set or dict (then pairs).
    """

    state: Any
    items: list[Any]

    def __new__(cls, *args: Any, **kwargs: Any) -> "Inert":
        made = super().__new__(cls)
        made.state = list(args) or None
        made.items = []
        return made

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def __setitem__(self, key: Any, value: Any) -> None:
        self.items.append((key, value))

    def append(self, value: Any) -> None:
        """A list's element."""
        self.items.append(value)

    def extend(self, values: Iterable[Any]) -> None:
        """Elements of a list."""
        self.items.extend(values)

    add = append

    def __repr__(self) -> str:
        return f"<inert {type(self).__qualname__}>"


def _refused(name: str) -> CheckpointError:
    return CheckpointError(f"calls {name}, which is not needed for weights; nothing was run")


# ---- numpy, rebuilt without numpy's own unpickling: a forged dtype could make it read memory that is not its own


_PLAIN_TYPE = re.compile(r"[<>=|]?[biufcSUO?]\d*")


class _DType:
    """Stand-in of a pickled dtype of numbers or texts."""

    def __init__(self, code: str, *_: Any) -> None:
        if not isinstance(code, str) or not _PLAIN_TYPE.fullmatch(code):
            raise CheckpointError(f"holds an array of the unusual type {code!r}")
        self.code = code
        self.order: Literal["<", ">", "="] = "="

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.order = state[1] if state[1] in ("<", ">") else "="

    def real(self) -> np.dtype[Any]:
        return np.dtype(self.code).newbyteorder(self.order)


class _Array(np.ndarray):
    """An array that takes its content from `__setstate__`, with a dtype made here."""

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, is_fortran, data = state
        real = _as_dtype(dtype)
        if real.hasobject != isinstance(data, list):
            raise CheckpointError("holds an array whose content is not of its type")
        super().__setstate__((1, shape, real, bool(is_fortran), data))  # type: ignore[arg-type]


def _as_dtype(dtype: Any) -> np.dtype[Any]:
    if not isinstance(dtype, _DType):
        raise CheckpointError(f"holds an array of the unusual type {dtype!r}")
    return dtype.real()


def _empty_array(kind: Any, *_: Any) -> _Array:
    return _Array((0,), np.int8)


def _scalar(dtype: Any, data: bytes | None = None) -> Any:
    real = _as_dtype(dtype)
    if real.hasobject or not isinstance(data, bytes) or len(data) != real.itemsize:
        raise CheckpointError("holds a number whose content is not of its type")
    return np.frombuffer(data, real)[0]


def _array_of_bytes(data: Any, dtype: Any, shape: Any, order: str) -> Any:
    return np.frombuffer(data, _as_dtype(dtype)).reshape(shape, order="F" if order == "F" else "C")


# ---- the names that are known


def _encode(text: str, encoding: str = "latin1") -> bytes:
    """How bytes are written in old pickles."""
    if codecs.lookup(encoding).name != "iso8859-1":
        raise CheckpointError(f"encodes bytes as {encoding!r}, which pickles do not do")
    return text.encode("latin-1")


def _attribute(owner: Any, name: Any) -> Any:
    """`getattr`, for parts of inert classes alone: HistoryBuffer names its own methods so."""
    if not (isinstance(owner, _InertClass) and isinstance(name, str)):
        raise _refused(f"builtins.getattr of {owner!r}")
    return _inert(f"{owner.__qualname__}.{name}")


def _inert(name: str) -> _InertClass:
    return _InertClass(name.rpartition(".")[2], (Inert,), {"__qualname__": name})


def _plain_dict(*items: Any, **more: Any) -> dict[Any, Any]:
    return dict(*items, **more)


def _default_dict(factory: Any = None, *items: Any) -> dict[Any, Any]:
    return dict(*items)


def _bytes(*parts: Any) -> bytes:
    """Bytes as old pickles write them, empty ones by a call without arguments."""
    if any(not isinstance(part, bytes) for part in parts):
        raise _refused("builtins.bytes of what is no bytes")
    return b"".join(parts)


def _list(*items: Any) -> list[Any]:
    return list(*items)


def _path(*parts: str) -> str:
    """A path as its text: one of another system could not be made here."""
    return "/".join(parts)


def _shell(cls: Any, *args: Any) -> Any:
    return cls.__new__(cls, *args)


def _reconstructed(cls: Any, base: Any, state: Any) -> Any:
    """How objects are written by the oldest protocols."""
    if not isinstance(cls, _InertClass):
        raise _refused(f"copyreg._reconstructor of {cls!r}")
    return _shell(cls)


def _new_object(cls: Any, *args: Any) -> Any:
    if not isinstance(cls, _InertClass):
        raise _refused(f"copyreg.__newobj__ of {cls!r}")
    return _shell(cls, *args)


def _tensor(storage: Any, offset: int, size: Sequence[int], stride: Sequence[int], *_: Any) -> torch.Tensor:
    """A tensor without its hooks and further attributes."""
    made: torch.Tensor = torch._utils._rebuild_tensor(storage, offset, size, stride)
    return made


def _parameter(data: torch.Tensor, *_: Any) -> torch.Tensor:
    return data


def _subclassed(rebuild: Callable[..., Any], kind: Any, args: tuple[Any, ...], state: Any) -> Any:
    """A tensor of some subclass, as a plain one."""
    return rebuild(*args)


def _torch_names() -> dict[str, Any]:
    dtypes = {f"torch.{name}": one for name, one in vars(torch).items() if isinstance(one, torch.dtype)}
    return {
        **dtypes,
        "torch._utils._rebuild_tensor": _tensor,
        "torch._utils._rebuild_tensor_v2": _tensor,
        "torch._utils._rebuild_parameter": _parameter,
        "torch._utils._rebuild_parameter_with_state": _parameter,
        "torch._tensor._rebuild_from_type_v2": _subclassed,
        "torch.Size": torch.Size,
        "torch.device": torch.device,
    }


def _numpy_names() -> dict[str, Any]:
    found: dict[str, Any] = {"numpy.ndarray": _inert("numpy.ndarray"), "numpy.dtype": _DType}
    for core in ("numpy.core", "numpy._core"):
        found[f"{core}.multiarray._reconstruct"] = _empty_array
        found[f"{core}.multiarray.scalar"] = _scalar
        found[f"{core}.numeric._frombuffer"] = _array_of_bytes
    return found


_DICTS = (
    "mmengine.config.config.ConfigDict",
    "mmcv.utils.config.ConfigDict",
    "addict.addict.Dict",
    "collections.Counter",
    "builtins.dict",
)
_PATHS = [f"pathlib.{name}" for name in ("PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath", "Path")]
_PATHS += [name.replace("pathlib.", "pathlib._local.") for name in _PATHS]
_KNOWN: dict[str, Any] = {
    **_torch_names(),
    **_numpy_names(),
    **dict.fromkeys(_DICTS, _plain_dict),
    **dict.fromkeys(_PATHS, _path),
    "collections.OrderedDict": collections.OrderedDict,
    "collections.defaultdict": _default_dict,
    "collections.deque": _list,
    "builtins.set": set,
    "builtins.frozenset": frozenset,
    "builtins.list": _list,
    "builtins.complex": complex,
    "builtins.bytes": _bytes,
    "builtins.getattr": _attribute,
    "_codecs.encode": _encode,
    "copyreg._reconstructor": _reconstructed,
    "copyreg.__newobj__": _new_object,
}
# Classes whose objects are pickled as calls, which cannot be told from calls of functions but by their names.
_CALLED = {
    *(f"datetime.{name}" for name in ("datetime", "date", "time", "timedelta", "timezone")),
    *("functools.partial", "numpy.random._pickle.__randomstate_ctor", "numpy.random._pickle.__generator_ctor"),
}
_OLD_MODULES = {"__builtin__": "builtins", "copy_reg": "copyreg"}


class _Known:
    """A known function, without attributes that a file could set."""

    __slots__ = ("_function",)
    _function: Callable[..., Any]

    def __init__(self, function: Callable[..., Any]) -> None:
        object.__setattr__(self, "_function", function)

    def __setattr__(self, name: str, value: Any) -> None:
        raise CheckpointError(f"sets the attribute {name!r} of a function")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._function(*args, **kwargs)


class _Unpickler(pickle.Unpickler):
    """Resolves names as the head of this file says. Notes the inert classes in `inert`."""

    inert: dict[str, _InertClass]

    def find_class(self, module: str, name: str) -> Any:
        """The stand-in of `module.name`."""
        full = f"{_OLD_MODULES.get(module, module)}.{name}"
        known = _KNOWN.get(full)
        if known is None:
            made = self.inert.setdefault(full, _inert(full))
            return _Known(partial(_shell, made)) if full in _CALLED else made
        # Types made in C take no attributes; everything else that can be called goes behind a wall.
        is_fixed = isinstance(known, _InertClass) or not callable(known)
        return known if is_fixed or known in (collections.OrderedDict, set, frozenset, complex) else _Known(known)


class _PickleModule:
    """What `torch.load` takes for a pickle module, for one file."""

    __name__ = "restricted pickle"

    def __init__(self) -> None:
        self.inert: dict[str, _InertClass] = {}
        self.Unpickler = type("RestrictedUnpickler", (_Unpickler,), {"inert": self.inert})

    def load(self, file: Any, **settings: Any) -> Any:
        return self.Unpickler(file, **settings).load()


def load_restricted(file: Path, *, map_location: str | torch.device = "cpu") -> Unpickled:
    """Read a file of `torch.save`, in its zip format or the older one, and run nothing of it.

    Args:
        file: the file.
        map_location: device of the tensors.

    Raises:
        CheckpointError: the file calls something unknown, is a TorchScript program, or no file of `torch.save` at all.
    """
    module = _PickleModule()
    try:
        _refuse_programs(file)
        content = torch.load(file, map_location=map_location, pickle_module=module, weights_only=False)
    except CheckpointError as error:
        raise CheckpointError(f"{file} {error}. Save its state_dict alone, where it was made") from None
    except pickle.UnpicklingError as error:
        raise CheckpointError(f"{file} is not a checkpoint: torch.save did not write it") from error
    except Exception as error:
        # torch.load meets garbage with whatever its unpickler stumbles over.
        raise CheckpointError(f"{file} is not a checkpoint: {first_line(error)}") from error
    return Unpickled(content, tuple(sorted(module.inert)))


def _refuse_programs(file: Path) -> None:
    """`torch.load` would hand a TorchScript archive to the interpreter."""
    with file.open("rb") as stream:
        if stream.read(2) != b"PK":
            return
    if "constants.pkl" in torch._C.PyTorchFileReader(str(file)).get_all_records():
        raise CheckpointError("is a TorchScript program, not a checkpoint")


def first_line(error: Exception) -> str:
    """Of an error of another library, what fits into a message of one line."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
