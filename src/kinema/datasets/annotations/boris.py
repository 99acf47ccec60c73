"""Projects of BORIS (.boris): the state events of all observations become clips.

Source: the user guide of BORIS, and the keys of its projects of versions 4 to 9.
"""

import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from kinema.datasets.annotations.json_files import load_json
from kinema.datasets.annotations.moved_videos import finder_of_moved
from kinema.datasets.annotations.program_clips import ProgramClips, number_of
from kinema.datasets.annotations.records import Annotations
from kinema.errors import AnnotationError

MOST_MEDIA = 1000  # one after another
_FORM = "[time, subject, behaviour, ...]"


def read_boris(
    path: str | os.PathLike,
    *,
    class_names: Sequence[str] | None = None,
    video_root: str | os.PathLike | None = None,
) -> Annotations:
    """Read a project; the tables that BORIS exports are read by `read_csv`.

    The events of a behaviour are starts and stops in turn, for each subject and modifier. Those of
    media one after another in a player belong to the medium that they fall into. Point events and
    starts without a stop are left out and counted.

    Args:
        path: the project.
        class_names: names by class index; default: the labels in alphabetical order.
        video_root: folder of the videos; default: looked for beside the file.

    Raises:
        AnnotationError: the file is no such project, has no state event, an event is wrong, or
            media follow one another whose lengths nothing says. Names file and observation.
    """
    source = Path(path)
    folder = None if video_root is None else Path(video_root)
    project = load_json(source)
    if not is_boris(project):
        raise AnnotationError(f"{source}: expected a project of BORIS: an object with 'behaviors_conf', 'observations'")
    points = {
        str(behaviour.get("code", ""))
        for behaviour in project["behaviors_conf"].values()
        if not str(behaviour.get("type", "State")).lower().startswith("state")
    }
    observations = {str(name): entry for name, entry in project["observations"].items() if _media(entry)}
    clips = ProgramClips(source, "boris", "BORIS", folder)
    find = finder_of_moved(source, [video for entry in observations.values() for video in _media(entry)], folder)
    notes = [] if find is None else ["the videos do not lie where the project says: they were found by their names"]
    if without := len(project["observations"]) - len(observations):
        notes.append(f"{without} observations are of no video file: they are left out")
    counts = {"point": 0, "open": 0}
    for name, entry in observations.items():
        place = f"{source}: observation {name!r}"
        media = _media(entry)
        if len(media) > MOST_MEDIA:
            raise AnnotationError(
                f"{place} has {len(media):,} media one after another: expected at most {MOST_MEDIA:,}"
            )
        lengths = [_length(entry, video, place) for video in media]
        queue = [video if find is None else find(video) for video in media]
        for video, length in zip(queue, lengths, strict=True):
            if length is not None:
                clips.expect_length(video, length)
        notes += [f"observation {name!r}: {note}" for note in _notes_on(entry, place)]
        for label, start, end in _pairs(entry.get("events", []), points, counts, place):
            for video, first, last in _in_media(start, end, queue, lengths, clips, place):
                clips.add_seconds(video, [label], first, last)
    if counts["point"]:
        notes.append(f"{counts['point']} events are points in time, not parts of a video: they are left out")
    if counts["open"]:
        notes.append(f"{counts['open']} events start and never stop: they are left out")
    if not len(clips):
        raise AnnotationError(f"{source}: holds no state event of a video" + "".join(f"; {note}" for note in notes))
    return clips.finish(class_names, video_root=folder, notes=notes)


def is_boris(content: Any) -> bool:
    """Is this the content of a project?"""
    return (
        isinstance(content, Mapping)
        and isinstance(content.get("behaviors_conf"), Mapping)
        and isinstance(content.get("observations"), Mapping)
    )


def _media(entry: Mapping[str, Any]) -> list[str]:
    """The files of the first player, one after another."""
    players = entry.get("file")
    if isinstance(players, list):  # projects of old versions
        return [str(video) for video in players]
    return [str(video) for video in (players or {}).get("1", [])]


def _length(entry: Mapping[str, Any], video: str, place: str) -> float | None:
    value = ((entry.get("media_info") or {}).get("length") or {}).get(video)
    return None if value is None else number_of(value, f"the length of {video!r}", place)


def _notes_on(entry: Mapping[str, Any], place: str) -> Iterator[str]:
    others = (
        [player for player, files in entry["file"].items() if player != "1" and files]
        if isinstance(entry["file"], Mapping)
        else []
    )
    if others:
        yield f"has {len(others) + 1} players: its events are read as of the first"
    offset = number_of(entry.get("time offset") or 0, "the time offset", place)
    if offset:
        yield f"has a time offset of {offset:g} s, which is not added: times are the video's"


def _pairs(events: Any, points: set[str], counts: dict[str, int], place: str) -> Iterator[tuple[str, float, float]]:
    """Behaviour, start and stop; counts what is left out."""
    times: dict[tuple[str, ...], list[float]] = defaultdict(list)
    for event in events:
        if not isinstance(event, Sequence) or isinstance(event, str) or len(event) < 3:
            raise AnnotationError(f"{place}: expected events as {_FORM}, got {str(event)[:200]!r}")
        label = str(event[2])
        if label in points:
            counts["point"] += 1
            continue
        time = number_of(event[0], f"the time of {label!r}", place)
        times[label, str(event[1]), str(event[3]) if len(event) > 3 else ""].append(time)
    for (label, *_), own in times.items():
        own.sort()
        counts["open"] += len(own) % 2
        for start, end in zip(own[::2], own[1::2], strict=False):
            if end > start:
                yield label, start, end


def _in_media(
    start: float, end: float, media: list[str], lengths: list[float | None], clips: ProgramClips, place: str
) -> Iterator[tuple[str, float, float]]:
    """The part of each medium that a time of the observation falls into."""
    begin = 0.0
    for number, (video, declared) in enumerate(zip(media, lengths, strict=True)):
        is_last = number == len(media) - 1
        length = declared
        if not is_last and length is None:
            timing = clips.timing(video)
            if timing is None:
                raise AnnotationError(
                    f"{place}: {video!r} is followed by another video, and neither the project nor a file says how long"
                    " it is"
                )
            length = timing.duration_seconds
        stop = float("inf") if is_last or length is None else begin + length
        if start < stop and end > begin:
            yield video, max(start, begin) - begin, min(end, stop) - begin
        begin = stop
