"""Which file formats and protocols FFmpeg may use for a video, and what a file is that is none."""

import re
from typing import Final
from urllib.parse import SplitResult, urlsplit

# FFmpeg's names of the demuxers that open a video when nothing else is asked for. Not among them:
# lists of other files (concat, hls, dash, sdp), single images and series of them, text, devices,
# and what is only sound.
VIDEO_FORMATS: Final = (
    *("mov", "mp4", "matroska", "webm", "avi", "flv", "live_flv", "mpegts", "mpeg", "mpegvideo", "ogg", "asf", "asf_o"),
    *("mxf", "gxf", "dv", "nut", "rm", "wtv", "ivf", "gif", "apng", "yuv4mpegpipe"),
    *(
        "h261",
        "h263",
        "h264",
        "hevc",
        "vvc",
        "av1",
        "obu",
        "m4v",
        "vc1",
        "vc1test",
        "cavsvideo",
        "avs2",
        "dirac",
        "mjpeg",
    ),
    *("flic", "nsv", "nuv", "pva", "roq", "swf", "dhav"),
)
REMOTE_SCHEMES: Final = ("http", "https")
# What FFmpeg needs below them.
_BELOW = {"http": ("tcp", "httpproxy"), "https": ("http", "tls", "tcp", "httpproxy")}

_LFS = b"version https://git-lfs.github.com/spec/"
_CONVERT = "convert it to MP4 or GIF first"
# Start of a file, what it is, and what to do.
_KINDS: Final[tuple[tuple[bytes, str], ...]] = (
    (_LFS, "is a Git LFS pointer, not the video itself: run `git lfs pull` in its repository"),
    (b"\x89PNG\r\n\x1a\n", "is a PNG image, not a video"),
    (b"\xff\xd8\xff", "is a JPEG image, not a video"),
    (b"BM", "is a BMP image, not a video"),
    (b"II*\0", "is a TIFF image, not a video"),
    (b"MM\0*", "is a TIFF image, not a video"),
    (b"\0\0\0\x0cjP  ", "is a JPEG 2000 image, not a video"),
    (b"PK\x03\x04", "is a zip archive, not a video: unpack it first"),
    (b"PK\x05\x06", "is an empty zip archive, not a video"),
    (b"\x1f\x8b", "is a gzip file, not a video: unpack it first"),
    (b"BZh", "is a bzip2 file, not a video: unpack it first"),
    (b"\xfd7zXZ\0", "is an xz file, not a video: unpack it first"),
    (b"\x28\xb5\x2f\xfd", "is a zstd file, not a video: unpack it first"),
    (b"7z\xbc\xaf\x27\x1c", "is a 7z archive, not a video: unpack it first"),
    (b"Rar!\x1a\x07", "is a RAR archive, not a video: unpack it first"),
    (b"%PDF-", "is a PDF document, not a video"),
    (b"\x93NUMPY", "is a NumPy array, not a video: load it with numpy.load"),
    (b"\x89HDF\r\n\x1a\n", "is an HDF5 file, not a video"),
    (b"PAR1", "is a Parquet table, not a video"),
    (b"SQLite format 3\0", "is an SQLite database, not a video"),
    (b"\x7fELF", "is a program, not a video"),
    (b"MZ", "is a Windows program, not a video"),
    (b"ffconcat version", "is a list of videos for FFmpeg (ffconcat), not a video"),
    (b"#EXTM3U", "is a playlist (m3u8), not a video: give the address or path of the video itself"),
    (b"ID3", "is an MP3 file: sound, without a video"),
    (b"fLaC", "is a FLAC file: sound, without a video"),
    (b"#!AMR", "is an AMR file: sound, without a video"),
    (b"FORM", "is an AIFF or IFF file, not a video"),
    (b"caff", "is a CAF file: sound, without a video"),
)
_MP3_FRAME = re.compile(rb"\xff[\xe2-\xff]")
_HTML = re.compile(rb"\s*(?:<!doctype html|<html|<head|<body)", re.IGNORECASE)
_XML = re.compile(rb"\s*<(?:\?xml|svg|mpd|error)", re.IGNORECASE)
_NO_TEXT = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f\ufffd]")
HEAD_BYTES: Final = 1024  # what `kind_of_file` wants to see

