"""The register of places that files may be at: `mmengine.fileio.backends.registry_utils`."""

from collections.abc import Callable, Sequence
from typing import Any

from kinema.compat.parts.fileio.backends import BaseStorageBackend, HTTPBackend, LocalBackend
from kinema.compat.parts.fileio.remote_backends import LmdbBackend, MemcachedBackend, PetrelBackend

Backend = type[BaseStorageBackend]

backends: dict[str, Backend] = {
    "local": LocalBackend,
    "memcached": MemcachedBackend,
    "lmdb": LmdbBackend,
    "petrel": PetrelBackend,
    "http": HTTPBackend,
}
prefix_to_backends: dict[str, Backend] = {
    "": LocalBackend,
    "petrel": PetrelBackend,
    "s3": PetrelBackend,
    "http": HTTPBackend,
    "https": HTTPBackend,
}


def register_backend(
    name: str, backend: Backend | None = None, force: bool = False, prefixes: str | Sequence[str] | None = None
) -> Callable[[Backend], Backend] | None:
    """Make a backend known by a name, and by what its addresses begin with; a decorator without `backend`.

    Args:
        name: for `backend_args=dict(backend=name)`.
        backend: subclass of `BaseStorageBackend`.
        force: replace one of that name or prefix.
        prefixes: what stands before `://`, one or several.

    Raises:
        TypeError: an argument is of the wrong type.
        ValueError: the name or a prefix is taken.
    """
    if backend is not None:
        add_backend(backends, prefix_to_backends, name, backend, force, prefixes)
        return None

    def decorator(cls: Backend) -> Backend:
        add_backend(backends, prefix_to_backends, name, cls, force, prefixes)
        return cls

    return decorator


def add_backend(
    by_name: dict[str, Any],
    by_prefix: dict[str, Any],
    name: str,
    backend: Any,
    force: bool,
    prefixes: str | Sequence[str] | None,
) -> None:
    """Put a backend into the two tables; see `register_backend`."""
    if not isinstance(name, str):
        raise TypeError(f"the name of a backend must be a text, got {type(name).__name__}")
    if not (isinstance(backend, type) and issubclass(backend, BaseStorageBackend)):
        raise TypeError(f"backend must be a subclass of BaseStorageBackend, got {backend!r}")
    if not force and name in by_name:
        raise ValueError(f"{name} is the name of a backend already: add force=True to replace it")
    listed = [prefixes] if isinstance(prefixes, str) else prefixes or []
    if not isinstance(listed, list | tuple):
        raise TypeError(f"prefixes must be a text or a list of texts, got {type(prefixes).__name__}")
    taken = [prefix for prefix in listed if prefix in by_prefix]
    if taken and not force:
        raise ValueError(f"{', '.join(taken)} is the prefix of a backend already: add force=True to replace it")
    by_name[name] = backend
    by_prefix.update(dict.fromkeys(listed, backend))
