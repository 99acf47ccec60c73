"""`broken.jsonl`: the broken videos that a run has met, a line `{"path", "error", "count", "split"}` each."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kinema.datasets.broken import BrokenSample
from kinema.files import write_text


@dataclass
class BrokenVideo:
    """What is known of a broken video.

    Attributes:
        split: "train" or "val".
        path: of the video.
        error: what was wrong when it was met first.
        count: how often it was met.
    """

    split: str
    path: str
    error: str
    count: int = 0

    def line(self) -> str:
        """The line of the file."""
        return json.dumps({"path": self.path, "error": self.error, "count": self.count, "split": self.split}) + "\n"


class BrokenList:
    """Counts broken videos, and keeps the file that lists them.

    Args:
        file: of the list; None: there is none yet.
    """

    def __init__(self, file: Path | None = None) -> None:
        self.file = file
        self._videos: dict[tuple[str, str], BrokenVideo] = {}

    def of(self, split: str) -> list[BrokenVideo]:
        """The videos of a split, in the order in which they were met."""
        return [video for video in self._videos.values() if video.split == split]

    def count(self, split: str, records: Iterable[BrokenSample]) -> None:
        """Count what was met."""
        for record in records:
            video = self._videos.setdefault((split, record.path), BrokenVideo(split, record.path, record.error))
            video.count += 1

    def count_at_once(self, split: str, record: BrokenSample) -> bool:
        """Count one; a new video is written down now. Returns whether it is new."""
        is_new = (split, record.path) not in self._videos and self.file is not None
        if is_new and self.file is not None:
            with self.file.open("a", encoding="utf-8") as file:
                file.write(BrokenVideo(split, record.path, record.error, 1).line())
        self.count(split, [record])
        return is_new

    def write(self) -> None:
        """Make the file say what was counted; without broken videos there is none."""
        assert self.file is not None  # the run has begun
        if not self._videos:
            self.file.unlink(missing_ok=True)
            return
        write_text(self.file, "".join(video.line() for video in self._videos.values()))

    def state(self) -> list[dict[str, Any]]:
        """What was counted, in plain values."""
        return [dict(vars(video)) for video in self._videos.values()]

    def load(self, state: Iterable[Mapping[str, Any]]) -> None:
        """Take what `state()` gave back."""
        self._videos = {(video["split"], video["path"]): BrokenVideo(**video) for video in state}
