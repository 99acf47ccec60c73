"""Open whatever holds a video (path, bytes, file object, URL) as a PyAV container, or say in one line why not."""

import errno
import io
import os
import stat
import struct
import time
import urllib.parse
import urllib.request
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

import av
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from kinema.errors import VideoError
from kinema.printable import printable
from kinema.video.formats import (
    HEAD_BYTES,
    REMOTE_SCHEMES,
    format_of,
    format_whitelist,
    kind_of_file,
    protocol_whitelist,
    without_secrets,
)
from kinema.video.limits import VideoLimits, Watch, default_limits, too_much
from kinema.video.mp4_tables import ReadAt, read_claims

VideoSource = str | Path | bytes | BinaryIO

# What a server has to send, on average. Slower than any modem, faster than one that only keeps the
# connection open.
LEAST_BYTES_PER_SECOND = 1000.0
_INT_MAX = 2**31 - 1
# Entries of all tracks of an mp4 together, as a multiple of what one may have.
_TABLES_OF_ALL_TRACKS = 4


def is_address(source: VideoSource) -> bool:
    """Is `source` a URL, and not the path of a file?"""
    return isinstance(source, str) and "://" in source and not source.lower().startswith("file://")


def source_name(source: VideoSource) -> str:
    """What messages call `source`: the path, or what kind of object it is; of an address all but passwords and keys."""
    if isinstance(source, (str, Path)):
        return printable(without_secrets(source)) if isinstance(source, str) and "://" in source else str(source)
    if isinstance(source, bytes):
        return f"<{len(source)} bytes>"
    name = getattr(source, "name", None)
    return name if isinstance(name, str) else f"<{type(source).__name__}>"


def open_video(
    source: VideoSource, limits: VideoLimits | None = None, watch: Watch | None = None
) -> tuple[InputContainer, VideoStream]:
    """Open `source` at its start.

    Args:
        source: what holds the video.
        limits: what it may ask for; None for `default_limits()`.
        watch: one made for it before, in place of `limits`.

    Returns:
        The container and its first video stream, cover pictures aside. The caller closes the
        container.

    Raises:
        VideoError: there is no such file, it is empty or no video, it is above a limit, or no
            stream of it can be decoded.
        TypeError: `source` is nothing that can be read.
    """
    watch = watch or watch_of(source, limits)
    target = _target(source, watch)
    options = dict(_open_options(watch.limits, target.scheme))
    seconds = watch.limits.network_seconds if target.scheme not in (None, "file") else None
    container = stream = failure = None
    try:
        # A title that is no UTF-8 is no reason to fail.
        container = av.open(
            target.file,
            "r",
            format=format_of(target.head),
            metadata_errors="replace",
            options=options,
            timeout=seconds,
        )
        stream = first_stream(container, watch)
    except (av.FFmpegError, OSError) as error:
        failure = error
    except VideoError:
        if container is not None:
            container.close()
        raise
    if failure is not None or container is None or stream is None:
        # The error of an address holds its password.
        raise _why_not(failure, target, watch) from (None if watch.is_remote else failure)
    return container, stream


def watch_of(source: VideoSource, limits: VideoLimits | None = None) -> Watch:
    """What holds a reading of `source` to `limits`; None for `default_limits()`."""
    return Watch(limits or default_limits(), source_name(source), is_remote=is_address(source))


class _Target(NamedTuple):
    """What PyAV opens, and how."""

    file: str | BinaryIO
    scheme: str | None  # FFmpeg's protocol; None for what Python reads
    head: bytes  # the first bytes; empty for an address


def _target(source: VideoSource, watch: Watch) -> _Target:
    name = watch.name
    if isinstance(source, str) and is_address(source):
        scheme = source.partition("://")[0].lower()
        if scheme not in REMOTE_SCHEMES and scheme not in watch.limits.more_protocols:
            raise VideoError(
                f"{name}: addresses of the kind {printable(scheme)!r} are not opened, only"
                f" {' and '.join(REMOTE_SCHEMES)}; if you trust it, name FFmpeg's protocols in"
                " VideoLimits(more_protocols=...)"
            )
        return _Target(source, scheme, b"")
    if isinstance(source, (str, Path)):
        path = path_of(source)
        _check_file(path, name)
        return _Target(f"file:{path}", "file", _look(source, watch))  # without the prefix "a:b.mp4" is a protocol a
    if isinstance(source, bytes):
        if not source:
            raise VideoError(f"{name}: is empty (0 bytes)")
        return _Target(io.BytesIO(source), None, _look(source, watch))
    if not (hasattr(source, "read") and hasattr(source, "seek")):
        raise TypeError(f"a video must be a path, bytes or a seekable binary file object, got {type(source).__name__}")
    head = _look(source, watch)
    source.seek(0)
    return _Target(source, None, head)


