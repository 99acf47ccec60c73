"""Do annotations give a clip several labels?"""

import re
from itertools import islice
from pathlib import Path

from kinema.datasets.annotations.records import Annotations
from kinema.files import open_regular
from kinema.video.suffixes import has_video_suffix

LOOKED_AT = 10_000  # clips
_NUMBERS_BEHIND = re.compile(r"(.*\S)((?:\s+\d+)+)")
_SEPARATOR = re.compile(r"[|;]")


def says_several_labels(annotations: Annotations) -> bool:
    """Do annotations that were read as if each clip had one label say that some have several?

    So they do where a clip has several labels (as lists in JSON), where the path of a line still has
    numbers behind a video's name ("a.mp4 0 3"), or where labels that are names hold | or ; between
    several. A comma alone may be part of a name.
    """
    if (annotations.labels.counts() > 1).any():
        return True
    if annotations.format in ("list", "rawframes"):
        return any(map(_has_numbers_behind, islice(annotations.paths, LOOKED_AT)))
    return any(_SEPARATOR.search(name.strip("|; ")) for name in annotations.class_names)


def _has_numbers_behind(path: str) -> bool:
    match = _NUMBERS_BEHIND.fullmatch(path)
    return match is not None and not has_video_suffix(path) and has_video_suffix(match[1])


def lists_numbers_behind_videos(file: Path) -> bool:
    """Does a list name a video, with several numbers behind it, in its first line that holds something?"""
    with open_regular(file) as opened:
        text = opened.read(1 << 16).decode("utf-8", "replace")
    line = next((line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")), "")
    match = _NUMBERS_BEHIND.fullmatch(line)
    return match is not None and len(match[2].split()) > 1 and has_video_suffix(match[1])
