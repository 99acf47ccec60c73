"""Which clips a report shows, and what it says of them."""

import numpy as np

from kinema.errors import VideoError
from kinema.recipes.reporting.measuring import Measured
from kinema.report.animation import ClipAnimation, clip_animation
from kinema.report.clip_cards import CardGroup, ClipCard, Line
from kinema.video import VideoReader

SHOWN_CLIPS = 12  # of a group
FILM_FRAMES = 20
FILM_BYTES = 20_000


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
    most_wrong = ranked_wrong(measured)
    unsure = np.argsort(margin, kind="stable")
    unsure = unsure[~np.isin(unsure, most_wrong[:count])]
    sure = np.flatnonzero(right)
    sure = sure[np.argsort(-best[sure], kind="stable")]
    groups = [
        ("Most wrong", "Taken for another class, the surest first: look for wrong labels here.", most_wrong),
        ("Least sure", "The two likeliest classes are nearly as likely: more such clips teach most.", unsure),
        ("Right and sure", "One clip of each class.", one_a_class(sure, measured.labels)),
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


def ranked_wrong(measured: Measured) -> np.ndarray:
    """Places of the clips that are taken for another class, the surest first; one label a clip."""
    rows = np.arange(len(measured.labels))
    excess = measured.scores.max(axis=1) - measured.scores[rows, measured.labels]
    wrong = np.flatnonzero(measured.predicted != measured.labels)
    return wrong[np.argsort(-excess[wrong], kind="stable")]


def one_a_class(places: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The first of the clips of each class, in their order."""
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
    alt = f"{measured.paths[place]}, a clip of {measured.classes[truth]}"
    return ClipCard(shown_path(measured, place), alt, animation(measured, place), tuple(lines))


def animation(measured: Measured, place: int) -> ClipAnimation:
    """A clip as a small moving picture, only its part of the video."""
    split, index = measured.split, int(measured.places[place])
    try:
        with split.open_video(index, errors="keep-good") as reader:
            first, stop = span_of(measured, place, reader)
            chosen = np.linspace(first, stop - 1, min(FILM_FRAMES, stop - first)).round().astype(int)
            seconds = (stop - first) / max(reader.fps, 1e-3)
            frames = reader.get_batch(chosen)
    except (VideoError, OSError) as error:
        return ClipAnimation(error=str(error))
    return clip_animation(frames, fps=len(frames) / seconds, max_bytes=FILM_BYTES)


def span_of(measured: Measured, place: int, reader: VideoReader) -> tuple[int, int]:
    """First frame of a clip in its video, and the frame behind its last; at least one frame."""
    clips, index = measured.split.annotations, int(measured.places[place])
    ends = np.array([0.0, len(reader)])
    for side, times in enumerate((clips.clip_starts, clips.clip_ends)):
        if times is not None and not np.isnan(times[index]):
            in_seconds = clips.clip_unit == "seconds"
            ends[side] = np.searchsorted(reader.timestamps_seconds, times[index]) if in_seconds else times[index]
    first = int(np.clip(ends[0], 0, len(reader) - 1))
    return first, int(np.clip(ends[1], first + 1, len(reader)))


def shown_path(measured: Measured, place: int) -> str:
    """The path of a clip, with its part of the video."""
    clips, index = measured.split.annotations, int(measured.places[place])
    path = measured.paths[place]
    ends = [None if times is None else float(times[index]) for times in (clips.clip_starts, clips.clip_ends)]
    known = [None if end is None or np.isnan(end) else f"{end:g}" for end in ends]
    if known == [None, None]:
        return path
    unit = "s" if clips.clip_unit == "seconds" else "frames"
    return f"{path} [{known[0] or 0} to {'its end' if known[1] is None else f'{known[1]} {unit}'}]"
