"""Read, write and ask for files by path or web address: the functions of `mmengine.fileio`.

Each passes its work to the backend of the path; `backend_args` names another.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager

from kinema.compat.parts.fileio.backends import FilePath, Suffix
from kinema.compat.parts.fileio.choosing import BackendArgs, ask


def get(filepath: FilePath, backend_args: BackendArgs = None) -> bytes:
    """Read a file or an http(s) address as bytes.

    Args:
        filepath: path or address.
        backend_args: `dict(backend="local")`, `dict(backend="http")` or a registered backend with its
            arguments; default: by the path.

    Raises:
        OSError: it cannot be read.
    """
    content: bytes = ask(filepath, backend_args, "get")(filepath)
    return content


def get_text(filepath: FilePath, encoding: str = "utf-8", backend_args: BackendArgs = None) -> str:
    """Read a file or an http(s) address as text."""
    text: str = ask(filepath, backend_args, "get_text")(filepath, encoding)
    return text


def put(obj: bytes, filepath: FilePath, backend_args: BackendArgs = None) -> None:
    """Write bytes to a file; its folder is made.

    Raises:
        KinemaError: the backend only reads.
    """
    ask(filepath, backend_args, "put")(obj, filepath)


def put_text(obj: str, filepath: FilePath, backend_args: BackendArgs = None) -> None:
    """Write text to a file; its folder is made."""
    ask(filepath, backend_args, "put_text")(obj, filepath)


def exists(filepath: FilePath, backend_args: BackendArgs = None) -> bool:
    """Whether there is such a file or folder. Web addresses cannot be asked."""
    return bool(ask(filepath, backend_args, "exists")(filepath))


def isfile(filepath: FilePath, backend_args: BackendArgs = None) -> bool:
    """Whether there is such a file."""
    return bool(ask(filepath, backend_args, "isfile")(filepath))


def isdir(filepath: FilePath, backend_args: BackendArgs = None) -> bool:
    """Whether there is such a folder."""
    return bool(ask(filepath, backend_args, "isdir")(filepath))


def join_path(filepath: FilePath, *filepaths: FilePath, backend_args: BackendArgs = None) -> str:
    """Join parts of a path or of a web address."""
    return str(ask(filepath, backend_args, "join_path")(filepath, *filepaths))


def get_local_path(filepath: FilePath, backend_args: BackendArgs = None) -> AbstractContextManager[FilePath]:
    """A `with` block's path of the file on this machine.

    What comes from the web is in a temporary file until the block ends.
    """
    path: AbstractContextManager[FilePath] = ask(filepath, backend_args, "get_local_path")(str(filepath))
    return path


def copyfile(src: FilePath, dst: FilePath, backend_args: BackendArgs = None) -> FilePath:
    """Copy a file to a file or into a folder; returns where it went."""
    path: FilePath = ask(src, backend_args, "copyfile")(src, dst)
    return path


def copytree(src: FilePath, dst: FilePath, backend_args: BackendArgs = None) -> FilePath:
    """Copy a folder with all that is in it; returns where it went."""
    path: FilePath = ask(src, backend_args, "copytree")(src, dst)
    return path


def copyfile_from_local(src: FilePath, dst: FilePath, backend_args: BackendArgs = None) -> FilePath:
    """Copy a file of this machine to where `dst` is."""
    path: FilePath = ask(dst, backend_args, "copyfile_from_local")(src, dst)
    return path


def copytree_from_local(src: FilePath, dst: FilePath, backend_args: BackendArgs = None) -> FilePath:
    """Copy a folder of this machine to where `dst` is."""
    path: FilePath = ask(dst, backend_args, "copytree_from_local")(src, dst)
    return path


def copyfile_to_local(src: FilePath, dst: FilePath, backend_args: BackendArgs = None) -> FilePath:
    """Copy a file to this machine."""
    path: FilePath = ask(src, backend_args, "copyfile_to_local")(src, dst)
    return path


def copytree_to_local(src: FilePath, dst: FilePath, backend_args: BackendArgs = None) -> FilePath:
    """Copy a folder to this machine."""
    path: FilePath = ask(src, backend_args, "copytree_to_local")(src, dst)
    return path


def remove(filepath: FilePath, backend_args: BackendArgs = None) -> None:
    """Delete a file."""
    ask(filepath, backend_args, "remove")(filepath)


def rmtree(dir_path: FilePath, backend_args: BackendArgs = None) -> None:
    """Delete a folder with all that is in it."""
    ask(dir_path, backend_args, "rmtree")(dir_path)


def copy_if_symlink_fails(src: FilePath, dst: FilePath, backend_args: BackendArgs = None) -> bool:
    """Make the symbolic link `dst` to `src`, or where that fails, a copy; returns whether it is a link."""
    return bool(ask(src, backend_args, "copy_if_symlink_fails")(src, dst))


def list_dir_or_file(
    dir_path: FilePath,
    list_dir: bool = True,
    list_file: bool = True,
    suffix: Suffix = None,
    recursive: bool = False,
    backend_args: BackendArgs = None,
) -> Iterator[str]:
    """Paths below `dir_path`; see `LocalBackend.list_dir_or_file`."""
    names: Iterator[str] = ask(dir_path, backend_args, "list_dir_or_file")(
        dir_path, list_dir, list_file, suffix, recursive
    )
    return names


def generate_presigned_url(
    url: str, client_method: str = "get_object", expires_in: int = 3600, backend_args: BackendArgs = None
) -> str:
    """An address of a registered backend's file that works for a while without a login."""
    return str(ask(url, backend_args, "generate_presigned_url")(url, client_method, expires_in))
