"""Receiving a file from a server: in several tries, from where an earlier one stopped, within limits."""

import json
import logging
import os
import re
import shutil
from collections.abc import Mapping
from contextlib import closing, suppress
from email.message import Message
from http.client import HTTPException, HTTPResponse, InvalidURL
from pathlib import Path
from time import monotonic, sleep
from urllib.error import HTTPError, URLError

from kinema import __version__
from kinema.checkpoints.cache import CachedFile
from kinema.checkpoints.connections import open_address, said
from kinema.errors import CheckpointError
from kinema.files import sha256_of
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


def receive(item: CachedFile) -> None:
    """Complete `item.part`.

    Raises:
        CheckpointError: it cannot be done now, or its hash is another.
    """
    was_begun = _size(item.part) > 0
    _receive_whole(item)
    wrong = _wrong_hash_of(item)
    if wrong and was_begun:  # what an earlier process left may have been spoiled
        _discard_part(item)
        _receive_whole(item)
        wrong = _wrong_hash_of(item)
    if wrong:
        _discard_part(item)
        raise CheckpointError(
            f"{item.shown}: the sha256 of what came starts with {wrong[:8]}, by its name it must start with"
            f" {item.digest}; it was removed. If it is the right file all the same, download it yourself and give its"
            " path"
        )


def _wrong_hash_of(item: CachedFile) -> str:
    """The sha256 of what came; empty when it is right, or no hash is known."""
    actual = sha256_of(item.part) if item.digest else ""
    return "" if item.digest and actual.startswith(item.digest) else actual


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _discard_part(item: CachedFile) -> None:
    item.part.unlink(missing_ok=True)
    item.note.unlink(missing_ok=True)


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


def _receive_whole(item: CachedFile) -> None:
    """Complete `item.part`, in several tries if need be.

    Raises CheckpointError: it cannot be done now.
    """
    begun = reached = _size(item.part)
    failures = 0
    while True:
        try:
            _receive_once(item)
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


def _receive_once(item: CachedFile) -> None:
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
            _receive_once(item)


def _read_note(item: CachedFile) -> dict[str, str]:
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


def _open(item: CachedFile, headers: dict[str, str]) -> HTTPResponse:
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


def _refusal(item: CachedFile, code: int, reason: str) -> Exception:
    answer = f"the server says {code} {said(reason)}".rstrip()
    if code in (408, 429) or code >= 500:
        return _CutOffError(answer)
    hint = "the address is wrong, or the file is gone" if code in (404, 410) else "it does not give this file"
    return CheckpointError(
        f"{item.shown}: {answer}: {hint}; correct the address, or put the file at {item.path} yourself"
    )


def _words(error: Exception) -> str:
    return said(error) or type(error).__name__


def _store(item: CachedFile, response: HTTPResponse, offset: int) -> None:
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


def _check_room(item: CachedFile, have: int, left: int) -> None:
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
