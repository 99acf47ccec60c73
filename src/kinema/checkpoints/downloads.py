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

import hashlib
import json
import logging
import os
import re
import shutil
import string
from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from email.message import Message
from http.client import HTTPException, HTTPResponse, InvalidURL
from pathlib import Path
from time import monotonic, sleep
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlsplit
from urllib.request import url2pathname

import torch
from filelock import FileLock, Timeout

from kinema import __version__
from kinema.checkpoints.connections import open_address, said, shown_address
from kinema.errors import CheckpointError
from kinema.files import sha256_of
from kinema.openmmlab.addresses import PUBLISHED, published_url
from kinema.progress import ProgressBar

logger = logging.getLogger("kinema")

TIMEOUT_SECONDS = 30.0  # without a byte
RETRIES = 4  # in a row that bring nothing new
PAUSE_SECONDS = 1.0  # before the first retry; twice as long before each further one
CHUNK_BYTES = 1 << 20
# Limits of a download. The environment may set others, in bytes and bytes a second.
MOST_BYTES = int(os.environ.get("KINEMA_DOWNLOAD_MOST_BYTES", 32 << 30))
LEAST_RATE = int(os.environ.get("KINEMA_DOWNLOAD_LEAST_RATE", 1000))  # over TIMEOUT_SECONDS
SPARE_BYTES = 64 << 20  # that stay free on the disk
LOOK_BYTES = 64 << 20  # between two checks of the free space, where a server does not say how much it sends

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")  # two letters at least: a single one is a drive of Windows
_DIGEST = re.compile(r"-([0-9a-f]{8,64})\.[^-]+$")
_DATE = re.compile(r"20\d\d(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])")
_UNFIT_FOR_NAMES = re.compile(r'[\\/:*?"<>|]')

_verified: dict[Path, tuple[int, int]] = {}  # files of the right hash: size, time of the last change


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
    item = _item(place)
    try:
        return item.path if _is_usable(item) else None
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


# ---- the cache


@dataclass(frozen=True)
class _Item:
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
        return self.path.with_name(f"{self.path.name}.part")

    @property
    def note(self) -> Path:
        return self.path.with_name(f"{self.path.name}.part.json")


def _item(address: str) -> _Item:
    """Raises CheckpointError: the address names no server or no file."""
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
        return _Item(url, folder / name, digest[1])
    # Files of one name from two places are two files.
    return _Item(url, folder / hashlib.sha256(url.encode()).hexdigest()[:12] / name, None)


def _fetch_url(address: str) -> Path:
    item = _item(address)
    try:
        if _is_usable(item):  # needs no lock, so the cache may be one that cannot be written
            return item.path
        item.path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(item.path.with_name(f"{item.path.name}.lock"))
        try:
            lock.acquire(timeout=0)
        except Timeout:
            logger.info("%s: waiting for another process, which downloads it", item.shown)
            lock.acquire()
        try:
            if not _is_usable(item):
                _download(item)
        finally:
            lock.release()
    except OSError as error:  # of the disk: those of the network are CheckpointErrors by now
        raise CheckpointError(
            f"{item.shown}: cannot keep it at {item.path}: {error.strerror or error}; make room there, or set"
            " TORCH_HOME to a folder that can be written"
        ) from error
    return item.path


def _is_usable(item: _Item) -> bool:
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


