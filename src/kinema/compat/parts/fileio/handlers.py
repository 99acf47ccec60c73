"""Objects as json, yaml, pickle and users' own formats: `mmengine.load`, `mmengine.dump` and their handlers."""

import io
import json
import pickle
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlparse

import numpy as np
import yaml

from kinema.compat.parts.fileio.backends import FilePath
from kinema.compat.parts.fileio.choosing import BackendArgs, ask, parse_uri_prefix
from kinema.compat.parts.fileio.client import FileClient
from kinema.config.yaml_dialect import Dumper, Loader


class BaseFileHandler(ABC):
    """Reads and writes objects in one format."""

    str_like = True  # the format is text; otherwise bytes

    @abstractmethod
    def load_from_fileobj(self, file: Any, **kwargs: Any) -> Any:
        """The object in an open file."""

    @abstractmethod
    def dump_to_fileobj(self, obj: Any, file: Any, **kwargs: Any) -> Any:
        """Write an object to an open file."""

    @abstractmethod
    def dump_to_str(self, obj: Any, **kwargs: Any) -> Any:
        """An object as text, or bytes."""

    def load_from_path(self, filepath: FilePath, mode: str = "r", **kwargs: Any) -> Any:
        """The object in a file."""
        with Path(filepath).open(mode) as file:
            return self.load_from_fileobj(file, **kwargs)

    def dump_to_path(self, obj: Any, filepath: FilePath, mode: str = "w", **kwargs: Any) -> None:
        """Write an object to a file."""
        with Path(filepath).open(mode) as file:
            self.dump_to_fileobj(obj, file, **kwargs)


class JsonHandler(BaseFileHandler):
    """JSON; sets and ranges, arrays and array numbers are written as what it knows."""

    def load_from_fileobj(self, file: Any, **kwargs: Any) -> Any:
        return json.load(file, **kwargs)

    def dump_to_fileobj(self, obj: Any, file: Any, **kwargs: Any) -> None:
        json.dump(obj, file, **{"default": _plain, **kwargs})

    def dump_to_str(self, obj: Any, **kwargs: Any) -> str:
        return json.dumps(obj, **{"default": _plain, **kwargs})


class YamlHandler(BaseFileHandler):
    """YAML of plain data and tuples."""

    def load_from_fileobj(self, file: Any, **kwargs: Any) -> Any:
        return yaml.load(file, **{"Loader": Loader, **kwargs})

    def dump_to_fileobj(self, obj: Any, file: Any, **kwargs: Any) -> None:
        yaml.dump(obj, file, **{"Dumper": Dumper, **kwargs})

    def dump_to_str(self, obj: Any, **kwargs: Any) -> str:
        return str(yaml.dump(obj, **{"Dumper": Dumper, **kwargs}))


class PickleHandler(BaseFileHandler):
    """Pickle, which can run any code while it is read."""

    str_like = False

    def load_from_fileobj(self, file: Any, **kwargs: Any) -> Any:
        return pickle.load(file, **kwargs)

    def load_from_path(self, filepath: FilePath, mode: str = "rb", **kwargs: Any) -> Any:
        return super().load_from_path(filepath, mode, **kwargs)

    def dump_to_fileobj(self, obj: Any, file: Any, **kwargs: Any) -> None:
        pickle.dump(obj, file, **{"protocol": 2, **kwargs})

    def dump_to_str(self, obj: Any, **kwargs: Any) -> bytes:
        return pickle.dumps(obj, **{"protocol": 2, **kwargs})

    def dump_to_path(self, obj: Any, filepath: FilePath, mode: str = "wb", **kwargs: Any) -> None:
        super().dump_to_path(obj, filepath, mode, **kwargs)


def _plain(value: Any) -> Any:
    """Sets, ranges, arrays and array numbers as what json knows."""
    if isinstance(value, set | range):
        return list(value)
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value)} is unsupported for json dump")


file_handlers: dict[str, BaseFileHandler] = {
    "json": JsonHandler(),
    "yaml": YamlHandler(),
    "yml": YamlHandler(),
    "pickle": PickleHandler(),
    "pkl": PickleHandler(),
}


