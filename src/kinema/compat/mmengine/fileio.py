"""`mmengine.fileio`, thin over Kinema."""

from kinema.compat.parts.fileio import (
    copyfile,
    dict_from_file,
    dump,
    exists,
    get,
    get_local_path,
    get_text,
    isdir,
    isfile,
    join_path,
    list_dir_or_file,
    list_from_file,
    load,
    put,
    put_text,
    remove,
)

__all__ = [
    "copyfile",
    "dict_from_file",
    "dump",
    "exists",
    "get",
    "get_local_path",
    "get_text",
    "isdir",
    "isfile",
    "join_path",
    "list_dir_or_file",
    "list_from_file",
    "load",
    "put",
    "put_text",
    "remove",
]
