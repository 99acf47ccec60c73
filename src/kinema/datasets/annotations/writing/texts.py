"""Names and times of segments as other programs' files hold them."""

import json
import os
import re
from typing import Any
from urllib.parse import quote, urlsplit

# Characters that XML 1.0 cannot hold or that end a line for some program; tabs among them.
_UNFIT = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffe\uffff]")
_SURROGATES = re.compile("[\ud800-\udfff]")
_SAME_MILLISECOND = 1e-3  # of a millisecond: times are binary fractions of what was meant


def label_text(label: str) -> str:
    r"""The name of a class on one line: line breaks and tabs as spaces, other control characters as `\x1b`."""
    return _UNFIT.sub(lambda match: " " if match[0].isspace() else f"\\x{ord(match[0]):02x}", label)


def whole_milliseconds(seconds: float) -> int:
    """Milliseconds, cut and not rounded: a part of a video then keeps the frames that it has.

    Frames begin at such a time or just behind it.
    """
    return int(seconds * 1000 + _SAME_MILLISECOND)


def clock(seconds: float, decimal: str) -> str:
    """`3723.5` -> `01:02:03.500`, with the sign that the format has before the milliseconds."""
    minutes, milliseconds = divmod(whole_milliseconds(seconds), 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02d}:{minutes:02d}:{milliseconds // 1000:02d}{decimal}{milliseconds % 1000:03d}"


def decimal_seconds(seconds: float) -> float:
    """Seconds to a millionth."""
    return round(float(seconds), 6)


def json_text(value: Any) -> str:
    """A JSON file, readable; bytes of names that are not UTF-8 stand in it as escapes."""
    text = json.dumps(value, ensure_ascii=False, indent=1, allow_nan=False)
    return _SURROGATES.sub(lambda match: f"\\u{ord(match[0]):04x}", text) + "\n"


def address_of(video: str) -> str:
    """A `file:` address of a video; what is an address already stays."""
    if has_scheme(video):
        return video
    return "file://" + quote(os.fsencode(os.path.abspath(video)))  # noqa: PTH100 - links stay as they are


def has_scheme(video: str) -> bool:
    """Is this an address such as https://..., not a path?"""
    try:
        parts = urlsplit(video)
    except ValueError:
        return False
    return len(parts.scheme) > 1 and video.startswith(f"{parts.scheme}:") and "//" in video