def register_handler(file_formats: str | list[str], **kwargs: Any) -> Callable[[type], type]:
    """Decorator: a subclass of `BaseFileHandler` reads and writes files of these suffixes.

    Args:
        file_formats: suffix without its dot, or several.
        kwargs: of the handler.

    Raises:
        TypeError: `file_formats` are no texts, or the class is no handler.
    """
    formats = [file_formats] if isinstance(file_formats, str) else file_formats
    if not (isinstance(formats, list) and all(isinstance(name, str) for name in formats)):
        raise TypeError(f"file_formats must be a text or a list of texts, got {file_formats!r}")

    def register(cls: type) -> type:
        handler = cls(**kwargs)
        if not isinstance(handler, BaseFileHandler):
            raise TypeError(f"{cls.__name__} must be a subclass of BaseFileHandler")
        file_handlers.update(dict.fromkeys(formats, handler))
        return cls

    return register


def _handler_of(file: Any, file_format: str | None) -> BaseFileHandler:
    if file_format is None and isinstance(file, str | Path):
        file_format = Path(urlparse(str(file)).path if parse_uri_prefix(file) else file).suffix.lstrip(".")
    if file_format not in file_handlers:
        raise TypeError(f"Unsupported format: {file_format}; expected one of {', '.join(file_handlers)} ({file})")
    return file_handlers[file_format]


def reading(file: FilePath, file_client_args: BackendArgs, backend_args: BackendArgs, method: str) -> Any:
    """The method of the backend that these arguments choose.

    Raises:
        ValueError: both ways to choose it are given.
    """
    if file_client_args is not None and backend_args is not None:
        raise ValueError("give backend_args or file_client_args, its older name, not both")
    if file_client_args is not None:
        text = '"file_client_args" will be deprecated in future: its name is backend_args now'
        warnings.warn(text, DeprecationWarning, stacklevel=3)
    if isinstance(file_client_args, Mapping) and file_client_args.get("backend") in FileClient._backends:
        return getattr(FileClient.infer_client(file_client_args, file).client, method)
    return ask(file, file_client_args or backend_args, method)


def load(
    file: FilePath | IO[Any],
    file_format: str | None = None,
    file_client_args: BackendArgs = None,
    backend_args: BackendArgs = None,
    **kwargs: Any,
) -> Any:
    """Read an object from a json, yaml or pickle file, or one of a registered format.

    A pickle can run any code while it is read: load only files that you trust.

    Args:
        file: path, http(s) address or open file.
        file_format: such as `"json"`; default: the suffix of the path.
        file_client_args: old name of `backend_args`.
        backend_args: see `get`.
        kwargs: of the handler: for json and pickle those of `json.load` and `pickle.load`.

    Raises:
        TypeError: there is no such format, or `file` is no file.
        ValueError: both ways to choose the backend are given.
    """
    handler = _handler_of(file, file_format)
    if isinstance(file, str | Path):
        if handler.str_like:
            text = reading(file, file_client_args, backend_args, "get_text")(file)
            return handler.load_from_fileobj(io.StringIO(text), **kwargs)
        content = reading(file, file_client_args, backend_args, "get")(file)
        return handler.load_from_fileobj(io.BytesIO(content), **kwargs)
    if not hasattr(file, "read"):
        raise TypeError(f"file must be a path or an open file, got {type(file).__name__}")
    return handler.load_from_fileobj(file, **kwargs)


def dump(
    obj: Any,
    file: FilePath | IO[Any] | None = None,
    file_format: str | None = None,
    file_client_args: BackendArgs = None,
    backend_args: BackendArgs = None,
    **kwargs: Any,
) -> Any:
    """Write an object as json, yaml, pickle or in a registered format. Arrays become lists in json.

    Args:
        obj: the object.
        file: path (its folder is made) or open file; None returns the text or bytes.
        file_format: see `load`.
        file_client_args: old name of `backend_args`.
        backend_args: see `get`.
        kwargs: of the handler: those of `json.dump`, `yaml.dump` or `pickle.dump`.

    Raises:
        TypeError: there is no such format, or `file` is no file.
        ValueError: both ways to choose the backend are given.
    """
    handler = _handler_of(file, file_format)
    if file is None:
        return handler.dump_to_str(obj, **kwargs)
    if isinstance(file, str | Path):
        stream: Any = io.StringIO() if handler.str_like else io.BytesIO()
        handler.dump_to_fileobj(obj, stream, **kwargs)
        method = "put_text" if handler.str_like else "put"
        reading(file, file_client_args, backend_args, method)(stream.getvalue(), file)
        return None
    if not hasattr(file, "write"):
        raise TypeError(f"file must be a path or an open file, got {type(file).__name__}")
    handler.dump_to_fileobj(obj, file, **kwargs)
    return None


def write_to_json(config: Mapping[str, Any], filename: FilePath) -> None:
    """Write settings as JSON; the name in `mmcv.cnn.rfsearch`."""
    dump(config, filename, "json")
