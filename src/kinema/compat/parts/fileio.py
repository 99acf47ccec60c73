"""Read and write small files by path or web address: what `mmengine.fileio` and `mmcv.load`/`mmcv.dump` do."""

import contextlib
import json
import pickle
import shutil
import tempfile
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlparse

import numpy as np
import yaml

from kinema.config.yaml_dialect import Dumper, Loader
from kinema.errors import KinemaError, NotYetError

FilePath = str | Path
BackendArgs = Mapping[str, Any] | None

_FORMATS = {"json": "json", "yaml": "yaml", "yml": "yaml", "pkl": "pickle", "pickle": "pickle"}


def _is_web_address(path: FilePath) -> bool:
    return urlparse(str(path)).scheme in ("http", "https")


def _check_backend(backend_args: BackendArgs) -> None:
    backend = (backend_args or {}).get("backend", "local")
    if backend not in ("local", "disk", "http"):
        raise NotYetError(f"file backend {backend!r} is not in Kinema yet: local files and http(s) addresses are")


def _must_be_local(path: FilePath) -> Path:
    if _is_web_address(path):
        raise KinemaError(f"{path}: files on the web can only be read; download it first")
    return Path(path)


# ---- bytes and text


def get(filepath: FilePath, backend_args: BackendArgs = None) -> bytes:
    """Read a file or an http(s) address as bytes.

    Args:
        filepath: path or address.
        backend_args: `dict(backend="local")` or `dict(backend="http")`; the path alone decides.

    Raises:
        OSError: it cannot be read.
        NotYetError: another backend is asked for.
    """
    _check_backend(backend_args)
    if _is_web_address(filepath):
        with urllib.request.urlopen(str(filepath), timeout=60) as answer:
            content: bytes = answer.read()
            return content
    return Path(filepath).read_bytes()


def get_text(filepath: FilePath, encoding: str = "utf-8", backend_args: BackendArgs = None) -> str:
    """Read a file or an http(s) address as text."""
    return get(filepath, backend_args).decode(encoding)


def put(obj: bytes, filepath: FilePath, backend_args: BackendArgs = None) -> None:
    """Write bytes to a file; its folder is made.

    Raises:
        KinemaError: `filepath` is a web address.
    """
    _check_backend(backend_args)
    path = _must_be_local(filepath)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(obj)


def put_text(obj: str, filepath: FilePath, encoding: str = "utf-8", backend_args: BackendArgs = None) -> None:
    """Write text to a file; its folder is made."""
    put(obj.encode(encoding), filepath, backend_args)


# ---- what is there


def exists(filepath: FilePath, backend_args: BackendArgs = None) -> bool:
    """Whether there is such a file or folder. Web addresses cannot be asked."""
    _check_backend(backend_args)
    return _must_be_local(filepath).exists()


def isfile(filepath: FilePath, backend_args: BackendArgs = None) -> bool:
    """Whether there is such a file."""
    _check_backend(backend_args)
    return _must_be_local(filepath).is_file()


def isdir(filepath: FilePath, backend_args: BackendArgs = None) -> bool:
    """Whether there is such a folder."""
    _check_backend(backend_args)
    return _must_be_local(filepath).is_dir()


def join_path(filepath: FilePath, *filepaths: FilePath, backend_args: BackendArgs = None) -> str:
    """Join parts of a path or of a web address."""
    _check_backend(backend_args)
    if _is_web_address(filepath):
        return "/".join([str(filepath).rstrip("/"), *(str(part).strip("/") for part in filepaths)])
    return str(Path(filepath).joinpath(*filepaths))


def list_dir_or_file(
    dir_path: FilePath,
    list_dir: bool = True,
    list_file: bool = True,
    suffix: str | tuple[str, ...] | None = None,
    recursive: bool = False,
    backend_args: BackendArgs = None,
) -> Iterator[str]:
    """Paths below `dir_path`, relative to it, in alphabetical order; names that start with a dot are left out.

    Args:
        dir_path: the folder.
        list_dir: name folders.
        list_file: name files.
        suffix: only files that end so; needs `list_dir=False`.
        recursive: go into subfolders.
        backend_args: see `get`.

    Raises:
        TypeError: `suffix` together with `list_dir`.
    """
    _check_backend(backend_args)
    if suffix is not None and list_dir:
        raise TypeError("`list_dir` should be False when `suffix` is not None")
    root = _must_be_local(dir_path)

    def below(folder: Path) -> Iterator[str]:
        for entry in sorted(folder.iterdir()):
            if entry.name.startswith("."):
                continue
            relative = str(entry.relative_to(root))
            if entry.is_dir():
                if list_dir:
                    yield relative
                if recursive:
                    yield from below(entry)
            elif list_file and (suffix is None or entry.name.endswith(suffix)):
                yield relative

    return below(root)


@contextlib.contextmanager
def get_local_path(filepath: FilePath, backend_args: BackendArgs = None) -> Iterator[str]:
    """Path of the file on this machine; what comes from the web is in a temporary file until the `with` ends."""
    _check_backend(backend_args)
    if not _is_web_address(filepath):
        yield str(filepath)
        return
    with tempfile.TemporaryDirectory() as folder:
        local = Path(folder) / (Path(urlparse(str(filepath)).path).name or "download")
        local.write_bytes(get(filepath))
        yield str(local)


