"""Videos of servers that send files in whole only: fetched once, into memory, because a decoder has to go back."""

import base64
import http.client
import io
import time
import urllib.parse
import urllib.request
from typing import Any

from kinema.errors import VideoError
from kinema.video.formats import REMOTE_SCHEMES
from kinema.video.limits import Watch
from kinema.video.source import LEAST_BYTES_PER_SECOND, VideoSource, is_address, reason_of, silent_server

MOST_BYTES = 2**30  # of a file in memory
PIECE = 2**16
_HANDLERS = (
    urllib.request.ProxyHandler,
    urllib.request.UnknownHandler,
    urllib.request.HTTPHandler,
    urllib.request.HTTPSHandler,
    urllib.request.HTTPDefaultErrorHandler,
    urllib.request.HTTPRedirectHandler,
    urllib.request.HTTPErrorProcessor,
)


class NamedBytes(io.BytesIO):
    """A file in memory that messages call by the name of what it was read from."""

    def __init__(self, content: bytes, name: str) -> None:
        super().__init__(content)
        self.name = name


def seekable(source: VideoSource, watch: Watch) -> VideoSource:
    """A source in which a decoder can go back.

    An address whose server sends parts of a file stays as it is, so do addresses that cannot be
    asked: opening them says why. Of other servers the whole file is fetched.

    Args:
        source: what holds a video.
        watch: what its reading is held to.

    Raises:
        VideoError: the server falls silent or hangs up, or the file is too large for memory.
    """
    limits = watch.limits
    if not is_address(source) or limits.more_formats or limits.more_protocols:
        return source
    assert isinstance(source, str)
    if source.partition("://")[0].lower() not in REMOTE_SCHEMES:
        return source
    try:
        answer = _ask(source, limits.network_seconds)
    except (OSError, ValueError, http.client.HTTPException):
        return source
    with answer:
        return source if answer.status == 206 else NamedBytes(_whole(answer, watch), watch.name)


def _ask(address: str, seconds: float) -> Any:
    """The server's answer to being asked for the first byte; no other kind of address is followed to."""
    parts = urllib.parse.urlsplit(address)
    login, _, host = parts.netloc.rpartition("@")
    request = urllib.request.Request(parts._replace(netloc=host).geturl(), headers={"Range": "bytes=0-0"})
    if login:
        name_and_password = urllib.parse.unquote(login).encode()
        request.add_unredirected_header("Authorization", f"Basic {base64.b64encode(name_and_password).decode()}")
    opener = urllib.request.OpenerDirector()
    for handler in _HANDLERS:
        opener.add_handler(handler())
    return opener.open(request, timeout=seconds)


def _whole(answer: Any, watch: Watch) -> bytes:
    pieces, num_bytes, start = [], 0, time.monotonic()
    limit = watch.limits.network_seconds
    expected = answer.length  # None where the server does not say it
    try:
        while piece := answer.read1(PIECE):
            pieces.append(piece)
            num_bytes += len(piece)
            if num_bytes > MOST_BYTES:
                raise VideoError(
                    f"{watch.name}: the server sends files in whole only, and this one is above"
                    f" {MOST_BYTES / 2**30:g} GiB: download the file first"
                )
            if time.monotonic() - start > limit + num_bytes / LEAST_BYTES_PER_SECOND:
                raise silent_server(watch)
    except TimeoutError:
        raise silent_server(watch) from None
    except (OSError, http.client.HTTPException) as error:
        raise _broken(watch, reason_of(error)) from None
    if expected is not None and num_bytes < expected:
        raise _broken(watch, f"{num_bytes} of {expected} bytes came")
    return b"".join(pieces)


def _broken(watch: Watch, reason: str) -> VideoError:
    return VideoError(f"{watch.name}: the connection broke ({reason}); download the file first")
