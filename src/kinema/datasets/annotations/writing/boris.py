"""Segments as a project of BORIS (.boris), which its "Open project" reads.

Source: the format of projects (`project_format_version` 7.0) as the BORIS user guide describes it.
"""

from typing import Any

from kinema.datasets.annotations.writing.request import WriteRequest, layers_by_label
from kinema.datasets.annotations.writing.texts import json_text, label_text, whole_milliseconds

_PLAYERS = 8
_KEYS = "abcdefghijklmnopqrstuvwxyz0123456789"


def boris_file(request: WriteRequest) -> str:
    """A project with one observation for each video, one behaviour (a state event) for each class.

    BORIS pairs the starts and stops of a behaviour of one subject; segments of a class that overlap
    are of further subjects, "overlap 2" and so on.
    """
    labels = [label_text(label) for label in request.labels]
    observations = {
        _observation_name(video, number): _observation(request, video)
        for number, video in enumerate(request.videos, start=1)
    }
    subjects = sorted({event[1] for observation in observations.values() for event in observation["events"]} - {""})
    return json_text(
        {
            "time_format": "hh:mm:ss",
            "project_date": "1970-01-01T00:00:00",  # the same segments give the same file
            "project_name": request.path.stem,
            "project_description": request.model_version,
            "project_format_version": "7.0",
            "subjects_conf": {
                str(number): {"key": "", "name": name, "description": ""} for number, name in enumerate(subjects)
            },
            "behaviors_conf": {str(number): _behaviour(label, number) for number, label in enumerate(labels)},
            "observations": observations,
            "behavioral_categories": [],
            "independent_variables": {},
            "coding_map": {},
            "behaviors_coding_map": [],
            "converters": {},
        }
    )


def _behaviour(label: str, number: int) -> dict[str, str]:
    return {
        "type": "State event",
        "key": _KEYS[number] if number < len(_KEYS) else "",
        "code": label,
        "description": "",
        "color": "",
        "category": "",
        "modifiers": "",
        "excluded": "",
        "coding map": "",
    }


def _observation_name(video: str, number: int) -> str:
    return f"{number} {label_text(video)}"


def _observation(request: WriteRequest, video: str) -> dict[str, Any]:
    events: list[list[Any]] = []
    for label, layer, own in layers_by_label(request.segments[video]):
        subject = f"overlap {layer + 1}" if layer else ""
        for segment in own:
            start = whole_milliseconds(segment.start_seconds)
            end = max(whole_milliseconds(segment.end_seconds), start + 1)
            events += [[time / 1000, subject, label_text(label), "", ""] for time in (start, end)]
    timing = request.timings.get(video)
    medium = request.paths[video]  # BORIS looks in the folder of the project
    return {
        "file": {str(player): [medium] if player == 1 else [] for player in range(1, _PLAYERS + 1)},
        "type": "MEDIA",
        "date": "1970-01-01T00:00:00",
        "description": "",
        "time offset": 0.0,
        "events": sorted(events, key=lambda event: event[0]),
        "observation time interval": [0, 0],
        "independent_variables": {},
        "visualize_spectrogram": False,
        "visualize_waveform": False,
        "close_behaviors_between_videos": False,
        "media_info": {
            "length": {} if timing is None else {medium: timing.duration_seconds},
            "fps": {} if timing is None else {medium: timing.fps},
            "hasVideo": {} if timing is None else {medium: True},
            "hasAudio": {} if timing is None else {medium: False},
            "offset": {"1": 0.0},
        },
    }
