"""In which order the pictures of a stream leave the decoder, computed without decoding, and how sure that is."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from enum import Enum

import numpy as np

from kinema.video.bitstream import Picture
from kinema.video.clock import NO_TIME
from kinema.video.slice_headers import Field, SliceHeader


class Order(Enum):
    """How sure an order is."""

    CERTAIN = "certain"
    PLAUSIBLE = "plausible"  # the pictures' headers may confirm it; where they are damaged, it is likely
    DOUBTFUL = "doubtful"  # the pictures' headers may confirm it
    LIKELY = "likely"  # decoding shows it; where that fails, this order stands
    UNKNOWN = "unknown"  # only decoding shows it


def order_by_time(
    pts: Sequence[int],
    shown: Sequence[bool],
    reorder_depth: int,
    early: np.ndarray | None = None,
    *,
    only_early: bool = False,
    confirms: Callable[[np.ndarray], bool | None] = lambda _: None,
) -> tuple[list[int], Order]:
    """Packets by presentation time.

    Args:
        pts: (P,) of each packet, or `NO_TIME`.
        shown: (P,) whether its picture is shown.
        reorder_depth: pictures that the decoder holds back.
        early: (P,) whether a picture should come out before one that precedes it in the file; None
            for codecs whose pictures do not say their order themselves.
        only_early: whether no other pictures should.
        confirms: whether the pictures' own counts confirm an order of those that are shown; None
            where that cannot be said.

    Returns:
        All packets in this order, or in that of the file where times are missing or repeated; and
        how sure it is.
    """
    in_file = list(range(len(pts)))
    if len(set(pts)) < len(pts) or NO_TIME in pts:
        return in_file, Order.DOUBTFUL
    by_time = sorted(in_file, key=pts.__getitem__)
    packets, is_shown = np.asarray(by_time, np.int64), np.asarray(shown, bool)
    is_right = confirms(packets[is_shown[packets]])
    if is_right and _num_held_back(packets) <= reorder_depth:
        return by_time, Order.CERTAIN
    # AVI holds no presentation times, and those that FFmpeg makes up are in the order of the file.
    may_be_made_up = bool(by_time == in_file and reorder_depth)
    if is_right is not None:
        return by_time, Order.DOUBTFUL if may_be_made_up else Order.PLAUSIBLE
    if by_time == in_file and (early is None or not early.any()):
        return by_time, Order.DOUBTFUL if may_be_made_up else Order.CERTAIN
    if early is None:
        return by_time, Order.CERTAIN
    is_plausible = _has_even_steps(np.asarray(pts)[packets[is_shown[packets]]]) and _suits_pictures(
        packets, is_shown, reorder_depth, early, only_early=only_early
    )
    return by_time, Order.CERTAIN if is_plausible else Order.DOUBTFUL


def _num_held_back(by_time: np.ndarray) -> int:
    """Pictures that a decoder must hold back for this order."""
    return int((by_time - np.arange(len(by_time))).max(initial=0))


def _has_even_steps(times: np.ndarray) -> bool:
    """Whether frames follow each other at even steps: a wrong time leaves a gap where it is missing."""
    steps = np.diff(times)
    return len(steps) == 0 or bool(steps.max() - steps.min() <= 1)  # times are rounded


def _suits_pictures(
    by_time: np.ndarray, shown: np.ndarray, reorder_depth: int, early: np.ndarray, *, only_early: bool
) -> bool:
    """Whether just those pictures come out early that should, and none is held back longer than the stream says.

    A table of times that ends too soon, or whose entries belong to other pictures, may well have
    even steps.
    """
    place = np.empty(len(by_time), np.int64)
    place[by_time] = np.arange(len(by_time))
    comes_early = place < np.maximum.accumulate(place)
    differs = comes_early != early if only_early else early & ~comes_early
    return not (differs & shown).any() and _num_held_back(by_time) <= reorder_depth


def order_by_pictures(pictures: Sequence[Picture]) -> list[int]:
    """Packets of an MPEG-1, -2 or -4 stream.

    A reference waits until the next one arrives, a B picture is shown at once.
    """
    if pictures.count(Picture.REFERENCE) == len(pictures):
        return list(range(len(pictures)))
    order: list[int] = []
    waiting: int | None = None
    for packet, picture in enumerate(pictures):
        if picture is Picture.REFERENCE:
            if waiting is not None:
                order.append(waiting)
            waiting = packet
        elif picture is Picture.BIDIRECTIONAL:
            order.append(packet)
    if waiting is not None:
        order.append(waiting)
    return order


def order_by_headers(
    packets: Sequence[int], headers: Sequence[SliceHeader | None], known: Order = Order.DOUBTFUL
) -> tuple[list[int], list[bool], Order]:
    """Confirm an order, or find another, by what the pictures say.

    Args:
        packets: those that are shown, in the order in question.
        headers: (P,) of each packet in the file.
        known: how sure that order is without them.

    Returns:
        The packets that frames come from: of two that hold the fields of one frame, the first.
        Whether each packet in the file is the second of two such. How sure the order is.
    """
    is_second, is_complete = _pair_fields(headers)
    frames = [packet for packet in packets if not is_second[packet]]
    pictures = [(packet, headers[packet]) for packet in frames]
    counts = {packet: (header.sequence, header.place) for packet, header in pictures if header is not None}
    if len(set(counts.values())) < len(frames):  # some are missing or repeated: damage
        is_likely = known is Order.PLAUSIBLE or frames != sorted(frames)
        return frames, is_second, Order.LIKELY if is_likely else Order.UNKNOWN
    by_count = sorted(frames, key=counts.__getitem__)
    return by_count, is_second, Order.CERTAIN if by_count == frames and is_complete else Order.LIKELY


def with_missing(seen: Sequence[int], expected: Sequence[int]) -> list[int]:
    """Packets in the order `seen`, each one missing there behind the one that precedes it in `expected`."""
    is_seen = set(seen)
    behind: dict[int, list[int]] = defaultdict(list)
    last = -1
    for packet in expected:
        if packet in is_seen:
            last = packet
        else:
            behind[last].append(packet)
    return behind[-1] + [later for packet in seen for later in (packet, *behind[packet])]


def settle_order(
    seen: list[int], expected: list[int], known: Order, *, num_good: int | None, has_fields: bool
) -> tuple[list[int], int | None]:
    """The order of frames after a decoder was watched through the whole file.

    Args:
        seen: packets of the frames that came out, in that order.
        expected: packets whose frames should have come out, in the order expected.
        known: how sure the expected order was.
        num_good: frames before the first failure; None when there was none.
        has_fields: some packets complete the frame that another begins.

    Returns:
        The packets that frames come from, in order, and the number of frames whose place is
        certain; None when all are.
    """
    if known is not Order.UNKNOWN:
        # A field without the other one of its frame is not shown.
        return seen if num_good is None and has_fields else with_missing(seen, expected), None
    missing = np.setdiff1d(expected, seen).tolist()
    if not missing and num_good is None:
        return seen, None
    end = len(seen) if num_good is None else num_good
    seen = seen[:end]
    num_ordered = next((place for place, packet in enumerate(seen) if missing and packet > missing[0]), end)
    return seen + np.setdiff1d(expected, seen).tolist(), num_ordered


def _pair_fields(headers: Sequence[SliceHeader | None]) -> tuple[list[bool], bool]:
    """Pair the packets that hold the two fields of a frame.

    Returns:
        Which packets complete the frame that the packet before them begins, and whether no field is
        alone.
    """
    is_second = [False] * len(headers)
    is_complete = True
    first: SliceHeader | None = None
    for packet, header in enumerate(headers):
        if first is not None and header is not None:
            same_frame = (header.sequence, header.frame_number) == (first.sequence, first.frame_number)
            is_second[packet] = same_frame and header.field not in (Field.NONE, first.field)
        is_complete = is_complete and (first is None or is_second[packet])
        is_field = header is not None and header.field is not Field.NONE
        first = header if is_field and not is_second[packet] else None
    return is_second, is_complete and first is None
