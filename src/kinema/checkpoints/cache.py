"""Where the file of an address lies in the cache, and whether it is there, whole and right."""

import hashlib
import os
import re
import string
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlsplit

import torch

from kinema.checkpoints.connections import shown_address
from kinema.errors import CheckpointError
from kinema.files import sha256_of

_DIGEST = re.compile(r"-([0-9a-f]{8,64})\.[^-]+$")
_DATE = re.compile(r"20\d\d(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])")
_UNFIT_FOR_NAMES = re.compile(r'[\\/:*?"<>|]')

_verified: dict[Path, tuple[int, int]] = {}  # files of the right hash: size, time of the last change


@dataclass(frozen=True)
class CachedFile:
    """A file of the cache: where it comes from, where it lies, what its sha256 starts with (None: not known)."""

    url: str
    path: Path
    digest: str | None

    @property
    def shown(self) -> str:
        """The address as messages show it."""
        return shown_address(self.url)

    @property
    def part(self) -> Path:
        """Its beginning, while it is being downloaded."""
        return self.path.with_name(f"{self.path.name}.part")

    @property
    def note(self) -> Path:
        """Which version of the file that beginning is of."""
        return self.path.with_name(f"{self.path.name}.part.json")


def cached_file(address: str) -> CachedFile:
    """The file of an `http(s)://` address.

    Raises:
        CheckpointError: the address names no server or no file.
    """
    url = quote(address.partition("#")[0], safe=string.punctuation)
    try:
        parts = urlsplit(url)
        host, name = parts.hostname, parts.path.rpartition("/")[2]
    except ValueError:  # brackets that are no IPv6 address
        host = name = ""
    if not host or name in ("", ".", "..") or _UNFIT_FOR_NAMES.search(name):
        raise CheckpointError(
            f"{shown_address(address)}: expected the address of a file, as in https://server/folder/name.pth"
        )
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    digest = _DIGEST.search(name)
    if digest is not None and not _DATE.fullmatch(digest[1]):
        return CachedFile(url, folder / name, digest[1])
    # Files of one name from two places are two files.
    return CachedFile(url, folder / hashlib.sha256(url.encode()).hexdigest()[:12] / name, None)


def is_usable(item: CachedFile) -> bool:
    """Whether the file is there, and has the hash that its name says."""
    if not item.path.is_file():
        return False
    if item.digest is None:
        return True
    version = _version(item.path)
    if _verified.get(item.path) != version:
        if not sha256_of(item.path).startswith(item.digest):
            return False
        _verified[item.path] = version
    return True


def keep(item: CachedFile) -> None:
    """Give what was received, whole and right, its name."""
    with item.part.open("rb+") as file:
        os.fsync(file.fileno())
    item.part.replace(item.path)
    item.note.unlink(missing_ok=True)
    if item.digest is not None:
        _verified[item.path] = _version(item.path)


def _version(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns
