"""Which backend a path or address belongs to."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kinema.compat.parts.fileio.backends import BaseStorageBackend, FilePath
from kinema.compat.parts.fileio.register import backends, prefix_to_backends
from kinema.errors import KinemaError

BackendArgs = Mapping[str, Any] | None

backend_instances: dict[str, BaseStorageBackend] = {}


def parse_uri_prefix(uri: FilePath) -> str:
    """What stands before `://`; of `cluster:s3://...` the last part; "" for a path.

    Raises:
        TypeError: `uri` is no path.
    """
    if not isinstance(uri, str | Path):
        raise TypeError(f"uri must be a text or a Path, got {type(uri).__name__}")
    prefix, separator, _ = str(uri).partition("://")
    return prefix.rpartition(":")[2] if separator else ""


def backend_of(prefix: str, backend_args: BackendArgs) -> BaseStorageBackend:
    """A new backend: the one that `backend_args` names, or that of the prefix.

    Raises:
        ValueError: nobody has it.
    """
    options = dict(backend_args or {})
    name = options.pop("backend", None)
    name = "local" if name == "disk" else name
    known, chosen = (prefix_to_backends, prefix) if name is None else (backends, name)
    if chosen not in known:
        raise ValueError(f"there is no file backend {chosen!r}: known are {', '.join(filter(None, known))}")
    return known[chosen](**options)


def get_file_backend(
    uri: FilePath | None = None, *, backend_args: BackendArgs = None, enable_singleton: bool = False
) -> BaseStorageBackend:
    """The backend of a path or address, or the one that `backend_args` names.

    Args:
        uri: path or address.
        backend_args: `backend` and the arguments of that backend's class.
        enable_singleton: give the same object for the same arguments.

    Raises:
        ValueError: there is no such backend, or neither argument says which.
    """
    if uri is None and "backend" not in (backend_args or {}):
        raise ValueError("need uri or backend_args=dict(backend=...): which backend is it?")
    prefix = "" if uri is None else parse_uri_prefix(uri)
    if not enable_singleton:
        return backend_of(prefix, backend_args)
    key = f"{prefix}:{json.dumps(dict(backend_args or {}), default=str)}"
    if key not in backend_instances:
        backend_instances[key] = backend_of(prefix, backend_args)
    return backend_instances[key]


def ask(uri: FilePath, backend_args: BackendArgs, method: str) -> Any:
    """The method of the backend of `uri`.

    Raises:
        KinemaError: that backend cannot do it.
    """
    backend = get_file_backend(uri, backend_args=backend_args, enable_singleton=True)
    if not hasattr(backend, method):
        raise KinemaError(
            f"{uri}: {backend.name} has no {method}; files on the web can only be read: download it first"
        )
    return getattr(backend, method)
