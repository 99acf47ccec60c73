"""What `kinema data prepare` has done, in the folder it writes to: one JSON line a finished video."""

import contextlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from kinema.errors import ConfigError
from kinema.files import read_text, write_text

LEDGER_NAME = "prepared.jsonl"
_PARTIAL_PATTERNS = (".part-*", ".*.part")
_LOCK_NAME = ".prepare-lock"


@dataclass(frozen=True)
class Entry:
    """One finished video.

    Attributes:
        source: absolute path of the original.
        source_bytes, source_mtime_ns: of the original when it was read.
        settings: that it was prepared with.
        target: path of the new file, relative to the folder.
        target_bytes: of the new file.
        num_frames: of the new file.
        num_lost: frames of the original that could not be decoded.
        is_copy: pictures taken over bit for bit.
    """

    source: str
    source_bytes: int
    source_mtime_ns: int
    settings: dict[str, Any]
    target: str
    target_bytes: int
    num_frames: int
    num_lost: int
    is_copy: bool


_KINDS = {
    "source": str,
    "source_bytes": int,
    "source_mtime_ns": int,
    "settings": dict,
    "target": str,
    "target_bytes": int,
}


class Ledger:
    """The entries of a folder of prepared videos.

    Entering it locks the folder and removes a killed run's half files.

    Args:
        folder: made when it is not there.

    Raises:
        ConfigError: the folder holds files but no ledger, or another process is preparing into it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._file = folder / LEDGER_NAME
        self._entries: dict[str, Entry] = {}
        self._owners: dict[str, str] = {}  # target -> source
        self._exit = contextlib.ExitStack()

    def __enter__(self) -> "Ledger":
        if self.folder.exists() and not self.folder.is_dir():
            raise ConfigError(f"{self.folder}: is a file: expected a folder for the prepared videos")
        if self.folder.is_dir() and not self._file.exists() and _holds_files(self.folder):
            raise ConfigError(
                f"{self.folder}: holds files that `kinema data prepare` did not make: name a new or empty folder"
            )
        self.folder.mkdir(parents=True, exist_ok=True)
        self._exit.enter_context(_locked(self.folder))
        self._remove_leftovers()
        self._read()
        return self

    def __exit__(self, *error: object) -> None:
        self._remove_leftovers()  # of processes that were killed or crashed
        self._exit.close()

    def _remove_leftovers(self) -> None:
        for pattern in _PARTIAL_PATTERNS:
            for leftover in self.folder.rglob(pattern):
                leftover.unlink(missing_ok=True)

    def _read(self) -> None:
        """Take the last entry of each source, and write them anew: a killed run may have left half a line."""
        text = self._read_text()
        for line in text.split("\n"):
            with contextlib.suppress(ValueError, TypeError, RecursionError):
                entry = Entry(**json.loads(line))
                if all(isinstance(getattr(entry, name), kind) for name, kind in _KINDS.items()):
                    self._remember(entry)
        lines = "".join(_line(entry) for entry in self._entries.values())
        if text != lines or not self._file.exists():
            write_text(self._file, lines)

    def _read_text(self) -> str:
        if not self._file.exists():
            return ""
        try:
            return read_text(self._file, errors="replace")  # a damaged line is one that is done again
        except OSError as error:
            raise ConfigError(f"{self._file}: cannot be read: {error.strerror or error}") from error

    def _remember(self, entry: Entry) -> None:
        self._entries[entry.source] = entry
        self._owners[entry.target] = entry.source

    def find(self, source: Path, settings: dict[str, Any], *, allow_lost: bool) -> Entry | None:
        """The entry of a source that needs no more work: same original, same settings, and its new file is there."""
        entry = self._entries.get(str(source))
        if entry is None or entry.settings != settings or (entry.num_lost and not allow_lost):
            return None
        try:
            original, target = source.stat(), (self.folder / entry.target).stat()
        except OSError:
            return None
        is_same = (original.st_size, original.st_mtime_ns) == (entry.source_bytes, entry.source_mtime_ns)
        return entry if is_same and target.st_size == entry.target_bytes else None

    def target_of(self, source: Path, name: str, taken: set[str]) -> str:
        """Where the new file of a source goes: its name with .mp4, unless that belongs to another source.

        Args:
            source: absolute path.
            name: relative path of the source below the root of its data set.
            taken: targets given to other sources in this run.
        """
        known = self._entries.get(str(source))
        plain = str(Path(name).with_suffix(".mp4").as_posix())
        candidates = [plain, f"{name}.mp4", *(f"{name}.{number}.mp4" for number in range(2, 100))]
        if known is not None:
            candidates.insert(0, known.target)
        return next(
            candidate for candidate in candidates if candidate not in taken and self._is_free(candidate, source)
        )

    def _is_free(self, target: str, source: Path) -> bool:
        owner = self._owners.get(target, str(source))
        return owner == str(source) or not Path(owner).exists()

    def add(self, entry: Entry) -> None:
        """Write an entry to the end of the file."""
        self._remember(entry)
        with self._file.open("a", encoding="utf-8") as file:
            file.write(_line(entry))


def _line(entry: Entry) -> str:
    return json.dumps(asdict(entry)) + "\n"


def _holds_files(folder: Path) -> bool:
    return any(entry.name != _LOCK_NAME for entry in folder.iterdir())


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the folder for this process; the system lets go of it when the process ends, however it ends."""
    with (folder / _LOCK_NAME).open("w") as file:
        _lock(file, folder)
        yield


def _lock(file: IO[str], folder: Path) -> None:
    try:
        import fcntl
    except ImportError:  # Windows has no such lock
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise ConfigError(f"{folder}: another `kinema data prepare` is writing there: wait for its end") from None