def path_of(source: str | Path) -> str:
    """The path of a local file: `source`, or what a `file://` address names."""
    if isinstance(source, str) and source.lower().startswith("file://"):
        return urllib.request.url2pathname(urllib.parse.urlsplit(source).path)
    return str(source)


def stat_of(path: str | Path) -> os.stat_result:
    """What `Path.stat` returns; making a Path takes longer than the call itself."""
    return os.stat(path)  # noqa: PTH116


def _check_file(path: str, name: str) -> None:
    try:
        facts = stat_of(path)
    except (OSError, ValueError) as error:
        raise VideoError(f"{name}: {why_absent(path, error)}") from None
    if stat.S_ISDIR(facts.st_mode):
        raise VideoError(f"{name}: is a folder, not a video file")
    if not stat.S_ISREG(facts.st_mode):
        raise VideoError(f"{name}: is no regular file, expected a video file; open a pipe or device and give its bytes")
    if facts.st_size == 0:
        raise VideoError(f"{name}: is empty (0 bytes)")


def why_absent(path: str | Path, error: Exception | None = None) -> str:
    """Why there is no file `path`, as the end of a sentence that starts with it.

    "no such file", and what may be wrong with the path.

    Args:
        path: that was looked for.
        error: what looking for it raised.
    """
    text = str(path)
    if isinstance(error, ValueError) or "\0" in text:
        return "no such file: the path has a zero character"
    number = getattr(error, "errno", None)
    if number == errno.ELOOP:
        return "is a link that leads back to itself"
    if number not in (None, errno.ENOENT, errno.ENOTDIR):
        return f"cannot be opened: {os.strerror(number)}"
    hint = _hint_of(text)
    return f"no such file: {hint}" if hint else "no such file"


def _hint_of(text: str) -> str | None:
    bare = text.strip()
    name = Path(text).name
    for quote in "\"'":
        if bare.count(quote) >= 2 or name.startswith(quote) or name.endswith(quote):
            return f"the path has quotes ({quote}) in it, which belong to no name: leave them out"
    if os.sep != "\\" and "\\" in text:
        exists = "" if not Path(text.replace("\\", "/")).exists() else ", with which it is there"
        return f"the path has backslashes, as on Windows: write it with / instead{exists}"
    if bare != text or name != name.strip():
        return "the path has spaces at its start or end"
    if text.startswith("~"):
        return "~ is not replaced by the home folder here: write the path in full"
    if "%" in text and Path(urllib.parse.unquote(text)).exists():
        return f"it is there as {urllib.parse.unquote(text)}, without the %-escapes"
    if Path(text).is_symlink():
        return f"it is a link to {Path(text).readlink()}, which is not there"
    return None


# ---- a look before FFmpeg's


@contextmanager
def bytes_of(source: VideoSource) -> Iterator[tuple[ReadAt, int] | None]:
    """A function that reads from a place on in what holds a video, and the number of bytes there; None for an address.

    Raises:
        VideoError: a file cannot be read.
        TypeError: a file object is not binary.
    """
    if isinstance(source, bytes):
        content = source
        yield lambda place, count: content[place : place + count], len(content)
    elif isinstance(source, (str, Path)):
        if is_address(source):
            yield None
            return
        name = source_name(source)
        try:
            file = open(path_of(source), "rb", buffering=0)  # noqa: SIM115, PTH123 - closed below; see `stat_of`
        except OSError as error:
            raise VideoError(f"{name}: {why_absent(source, error)}") from None
        with file:
            if hasattr(os, "pread"):
                handle = file.fileno()
                yield lambda place, count: os.pread(handle, count, place), os.fstat(handle).st_size
            else:
                yield _reading(file), file.seek(0, os.SEEK_END)
    else:
        yield _reading(source), source.seek(0, os.SEEK_END) or 0


def _reading(file: BinaryIO | io.RawIOBase) -> ReadAt:
    def read_at(place: int, count: int) -> bytes:
        file.seek(place)
        content = file.read(count)
        if not isinstance(content, bytes):
            raise TypeError("a video must be a binary file object: open it with mode 'rb'")
        return content

    return read_at


