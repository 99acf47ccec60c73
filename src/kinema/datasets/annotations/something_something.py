"""Something-Something v2: JSON lists with templates, and classes that trade places when a clip is mirrored."""

import os
import re
from collections.abc import Sequence
from pathlib import Path

from kinema.datasets.annotations.collecting import ClipCollector
from kinema.datasets.annotations.json_files import load_json
from kinema.datasets.annotations.layout import root_candidates
from kinema.datasets.annotations.records import Annotations
from kinema.errors import AnnotationError

LABEL_FILES = ("something-something-v2-labels.json", "labels.json")
SUFFIXES = (".webm", ".mp4")


def read_something_something(
    path: str | os.PathLike,
    *,
    class_names: Sequence[str] | None = None,
    video_root: str | os.PathLike | None = None,
) -> Annotations:
    """Read `[{"id": "78687", "template": "Holding [something] next to [something]"}, ...]`.

    Test lists have no templates.

    Args:
        path: the list.
        class_names: names by class index; default: those of `labels.json` (or
            `something-something-v2-labels.json`) beside it, else the templates in alphabetical
            order.
        video_root: folder of the videos `id.webm` or `id.mp4`; default: one near the list that has
            the first.

    Raises:
        AnnotationError: the file is no such list, or a template is none of the classes. Names file
            and number of the entry.
    """
    source = Path(path)
    entries = load_json(source)
    if not isinstance(entries, list) or not all(isinstance(entry, dict) and "id" in entry for entry in entries):
        raise AnnotationError(f'{source}: expected a list of {{"id": ..., "template": ...}}')
    if not entries:
        raise AnnotationError(f"{source}: the list is empty: expected one object a clip")
    names = class_names or _read_labels(source.parent)
    root, suffix = _find_videos(source, str(entries[0]["id"]), video_root)
    clips = ClipCollector(source, "something-something")
    for number, entry in enumerate(entries, start=1):
        template = str(entry.get("template", "")).replace("[", "").replace("]", "")
        clips.add(f"{entry['id']}{suffix}", [template] if template else [], line=number)
    return clips.finish(names, labels_are_names=True, video_root=root)


def left_right_pairs(class_names: Sequence[str]) -> dict[int, int]:
    """The classes that become each other when a clip is mirrored: their names differ in left and right alone.

    Args:
        class_names: names by class index, such as "Pushing something from left to right".

    Returns:
        What `Flip` takes as `flip_label_map`: both directions of every pair.
    """
    places = {name.lower(): index for index, name in enumerate(class_names)}
    swap = {"left": "right", "right": "left"}
    mirrored = (re.sub(r"\b(left|right)\b", lambda word: swap[word[0]], name.lower()) for name in class_names)
    return {index: places[name] for index, name in enumerate(mirrored) if places.get(name, index) != index}


def _read_labels(folder: Path) -> list[str] | None:
    """Names by class index of `{"Approaching something": "0", ...}`."""
    file = next((folder / name for name in LABEL_FILES if (folder / name).is_file()), None)
    if file is None:
        return None
    content = load_json(file)
    try:
        by_index = {int(index): name for name, index in content.items()}
    except (AttributeError, TypeError, ValueError):
        by_index = {}
    if not by_index or sorted(by_index) != list(range(len(content))):
        raise AnnotationError(
            f'{file}: expected an object such as {{"Approaching something": "0", ...}}, counted from 0'
        )
    return [by_index[index] for index in range(len(by_index))]


def _find_videos(source: Path, first: str, video_root: str | os.PathLike | None) -> tuple[Path | None, str]:
    """The folder that has the first clip, and the suffix that its file has."""
    near = [*root_candidates(source), source.parent.parent / "20bn-something-something-v2"]
    candidates = near if video_root is None else [Path(video_root)]
    for folder in candidates:
        for suffix in SUFFIXES:
            if (folder / f"{first}{suffix}").is_file():
                return folder, suffix
    return (None if video_root is None else Path(video_root)), SUFFIXES[0]