_SECRET_NAMES = re.compile(
    r"token|secret|signature|^sig$|passw|^pwd$|auth|credential|api_?key|^key$|session", re.IGNORECASE
)
_HIDDEN = "***"


def format_whitelist(more: tuple[str, ...]) -> str:
    """FFmpeg's `format_whitelist`."""
    return ",".join((*VIDEO_FORMATS, *more))


def format_of(head: bytes) -> str | None:
    """FFmpeg's name of the format where the first bytes give it; None lets FFmpeg try all.

    Trying is a third of what opening a small AVI file takes. Of MP4, FFmpeg would forget the other
    names that it has for it.
    """
    return "avi" if head[:4] == b"RIFF" and head[8:12] == b"AVI " else None


def protocol_whitelist(scheme: str | None, more: tuple[str, ...]) -> str:
    """FFmpeg's `protocol_whitelist` for a source.

    Args:
        scheme: "file" for a path, that of an address, None for what is read by Python.
        more: further protocols.
    """
    own = () if scheme is None else (scheme, *_BELOW.get(scheme, ()))
    return ",".join((*own, *more)) or "none"  # an empty list would be no list


def kind_of_file(head: bytes) -> str | None:
    """What a file is that is no video, as the end of a sentence that starts with its name.

    Args:
        head: its first `HEAD_BYTES`.

    Returns:
        None when that is not known.
    """
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        if b"ANIM" in head[12:64] or (head[12:16] == b"VP8X" and len(head) > 20 and head[20] & 2):
            return f"is an animated WebP image, which this FFmpeg does not decode: {_CONVERT}"
        return "is a WebP image, not a video"
    if head[:4] == b"RIFF" and head[8:12] == b"WAVE":
        return "is a WAV file: sound, without a video"
    if head[4:8] == b"ftyp" and head[8:12] in (b"avif", b"heic", b"heix", b"mif1", b"crx "):
        return "is an AVIF, HEIF or raw image, not a video"
    if head[257:262] == b"ustar":
        return "is a tar archive, not a video: unpack it first, or read shards with ShardDataset"
    for start, kind in _KINDS:
        if head.startswith(start):
            return kind
    if _HTML.match(head):
        return "is a web page (HTML), not a video: the download gave a page, perhaps a log-in or an error, in its place"
    if _XML.match(head):
        return "is an XML document, not a video: perhaps the error page of a store in its place"
    if not head.strip(b"\0"):
        return "holds only zeros at its start: the download or copy did not finish"
    if _MP3_FRAME.match(head) and head[1] & 0x06:
        return "is an MP3 or AAC file: sound, without a video"
    return _kind_of_text(head)


def _kind_of_text(head: bytes) -> str | None:
    text = head.decode("utf-8", errors="replace").rstrip("\ufffd")  # the head may end within a letter
    if _NO_TEXT.search(text):
        return None
    return f"is a {'JSON' if text.lstrip().startswith(('{', '[')) else 'text'} file, not a video"


def without_secrets(address: str) -> str:
    """An address for a message.

    Without the user's name and password, and without what looks like a key in its query.
    """
    try:
        parts: SplitResult = urlsplit(address)
    except ValueError:
        return re.sub(r"//[^/@]*@", f"//{_HIDDEN}@", address)
    before, at, host = parts.netloc.rpartition("@")
    pairs = [pair.partition("=") for pair in parts.query.split("&")]
    query = "&".join(
        f"{key}={_HIDDEN}" if _SECRET_NAMES.search(key) and value else key + equals + value
        for key, equals, value in pairs
    )
    if not at and query == parts.query:
        return address
    return parts._replace(netloc=f"{_HIDDEN}@{host}" if before or at else host, query=query).geturl()
