"""The section of a report on how much of a model's accuracy is motion."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from kinema.datasets.annotations import Split
from kinema.evaluation import AccuracyInterval
from kinema.inference import VideoRecognizer
from kinema.recipes.motion import FRAME_ORDERS, MotionShare, motion_share
from kinema.recipes.reporting.measuring import Measured
from kinema.report.class_table import Share
from kinema.report.page import Section

MOST_CLIPS = 400  # they are seen three times more
_IN_WORDS = {
    "shuffled": "frames in a random order",
    "reversed": "frames backwards",
    "one_frame": "the middle frame repeated",
}


class OrderRow(NamedTuple):
    """A row of the table: an order of the frames, the accuracy, what it loses and the p-value; empty: none."""

    name: str
    accuracy: Share
    lost: str = ""
    p_value: str = ""


def measure_motion(
    recognizer: VideoRecognizer, measured: Measured, *, batch_size: int | None = None, workers: int | None = None
) -> MotionShare:
    """How much is motion, on the measured clips, of many on `MOST_CLIPS` that are evenly spread.

    Args:
        recognizer: the model.
        measured: its scores; one label a clip.
        batch_size: see `evaluate`.
        workers: see there.
    """
    split, evaluation = measured.split, measured.evaluation
    if len(split.annotations) > MOST_CLIPS and split.shards is None:  # whose dataset takes all of them
        split, evaluation = _some_clips(split), None
    return motion_share(
        recognizer, split, unchanged=evaluation, batch_size=batch_size, workers=workers, allow_broken=True
    )


def _some_clips(split: Split) -> Split:
    places = np.linspace(0, len(split.annotations) - 1, MOST_CLIPS).round().astype(int)
    options = {**split.options, "indices": places.tolist()}
    return replace(split, annotations=split.annotations.take(places), options=options)


def motion_section(share: MotionShare) -> Section:
    """What is left of the accuracy when the frames come in another order."""
    rows = [OrderRow("frames as they are", _accuracy(share.unchanged))]
    for order in FRAME_ORDERS:
        pair = share.losses[order]
        rows.append(
            OrderRow(
                _IN_WORDS[order],
                _accuracy(getattr(share, order)),
                f"{share.points(order) + 0.0:+.1f}",
                f"{pair.p_value:.2g}",
            )
        )
    return Section(
        "motion",
        "Motion",
        "motion",
        {"rows": rows, "chance": f"{share.chance:.0%}", "clips": share.unchanged.num_clips},
        share.sentence,
    )


def _accuracy(interval: AccuracyInterval) -> Share:
    return Share(interval.value, (interval.low, interval.high))
