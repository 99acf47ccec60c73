"""The section of a report on what the model looked at."""

import logging
import os
from typing import Any

import numpy as np

from kinema.errors import ConfigError, KinemaError
from kinema.inference import VideoRecognizer
from kinema.recipes.reporting.clips import one_a_class, ranked_wrong, shown_path, span_of
from kinema.recipes.reporting.measuring import Measured
from kinema.report.animation import clip_animation
from kinema.report.clip_cards import CardGroup, ClipCard, Line
from kinema.report.explanation import Explanation, explain_video
from kinema.report.page import Section

logger = logging.getLogger("kinema")

SHOWN_LOOKS = 6
_HEIGHT = 120  # pixels of a frame
_BYTES = 40_000  # of a picture
_MOST_FRAMES = 600  # of a part of a video, which is decoded whole
_MOMENTS = 2


def looked_section(recognizer: VideoRecognizer, measured: Measured, count: int = SHOWN_LOOKS) -> Section | None:
    """Where and when clips spoke for the class that was predicted.

    Args:
        recognizer: the model.
        measured: its scores.
        count: clips to show, wrong ones and right ones.

    Returns:
        None where the model cannot be explained, which is logged.
    """
    cards = []
    for place in _chosen(measured, count):
        try:
            cards.append(_card(recognizer, measured, place))
        except ConfigError as error:
            logger.warning("the report shows nothing of what the model looked at: %s", error)
            return None
        except (KinemaError, OSError) as error:
            logger.warning("%s: not explained: %s", measured.paths[place], error)
    if not cards:
        return None
    return Section(
        "looked",
        "Attention",
        "clips",
        {"groups": [CardGroup("What spoke for the predicted class", "", cards)], "root": "", "files": "", "wide": True},
        "Left the frames that the model saw, right what in them spoke for the class that it predicted (Grad-CAM: dark"
        " is nothing, yellow is most); the bar shows which frames mattered. A model that looks at the background has"
        " learnt the place, not the action.",
    )


def _chosen(measured: Measured, count: int) -> list[int]:
    """Wrong clips and right ones, the surest of each."""
    if measured.is_multi_label:
        return np.argsort(-measured.scores.max(axis=1), kind="stable")[:count].tolist()
    right = np.flatnonzero(measured.predicted == measured.labels)
    right = one_a_class(right[np.argsort(-measured.scores[right].max(axis=1), kind="stable")], measured.labels)
    wrong = ranked_wrong(measured)[: max(count // 2, count - len(right))]
    return [*wrong.tolist(), *right[: count - len(wrong)].tolist()]


def _card(recognizer: VideoRecognizer, measured: Measured, place: int) -> ClipCard:
    video, fps = _video(measured, place)
    index = int(measured.scores[place].argmax())
    explanation = explain_video(recognizer, video, class_name=measured.classes[index], fps=fps)
    pictures = explanation.pictures(height=_HEIGHT)
    picture = clip_animation(pictures, fps=min(explanation.fps, 6.0), max_bytes=_BYTES)
    truth = measured.names_of(place)
    label = measured.labels[place]
    is_right = bool(label[index]) if measured.is_multi_label else index == int(label)
    said = Line(f"{measured.classes[index]} {measured.scores[place, index]:.2f}", "good" if is_right else "bad")
    lines = [said, *([] if is_right else [Line(f"is {truth}")]), *_moments(explanation)]
    alt = f"{measured.paths[place]}, a clip of {truth}, and which places of it spoke for {measured.classes[index]}"
    return ClipCard(shown_path(measured, place), alt, picture, tuple(lines))


def _moments(explanation: Explanation) -> list[Line]:
    moments = explanation.moments(_MOMENTS)
    return [Line(f"most at {', '.join(map(str, moments))}")] if moments else []


def _video(measured: Measured, place: int) -> tuple[Any, float | None]:
    """The clip as a recognizer takes it, and the frame rate of one that does not state it."""
    split, index = measured.split, int(measured.places[place])
    clips = split.annotations
    if clips.clip_starts is None and clips.clip_ends is None:
        if split.shards is not None:
            return split.shards.slice_of(index).read(), None
        return os.fspath(split.video_root / clips.paths[index]), None
    with split.open_video(index) as reader:
        first, stop = span_of(measured, place, reader)
        return reader.get_batch(np.arange(first, min(stop, first + _MOST_FRAMES))), reader.fps
