"""Checkpoint files by address: downloaded once, whole or not at all, then read from the cache.

The cache is that of `torch.hub` (`TORCH_HOME` moves it), which has the files of MMAction2 and
torchvision already. Beside a file that is being downloaded are `NAME.part` (its beginning),
`NAME.part.json` (which version of the file that is) and `NAME.lock` (held by the process that
downloads it).

Why no library does this: weights come from any server and by several processes at once. `torch.hub`
and pooch check hashes, but download a file anew after an interruption and take no lock;
huggingface_hub does both for repositories of its own hub alone. None of them ends a download that
trickles, limits its size, or keeps the passwords and keys in addresses out of messages. Locks are
filelock's.
"""

import logging
import re
from pathlib import Path
from urllib.request import url2pathname

from filelock import FileLock, Timeout

from kinema.checkpoints.cache import CachedFile, cached_file, is_usable, keep
from kinema.checkpoints.connections import shown_address
from kinema.checkpoints.receiving import receive
from kinema.errors import CheckpointError
from kinema.openmmlab.addresses import PUBLISHED, published_url

logger = logging.getLogger("kinema")

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")  # two letters at least: a single one is a drive of Windows


def is_address(text: str) -> bool:
    """True for what has a scheme (`https://...`, `torchvision://resnet50`), so that `fetch` must find the file."""
    return _SCHEME.match(text) is not None


def fetch(address: str) -> Path:
    """The file at `address`; downloads it unless it is in the cache, `torch.hub.get_dir()/checkpoints`.

    Where several processes of a machine ask, one of them downloads. A download that was cut off
    resumes where it stopped. Where a file's name holds a hash (`resnet50-0676ba61.pth`), its sha256
    must start with it.

    Args:
        address: `http://`, `https://`; `torchvision://`, `modelzoo://`, `open-mmlab://`,
            `openmmlab://`, `mmcls://` and the name of a network; `file://` or a plain path, which
            may start with `~` and need not exist.

    Returns:
        Path of the file.

    Raises:
        CheckpointError: the address is wrong, or the file is not in the cache and cannot be
            downloaded whole.
    """
    place = _place_of(address)
    if isinstance(place, Path):
        return place
    try:
        return _fetch_url(place)
    except CheckpointError as error:
        if place == address:
            raise
        raise CheckpointError(f"{shown_address(address)}: {error}") from None


def find_cached(address: str) -> Path | None:
    """The file that `fetch` gives without a download; None: it would have to be downloaded.

    Raises:
        CheckpointError: the address is wrong.
    """
    place = _place_of(address)
    if isinstance(place, Path):
        return place
    item = cached_file(place)
    try:
        return item.path if is_usable(item) else None
    except OSError:
        return None


def _place_of(address: str) -> Path | str:
    """The path that an address names, or its URL."""
    match = _SCHEME.match(address)
    if match is None:
        return Path(address).expanduser()
    scheme, rest = match[1].lower(), address[match.end() :]
    if scheme == "file":
        return Path(url2pathname(re.sub(r"^localhost(?=/)", "", rest))).expanduser()
    if scheme in ("http", "https"):
        return address
    if scheme not in PUBLISHED:
        known = ", ".join(f"{name}://" for name in ("file", "http", "https", *PUBLISHED))
        raise CheckpointError(
            f"{shown_address(address)}: files cannot be fetched by {scheme}://, only by {known}; get the file yourself"
            " and give its path"
        )
    return published_url(scheme, rest)


def _fetch_url(address: str) -> Path:
    item = cached_file(address)
    try:
        if is_usable(item):  # needs no lock, so the cache may be one that cannot be written
            return item.path
        item.path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(item.path.with_name(f"{item.path.name}.lock"))
        try:
            lock.acquire(timeout=0)
        except Timeout:
            logger.info("%s: waiting for another process, which downloads it", item.shown)
            lock.acquire()
        try:
            if not is_usable(item):
                _download(item)
        finally:
            lock.release()
    except OSError as error:  # of the disk: those of the network are CheckpointErrors by now
        raise CheckpointError(
            f"{item.shown}: cannot keep it at {item.path}: {error.strerror or error}; make room there, or set"
            " TORCH_HOME to a folder that can be written"
        ) from error
    return item.path


def _download(item: CachedFile) -> None:
    is_spoiled = item.path.is_file()
    if is_spoiled:
        logger.warning("%s: its sha256 does not start with %s; downloading it again", item.path, item.digest)
    try:
        receive(item)
    except CheckpointError as error:
        if not is_spoiled:
            raise
        raise CheckpointError(
            f"{item.path} is spoiled, its sha256 does not start with {item.digest}; downloading it again failed:"
            f" {error}"
        ) from None
    keep(item)