def _look(source: VideoSource, watch: Watch) -> bytes:
    """Hold what the headers claim to the limits, before FFmpeg allocates for it.

    The first bytes of the file.
    """
    with bytes_of(source) as opened:
        assert opened is not None
        read_at, num_bytes = opened
        try:
            head = read_at(0, HEAD_BYTES)
            claims = read_claims(read_at, num_bytes)
        except OSError as error:
            raise VideoError(f"{watch.name}: cannot be read: {reason_of(error)}") from error
    if head.startswith(b"GIF8") and len(head) >= 10:
        watch.check_size(*struct.unpack_from("<HH", head, 6))
    if claims is None:
        return head
    watch.check_streams(claims.num_tracks, claims.num_video_tracks)
    watch.check_frames(max(claims.longest, -(-claims.total // _TABLES_OF_ALL_TRACKS)))
    return head


# ---- opening


@lru_cache(maxsize=16)
def _open_options(limits: VideoLimits, scheme: str | None) -> tuple[tuple[str, str], ...]:
    options = {
        "format_whitelist": format_whitelist(limits.more_formats),
        "protocol_whitelist": protocol_whitelist(scheme, limits.more_protocols),
        "max_streams": str(int(min(limits.streams + 1, _INT_MAX))),
        **decoder_limits(limits),
    }
    return tuple(options.items())


def decoder_limits(limits: VideoLimits) -> dict[str, str]:
    """Options of a decoder that refuses what is above the limits."""
    return {"max_pixels": str(int(min(limits.pixels, _INT_MAX)))}


def first_stream(container: InputContainer, watch: Watch) -> VideoStream:
    """The first video stream of an open container, cover pictures aside.

    Raises:
        VideoError: there is none, no decoder for it, or it is above a limit.
    """
    name = watch.name
    watch.check_streams(len(container.streams), len(container.streams.video))
    # An audio file's cover picture counts as a video stream.
    streams = [
        stream for stream in container.streams.video if av.stream.Disposition.attached_pic not in stream.disposition
    ]
    if not streams:
        kinds = sorted({stream.type for stream in container.streams if stream.type != "video"})
        if container.streams.video:
            raise VideoError(
                f"{name}: has no video stream, only {', '.join(kinds)} and a cover picture".replace("only  and", "only")
            )
        raise VideoError(f"{name}: has no video stream, only {', '.join(kinds) or 'nothing'}")
    context = streams[0].codec_context
    if context is None:
        raise VideoError(f"{name}: there is no decoder for its video stream")
    watch.check_size(context.width, context.height)
    return streams[0]


def _why_not(error: Exception | None, target: _Target, watch: Watch) -> VideoError:
    """The error of a source that FFmpeg does not open."""
    name, limits = watch.name, watch.limits
    if watch.is_remote:
        if isinstance(error, av.error.ExitError):
            return silent_server(watch)
        hint = ""
        if isinstance(error, av.error.ArgumentError):
            hint = ": perhaps its format or a redirect of the server is none that Kinema opens, see docs/video.md"
        return VideoError(f"{name}: is no video that can be read ({reason_of(error)}{hint})")
    kind = kind_of_file(target.head)
    if kind is not None:
        return VideoError(f"{name}: {kind}")
    if isinstance(error, av.error.ArgumentError):
        return VideoError(
            f"{name}: is no video in a format that Kinema opens; see docs/video.md, and VideoLimits(more_formats=...)"
            " for others"
        )
    if getattr(error, "errno", None) == errno.ENOMEM:
        is_what = "opening it takes too much memory, or it has too many streams"
        return too_much(name, "streams", is_what, limits.streams)
    return VideoError(f"{name}: is no video that can be read ({reason_of(error)})")


def silent_server(watch: Watch) -> VideoError:
    """The error of a server that sends nothing, or too slowly."""
    seconds = watch.limits.network_seconds
    return VideoError(
        f"{watch.name}: the server sent nothing, or too little, for {seconds:g} s; "
        "download the file first, or raise VideoLimits(network_seconds=...)"
    )


def packets_of(container: InputContainer, stream: VideoStream) -> Generator[Packet, None, None]:
    """The packets of `stream` from where `container` stands, also behind a place where another stream begins.

    PyAV's own generator may end there with an IndexError; a new one continues behind that packet.
    """
    while True:
        try:
            yield from cast(Generator[Packet, None, None], container.demux(stream))
        except IndexError:
            continue
        return


def over_network(packets: Iterator[Packet], watch: Watch) -> Iterator[Packet]:
    """`packets` of an address: that the server stops sending is an error, and not the end of the video.

    Raises:
        VideoError: it is silent, too slow, or gone.
    """
    limit = watch.limits.network_seconds
    seconds, num_bytes = 0.0, 0
    while True:
        start = time.monotonic()
        try:
            packet = next(packets, None)
        except av.FFmpegError as error:
            if isinstance(error, av.error.ExitError):
                raise silent_server(watch) from None
            if isinstance(error, av.error.InvalidDataError):
                raise  # what it sent is damaged
            raise VideoError(
                f"{watch.name}: the connection broke ({reason_of(error)}); download the file first"
            ) from None
        waited = time.monotonic() - start
        seconds += waited
        num_bytes += packet.size if packet is not None else 0
        # Some demuxers take silence for the end of the file.
        if waited > limit or seconds > limit + num_bytes / LEAST_BYTES_PER_SECOND:
            raise silent_server(watch)
        if packet is None:
            return
        yield packet


def reason_of(error: Exception | None) -> str:
    """FFmpeg's words for an error, without numbers and names of functions, on one line."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return printable(str(text).splitlines()[0])
