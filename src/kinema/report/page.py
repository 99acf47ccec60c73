"""The report of a training: one HTML file that needs nothing else."""

import base64
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kinema.report import plots
from kinema.report.document import escaped as _text
from kinema.report.document import write_document
from kinema.transforms import rescale_size, resize_frames
from kinema.video import VideoReader, write_video

_CLIP_FRAMES = 60  # frames of a shown clip, at most
_CLIP_SIDE = 96  # short side of a shown clip, in pixels

_STYLE = """
.numbers { display: flex; flex-wrap: wrap; gap: 1rem; margin: 1.5rem 0; }
.numbers div { border: 1px solid #8884; border-radius: .6rem; padding: .7rem 1.1rem; min-width: 8rem; }
.numbers b { display: block; font-size: 1.7rem; }
.plot { background: white; border-radius: .6rem; padding: .6rem; } .plot svg { max-width: 100%; height: auto; }
.clips { display: flex; flex-wrap: wrap; gap: 1rem; } figure { margin: 0; width: 10rem; }
video { width: 10rem; border-radius: .5rem; display: block; } figcaption { font-size: .85rem; margin-top: .3rem; }
.right { color: #15803d; } .wrong { color: #dc2626; }
"""


@dataclass(frozen=True)
class ShownClip:
    """A clip of the report: the video, what it shows, what was predicted and how surely."""

    path: Path
    truth: str
    predicted: str
    score: float


def write_report(
    path: Path,
    *,
    title: str,
    note: str,
    numbers: Mapping[str, str],
    history: Sequence[Mapping[str, Any]],
    metric: str,
    confusion: np.ndarray,
    class_names: Sequence[str],
    clips: Sequence[ShownClip],
) -> Path:
    """Write the report of a training.

    Args:
        path: of the HTML file.
        title: heading.
        note: a sentence below it.
        numbers: the figures on top: what they are -> how they are shown.
        history: lines of `metrics.jsonl`.
        metric: the validation metric to draw.
        confusion: (N, N) counts, rows are true classes.
        class_names: N names.
        clips: clips to show.

    Returns:
        `path`.

    Raises:
        VideoError: a clip cannot be read.
    """
    tiles = "".join(f"<div><b>{_text(value)}</b>{_text(name)}</div>" for name, value in numbers.items())
    sections = [
        f"<h1>{_text(title)}</h1><p class='note'>{_text(note)}</p><div class='numbers'>{tiles}</div>",
        f"<h2>Training</h2><div class='plot'>{plots.curves(history, metric)}</div>",
        f"<h2>Confusion matrix</h2><div class='plot'>{plots.confusion(confusion, class_names)}</div>",
        f"<h2>Unseen clips</h2><div class='clips'>{''.join(map(_clip, clips))}</div>",
    ]
    return write_document(path, title=title, style=_STYLE, body="".join(sections))


def _clip(clip: ShownClip) -> str:
    is_right = clip.truth == clip.predicted
    verdict = f"<span class='{'right' if is_right else 'wrong'}'>{_text(clip.predicted)} {clip.score:.2f}</span>"
    caption = verdict if is_right else f"{verdict}<br>is {_text(clip.truth)}"
    source = base64.b64encode(_small_video(clip.path)).decode()
    return (
        f"<figure><video src='data:video/mp4;base64,{source}' autoplay loop muted playsinline></video>"
        f"<figcaption>{caption}</figcaption></figure>"
    )


def _small_video(path: Path) -> bytes:
    """The clip, made small and playable in a browser, as an mp4 file."""
    with VideoReader(path) as reader:
        count = min(len(reader), _CLIP_FRAMES)
        frames = reader.get_batch(np.linspace(0, len(reader) - 1, count).astype(int))
        fps = max(reader.fps * count / len(reader), 1.0)
    height, width = frames.shape[1:3]
    wanted = rescale_size((width, height), _CLIP_SIDE / min(width, height))
    even = (wanted[0] // 2 * 2, wanted[1] // 2 * 2)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "clip.mp4"
        write_video(file, resize_frames(frames, even), fps)
        return file.read_bytes()
