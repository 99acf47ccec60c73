"""One clock for a stream whose own starts anew: recordings joined with cat, cameras that reset, captures with a gap."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

NO_TIME = np.iinfo(np.int64).min

# A step back by less, at a packet that is no key picture, is a muxer's error and no other
# recording.
_BACK_SECONDS = 1.0
# A step ahead by more is another recording, in formats whose clocks may jump; FFmpeg's own limit.
_AHEAD_SECONDS = 10.0
_MAY_JUMP_AHEAD = frozenset({"mpegts", "mpegtsraw", "mpeg"})


def find_jumps(
    pts: Sequence[int], dts: Sequence[int], is_key: Sequence[bool], units_per_second: float, *, format_name: str
) -> list[int]:
    """Packets at which the clock jumps, ascending.

    Args:
        pts: (P,) presentation times, or `NO_TIME`.
        dts: (P,) decoding times, likewise.
        is_key: (P,) whether each packet is a key picture.
        units_per_second: of the times.
        format_name: FFmpeg's name of the container.
    """
    may_jump_ahead = format_name in _MAY_JUMP_AHEAD
    if not may_jump_ahead and dts == sorted(dts):
        return []
    times = np.asarray(dts, np.int64)
    timed = np.flatnonzero(times != NO_TIME)
    steps = np.diff(times[timed])
    is_jump = (steps < 0) & (np.asarray(is_key, bool)[timed[1:]] | (steps < -_BACK_SECONDS * units_per_second))
    ahead = _AHEAD_SECONDS * units_per_second if may_jump_ahead else np.inf
    is_jump |= steps > ahead
    places = []
    for place in np.flatnonzero(is_jump).tolist():
        before, jump = int(timed[place]), int(timed[place + 1])
        # The first packets of a recording may have no decoding time. None is shown before an
        # earlier one is decoded.
        others = (packet for packet in range(before + 1, jump) if pts[packet] != NO_TIME)
        places.append(next((packet for packet in others if not 0 <= pts[packet] - dts[before] <= ahead), jump))
    return places


def continue_clock(
    pts: Sequence[int], dts: Sequence[int], durations: Sequence[int], jumps: Sequence[int]
) -> tuple[list[int], list[int]]:
    """Times that continue where the clock jumped: what is behind a jump is shown when all before it has been.

    Args:
        pts: (P,) presentation times, or `NO_TIME`.
        dts: (P,) decoding times, likewise.
        durations: (P,) of each packet, 0 where it is not known.
        jumps: packets at which the clock jumps, ascending.

    Returns:
        The presentation and decoding times, moved; `NO_TIME` stays.
    """
    new_pts, new_dts = np.array(pts, np.int64), np.array(dts, np.int64)
    bounds = [0, *jumps, len(new_pts)]
    end: int | None = None
    for start, stop in pairwise(bounds):
        part = slice(start, stop)
        shown = new_pts[part] != NO_TIME
        if not shown.any():
            continue
        times = new_pts[part][shown]
        if end is not None:
            shift = end - int(times.min())
            new_pts[part][shown] += shift
            new_dts[part][new_dts[part] != NO_TIME] += shift
            times = times + shift
        lasts = np.asarray(durations[start:stop], np.int64)[shown]
        steps = np.diff(np.unique(times))
        lasts[lasts == 0] = int(np.median(steps)) if len(steps) else 1
        end = int((times + lasts).max())
    return new_pts.tolist(), new_dts.tolist()


def is_even(pts: Sequence[int]) -> bool:
    """Whether pictures follow each other at one step, so that none seems to be missing; a field is half a step."""
    times = np.asarray(pts, np.int64)
    steps = np.diff(np.unique(times[times != NO_TIME]))
    return bool(not len(steps) or (steps.max() < 1.5 * np.median(steps) and (times != NO_TIME).all()))