def _version(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def _download(item: _Item) -> None:
    is_spoiled = item.path.is_file()
    if is_spoiled:
        logger.warning("%s: its sha256 does not start with %s; downloading it again", item.path, item.digest)
    try:
        _receive_right(item)
    except CheckpointError as error:
        if not is_spoiled:
            raise
        raise CheckpointError(
            f"{item.path} is spoiled, its sha256 does not start with {item.digest}; downloading it again failed:"
            f" {error}"
        ) from None
    with item.part.open("rb+") as file:
        os.fsync(file.fileno())
    item.part.replace(item.path)
    item.note.unlink(missing_ok=True)
    if item.digest is not None:
        _verified[item.path] = _version(item.path)


def _receive_right(item: _Item) -> None:
    """Complete `item.part`. Raises CheckpointError: it cannot be done now, or its hash is another."""
    was_begun = _size(item.part) > 0
    _receive_whole(item)
    wrong = _wrongsha256_of(item)
    if wrong and was_begun:  # what an earlier process left may have been spoiled
        _discard_part(item)
        _receive_whole(item)
        wrong = _wrongsha256_of(item)
    if wrong:
        _discard_part(item)
        raise CheckpointError(
            f"{item.shown}: the sha256 of what came starts with {wrong[:8]}, by its name it must start with"
            f" {item.digest}; it was removed. If it is the right file all the same, download it yourself and give its"
            " path"
        )


def _wrongsha256_of(item: _Item) -> str:
    """The sha256 of what came; empty when it is right, or no hash is known."""
    actual = sha256_of(item.part) if item.digest else ""
    return "" if item.digest and actual.startswith(item.digest) else actual


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _discard_part(item: _Item) -> None:
    item.part.unlink(missing_ok=True)
    item.note.unlink(missing_ok=True)


# ---- the network


class _CutOffError(Exception):
    """The server, or the way to it, failed: another try may bring more."""


class _TrickleError(_CutOffError):
    """The server sends next to nothing."""


class _NoServerError(_CutOffError):
    """No server was reached."""


class _RangeError(Exception):
    """The file has no bytes where the download should resume.

    `size`: bytes in the whole file; None: unknown.
    """

    def __init__(self, size: int | None) -> None:
        super().__init__(size)
        self.size = size


def _receive_whole(item: _Item) -> None:
    """Complete `item.part`, in several tries if need be.

    Raises CheckpointError: it cannot be done now.
    """
    begun = reached = _size(item.part)
    failures = 0
    while True:
        try:
            _receive(item)
            return
        except _CutOffError as error:
            size = _size(item.part)
            if isinstance(error, _NoServerError) and reached == begun and size <= begun:
                raise CheckpointError(
                    f"{item.shown}: no network, or no such server ({error}); put the file at {item.path} yourself"
                ) from None
            is_better = size > reached and not isinstance(error, _TrickleError)
            failures = 1 if is_better else failures + 1
            reached = max(reached, size)
            if failures > RETRIES:
                kept = f"what came, {size} bytes, is kept for the next run; " if size else ""
                raise CheckpointError(
                    f"{item.shown}: {error}, {failures} times in a row; {kept}try later, or put the file at {item.path}"
                    " yourself"
                ) from None
            logger.warning("%s: %s; trying again", item.shown, error)
            sleep(PAUSE_SECONDS * 2 ** (failures - 1))


def _receive(item: _Item) -> None:
    """One request, from where `item.part` ends.

    Raises:
        _CutOffError: the file is not whole yet.
        CheckpointError: the server does not give it.
    """
    note = _read_note(item)
    validator = note.get("validator")
    # Without either of them, both pieces might be of different files.
    offset = _size(item.part) if validator or item.digest else 0
    headers = {"User-Agent": f"kinema/{__version__}"}
    if offset:
        headers["Range"] = f"bytes={offset}-"
        if validator:
            headers["If-Range"] = validator
    try:
        with _open(item, headers) as response:
            if response.status == 200:
                offset = 0
            elif not offset or response.status != 206:
                raise _refusal(item, response.status, response.reason)
            elif not _resumes(response.headers, offset, note):
                raise _RangeError(None)
            _store(item, response, offset)
    except _RangeError as error:
        if error.size != offset:
            _discard_part(item)
            _receive(item)


def _read_note(item: _Item) -> dict[str, str]:
    """`validator` (ETag or Last-Modified) and `size` (bytes, as text) of the file whose beginning `item.part` is."""
    with suppress(OSError, ValueError):
        note = json.loads(item.note.read_text(encoding="utf-8"))
        if isinstance(note, dict):
            return note
    return {}


def _validator(headers: Message) -> str:
    """What differs between versions of a file; a weak ETag may stay the same when bytes change."""
    etag = headers.get("ETag", "")
    return etag if etag and not etag.startswith("W/") else headers.get("Last-Modified", "")


def _resumes(headers: Message, offset: int, note: Mapping[str, str]) -> bool:
    """Is the body of a 206 what follows the first `offset` bytes of the file that was noted?"""
    match = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", headers.get("Content-Range", "").strip())
    if match is None or int(match[1]) != offset or int(match[2]) + 1 != int(match[3]):
        return False
    pairs = ((note.get("validator"), _validator(headers)), (note.get("size"), match[3]))
    return all(before == now for before, now in pairs if before and now)


def _open(item: _Item, headers: dict[str, str]) -> HTTPResponse:
    try:
        response = open_address(item.url, headers, TIMEOUT_SECONDS)
    except HTTPError as error:
        with error:  # it holds the connection
            if error.code == 416 and "Range" in headers:
                size = re.fullmatch(r"bytes \*/(\d+)", error.headers.get("Content-Range", ""))
                raise _RangeError(int(size[1]) if size else None) from None
            raise _refusal(item, error.code, error.reason) from None
    except (URLError, InvalidURL, UnicodeError) as error:  # the last one of a name that no server can have
        raise _NoServerError(said(getattr(error, "reason", error))) from error
    except (OSError, HTTPException) as error:
        raise _CutOffError(f"the server broke off ({_words(error)})") from error
    if response.headers.get_content_type() == "text/html":
        response.close()
        raise CheckpointError(
            f"{item.shown}: gives a web page, not a file; look for the address of the file itself, or put it at"
            f" {item.path}"
        )
    return response


def _refusal(item: _Item, code: int, reason: str) -> Exception:
    answer = f"the server says {code} {said(reason)}".rstrip()
    if code in (408, 429) or code >= 500:
        return _CutOffError(answer)
    hint = "the address is wrong, or the file is gone" if code in (404, 410) else "it does not give this file"
    return CheckpointError(
        f"{item.shown}: {answer}: {hint}; correct the address, or put the file at {item.path} yourself"
    )


def _words(error: Exception) -> str:
    return said(error) or type(error).__name__


def _store(item: _Item, response: HTTPResponse, offset: int) -> None:
    """Write the body of `response` behind the first `offset` bytes of `item.part`.

    Raises _CutOffError: it ended early; what came is written.
    """
    left = response.length  # bytes; None: the server does not say
    total = None if left is None else offset + left
    _check_room(item, offset, left or 0)
    logger.info("downloading %s (%s MB) to %s", item.shown, "?" if total is None else _megabytes(total), item.path)
    with item.part.open("ab" if offset else "wb") as file, closing(ProgressBar(_megabytes(left or 0))) as bar:
        if not offset:
            note = {"validator": _validator(response.headers), "size": str(total or "")}
            item.note.write_text(json.dumps(note), encoding="utf-8")
        since, arrived, unchecked = monotonic(), 0, 0
        while left is None or left > 0:
            try:  # read1: read would lose, when the connection breaks, what it has gathered so far
                chunk = response.read1(CHUNK_BYTES if left is None else min(left, CHUNK_BYTES))
            except (OSError, HTTPException) as error:
                raise _CutOffError(f"the connection broke off ({_words(error)})") from error
            if not chunk:
                break
            file.write(chunk)
            left = None if left is None else left - len(chunk)
            arrived += len(chunk)
            unchecked += len(chunk)
            if left is None and (unchecked >= LOOK_BYTES or file.tell() > MOST_BYTES):
                _check_room(item, file.tell(), 0)
                unchecked = 0
            seconds = monotonic() - since
            if seconds >= TIMEOUT_SECONDS:
                if arrived < LEAST_RATE * seconds and left != 0:
                    raise _TrickleError(f"the server sent {arrived} bytes in {seconds:.0f} s")
                since, arrived = monotonic(), 0
            news = _megabytes(file.tell() - offset) - bar.completed
            if news:
                bar.update(news)
    if left or not _size(item.part):
        raise _CutOffError(f"the connection ended {left or 'some'} bytes early")


def _check_room(item: _Item, have: int, left: int) -> None:
    """Refuse a file that is larger than downloads may be, or than the disk has room for.

    Raises CheckpointError; `left` bytes are to come.
    """
    if have + left > MOST_BYTES:
        _discard_part(item)
        raise CheckpointError(
            f"{item.shown}: the file is larger than {_megabytes(MOST_BYTES)} MB, the most that is downloaded; set "
            f"KINEMA_DOWNLOAD_MOST_BYTES to allow more, or put the file at {item.path} yourself"
        )
    free = shutil.disk_usage(item.path.parent).free
    if left + SPARE_BYTES > free:
        raise CheckpointError(
            f"{item.shown}: {_megabytes(left)} MB are to come, and {_megabytes(free)} MB are free at"
            f" {item.path.parent}: make room there, or set TORCH_HOME to a folder on another disk"
        )


def _megabytes(num_bytes: int) -> int:
    return -(-num_bytes // 10**6)