def copyfile(src: FilePath, dst: FilePath, backend_args: BackendArgs = None) -> str:
    """Copy a local file to a file or into a folder; returns where it went."""
    _check_backend(backend_args)
    return str(shutil.copy(_must_be_local(src), _must_be_local(dst)))


def remove(filepath: FilePath, backend_args: BackendArgs = None) -> None:
    """Delete a local file."""
    _check_backend(backend_args)
    _must_be_local(filepath).unlink()


# ---- lists and dicts, a line an item


def list_from_file(
    filename: FilePath,
    prefix: str = "",
    offset: int = 0,
    max_num: int = 0,
    encoding: str = "utf-8",
    file_client_args: BackendArgs = None,
    backend_args: BackendArgs = None,
) -> list[str]:
    r"""The lines of a text file, without their ends.

    Args:
        filename: path or http(s) address.
        prefix: put before every line.
        offset: number of lines to leave out at the start.
        max_num: at most so many lines; 0 for all.
        encoding: of the file.
        file_client_args: old name of `backend_args`.
        backend_args: see `get`.
    """
    lines = get_text(filename, encoding, file_client_args or backend_args).split("\n")
    if lines[-1] == "":  # the end of the last line is no further line
        lines.pop()
    stop = offset + max_num if max_num > 0 else None
    return [prefix + line.rstrip("\r") for line in lines[offset:stop]]


def dict_from_file(
    filename: FilePath,
    key_type: Callable[[str], Any] = str,
    encoding: str = "utf-8",
    file_client_args: BackendArgs = None,
    backend_args: BackendArgs = None,
) -> dict[Any, str | list[str]]:
    """A text file of lines `key value [value ...]` as a dict; several values of a key are a list.

    Raises:
        KinemaError: a line has no value; names file and line.
    """
    mapping: dict[Any, str | list[str]] = {}
    for number, line in enumerate(
        list_from_file(filename, "", 0, 0, encoding, file_client_args, backend_args), start=1
    ):
        key, *values = line.split() if line.strip() else [""]
        if not values:
            raise KinemaError(f"{filename}:{number}: expected 'key value', got {line!r}")
        mapping[key_type(key)] = values[0] if len(values) == 1 else values
    return mapping


# ---- objects


def _format_of(file: Any, file_format: str | None) -> str:
    if file_format is None and isinstance(file, str | Path):
        file_format = Path(urlparse(str(file)).path if _is_web_address(file) else file).suffix.lstrip(".")
    if file_format not in _FORMATS:
        raise TypeError(f"Unsupported format: {file_format}; expected one of {', '.join(_FORMATS)} ({file})")
    return _FORMATS[file_format]


def load(
    file: FilePath | IO[Any],
    file_format: str | None = None,
    file_client_args: BackendArgs = None,
    backend_args: BackendArgs = None,
    **kwargs: Any,
) -> Any:
    """Read an object from a json, yaml or pickle file.

    A pickle can run any code while it is read: load only files that you trust.

    Args:
        file: path, http(s) address or open file.
        file_format: `"json"`, `"yaml"`, `"yml"`, `"pkl"` or `"pickle"`; default: the suffix of the
            path.
        file_client_args: old name of `backend_args`.
        backend_args: see `get`.
        kwargs: passed to `json.loads` or `pickle.loads`.

    Raises:
        TypeError: the format is none of these.
    """
    kind = _format_of(file, file_format)
    content = get(file, file_client_args or backend_args) if isinstance(file, str | Path) else file.read()
    if kind == "json":
        return json.loads(content, **kwargs)
    if kind == "yaml":
        return yaml.load(content, Loader)
    return pickle.loads(content, **kwargs)


def _plain(value: Any) -> Any:
    """Sets, ranges, arrays and array numbers as what json knows."""
    if isinstance(value, set | range):
        return list(value)
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value)} is unsupported for json dump")


def dump(
    obj: Any,
    file: FilePath | IO[Any] | None = None,
    file_format: str | None = None,
    file_client_args: BackendArgs = None,
    backend_args: BackendArgs = None,
    **kwargs: Any,
) -> str | bytes | None:
    """Write an object as json, yaml or pickle. Arrays become lists in json.

    Args:
        obj: the object.
        file: path (its folder is made) or open file; None returns the text or bytes.
        file_format: see `load`.
        file_client_args: old name of `backend_args`.
        backend_args: see `get`.
        kwargs: passed to `json.dumps`, `yaml.dump` or `pickle.dumps`.

    Raises:
        TypeError: the format is none of these.
    """
    kind = _format_of(file, file_format)
    content: str | bytes
    if kind == "json":
        content = json.dumps(obj, **{"default": _plain, **kwargs})
    elif kind == "yaml":
        content = yaml.dump(obj, Dumper=Dumper, **kwargs)
    else:
        content = pickle.dumps(obj, **{"protocol": 2, **kwargs})
    if file is None:
        return content
    if isinstance(file, str | Path):
        put(content.encode() if isinstance(content, str) else content, file, file_client_args or backend_args)
    else:
        file.write(content)
    return None
