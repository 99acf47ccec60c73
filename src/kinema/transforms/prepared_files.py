"""Which file is read in place of which: videos that `kinema data prepare` has encoded anew, by their originals."""

import json
import os
from contextlib import suppress
from functools import cached_property
from pathlib import Path

PREPARED_LIST = "prepared.jsonl"  # what `kinema data prepare` writes: an object a line


class PreparedFiles:
    """The videos of a folder of prepared ones, by the paths of their originals.

    Args:
        folder: of `kinema data prepare`; its list is read at the first question.
    """

    def __init__(self, folder: str | os.PathLike) -> None:
        self.folder = Path(folder)

    @cached_property
    def _targets(self) -> dict[str, str]:
        targets: dict[str, str] = {}
        with (
            suppress(FileNotFoundError),
            (self.folder / PREPARED_LIST).open(encoding="utf-8", errors="replace") as file,
        ):
            for line in file:
                with suppress(ValueError, TypeError, KeyError):  # a killed run may have left half a line
                    entry = json.loads(line)
                    targets[str(entry["source"])] = str(entry["target"])
        return targets

    def path_of(self, original: str | os.PathLike) -> Path:
        """The prepared video of an original; the original itself, where there is none."""
        target = self._targets.get(os.path.abspath(original))  # noqa: PTH100 - links stay as the list has them
        return Path(original) if target is None else self.folder / target
