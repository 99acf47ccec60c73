"""What the heads of a table's columns say: a name, and the unit behind it, as "Start (s)" or "Begin Time - msec"."""

import re
from dataclasses import dataclass
from typing import Any

_UNITS: dict[str, float] = {
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds", "ss.msec", "ss.ms", "ss"), 1.0),
    **dict.fromkeys(("ms", "msec", "msecs", "millisecond", "milliseconds"), 1e-3),
    **dict.fromkeys(("min", "mins", "minute", "minutes"), 60.0),
    **dict.fromkeys(("hh:mm:ss.ms", "hh:mm:ss.msec", "hh:mm:ss", "hh:mm:ss.sss", "mm:ss", "h:mm:ss"), 1.0),
    **dict.fromkeys(("frame", "frames"), 0.0),
}
LONGEST_NAME = 200  # of a column; a longer one is none that people write
_IN_BRACKETS = re.compile(r"\s*[(\[]\s*(?P<unit>[a-z:.]+)\s*[)\]]$")
_BEHIND_DASH = re.compile(r"\s+-\s+(?P<unit>[a-z:.]+)$")
_BEHIND_LINE = re.compile(r"_(?P<unit>ms|msec|milliseconds)$")
_CLOCK = re.compile(r"(?:(?P<hours>\d{1,4}):)?(?P<minutes>\d{1,4}):(?P<seconds>\d{1,2}(?:[.,]\d{1,9})?)")


@dataclass(frozen=True)
class Heading:
    """The head of a column.

    Attributes:
        text: as the table writes it.
        name: in small letters, with `_` between words, without the unit.
        seconds: how many seconds the unit has; 0: it counts frames; None: there is no unit.
    """

    text: str
    name: str
    seconds: float | None


def read_heading(text: str) -> Heading:
    """A column's head, taken apart."""
    plain = text.strip().strip('"').strip().lower()
    for pattern in (_IN_BRACKETS, _BEHIND_DASH, _BEHIND_LINE) if len(plain) <= LONGEST_NAME else ():
        match = pattern.search(plain)
        if match is not None and match["unit"] in _UNITS:
            return Heading(text, _name(plain[: match.start()]), _UNITS[match["unit"]])
    return Heading(text, _name(plain), None)


def _name(plain: str) -> str:
    return re.sub(r"[ \-./]+", "_", plain.strip())


def seconds_of_clock(value: Any) -> float | None:
    """`"00:01:02.5"`, `"1:02"` -> seconds; None where it is no time of a clock."""
    match = _CLOCK.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        return None
    hours, minutes = int(match["hours"] or 0), int(match["minutes"])
    return 3600 * hours + 60 * minutes + float(match["seconds"].replace(",", "."))
