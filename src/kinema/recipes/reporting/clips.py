"""Which clips a report shows, and what it says of them."""

import numpy as np

from kinema.errors import VideoError
from kinema.recipes.reporting.measuring import Measured
from kinema.report.clip_cards import CardGroup, ClipCard, Film, Line, film_of

SHOWN_CLIPS = 12  # of a group


def clip_groups(measured: Measured, count: int = SHOWN_CLIPS) -> list[CardGroup]:
    """The clips that are most wrong, those that the model is least sure of, and some that are right.

    Args:
        measured: one label a clip.
        count: clips of a group, at most.
    """
    scores, rows = measured.scores, np.arange(len(measured.labels))
    predicted = measured.predicted
    right = predicted == measured.labels
    best = scores[rows, predicted]
    margin = best - np.partition(scores, -2, axis=1)[:, -2] if scores.shape[1] > 1 else best
    wrong = np.flatnonzero(~right)
    most_wrong = wrong[np.argsort(-(best - scores[rows, measured.labels])[wrong], kind="stable")]
    unsure = np.argsort(margin, kind="stable")
    unsure = unsure[~np.isin(unsure, most_wrong[:count])]
    sure = np.flatnonzero(right)
    sure = sure[np.argsort(-best[sure], kind="stable")]
    groups = [
        ("Most wrong", "Taken for another class, the surest first: look for wrong labels here.", most_wrong),
        ("Least sure", "The two likeliest classes are nearly as likely: more such clips teach most.", unsure),
        ("Right and sure", "One clip of each class.", _one_a_class(sure, measured.labels)),
    ]
    return [
        CardGroup(
            f"{title}{f' ({len(places)} in all)' if title == 'Most wrong' and len(places) > count else ''}",
            note,
            [card(measured, int(place)) for place in places[:count]],
        )
        for title, note, places in groups
        if len(places)
    ]


def _one_a_class(places: np.ndarray, labels: np.ndarray) -> np.ndarray:
    _, first = np.unique(labels[places], return_index=True)
    return places[np.sort(first)]


def card(measured: Measured, place: int) -> ClipCard:
    """A clip, what it is, and what the model says: `place` counts the measured clips."""
    scores, truth = measured.scores[place], int(measured.labels[place])
    predicted = int(scores.argmax())
    said = f"{measured.classes[predicted]} {scores[predicted]:.2f}"
    if predicted == truth:
        second = int(np.argsort(-scores, kind="stable")[1]) if len(scores) > 1 else predicted
        further = [] if second == predicted else [Line(f"next {measured.classes[second]} {scores[second]:.2f}")]
        lines = [Line(said, "good"), *further]
    else:
        lines = [Line(said, "bad"), Line(f"is {measured.classes[truth]} {scores[truth]:.2f}")]
    return ClipCard(shown_path(measured, place), measured.classes[truth], film(measured, place), tuple(lines))


def film(measured: Measured, place: int) -> Film | None:
    """A film of a clip, only of its part of the video."""
    split, index = measured.split, int(measured.places[place])
    clips = split.annotations
    try:
        with split.open_video(index) as reader:
            if clips.clip_starts is None or clips.clip_ends is None:
                return film_of(reader)
            rate = reader.fps if clips.clip_unit == "seconds" else 1.0
            start, end = (times[index] * rate for times in (clips.clip_starts, clips.clip_ends))
            return film_of(reader, 0 if np.isnan(start) else int(start), None if np.isnan(end) else int(np.ceil(end)))
    except (VideoError, OSError):
        return None


def shown_path(measured: Measured, place: int) -> str:
    """The path of a clip, with its part of the video."""
    clips, index = measured.split.annotations, int(measured.places[place])
    path = measured.paths[place]
    ends = [None if times is None else float(times[index]) for times in (clips.clip_starts, clips.clip_ends)]
    known = ["" if end is None or np.isnan(end) else f"{end:g}" for end in ends]
    unit = " s" if clips.clip_unit == "seconds" else " frames"
    return path + (f" [{known[0]} to {known[1]}{unit}]" if any(known) else "")
