"""The scores of all windows of a video: at any time, and in one file."""

import json
import os
import struct
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, ClassVar

import numpy as np

from kinema import __version__
from kinema.errors import DumpError, VideoError
from kinema.files import open_regular, written_whole
from kinema.inference.windows.overlap import Weights, overlap_mean
from kinema.inference.windows.score import WindowScore
from kinema.printable import first_line, printable

FORMAT = "kinema window scores"
VERSION = 1
MOST_GRID_NUMBERS = 500_000_000  # of a grid: 2 GB
MOST_OVERLAP = 100_000  # windows that hold one time
MOST_FACTS_BYTES = 16 << 20
MOST_FILE_BYTES = 8 << 30
_HEADER_BYTES = 10_000  # of an array, at most
_MOST_NUMBER = 1e15
_FACTS = "facts.json"


@dataclass(frozen=True, kw_only=True)
class VideoFacts:
    """What scores are of.

    Attributes:
        video: path or address of the video.
        model: path of the checkpoint, or what else names the model.
        classes: names of the N classes.
        is_multi_label: classes are there or not, each by itself; else exactly one is.
        thresholds: from which score on a class is there, by name; of classes that were tuned only.
        num_frames: of the video; of a broken one those before the first that cannot be decoded.
        fps: its frames a second, on average.
        length_seconds: of a window.
        stride_seconds: from the start of a window to the start of the next.
        views: clips x crops of a window; None: as the checkpoint says.
        broken: why the scores end before the video does; empty: they do not.
    """

    video: str
    model: str
    classes: tuple[str, ...]
    is_multi_label: bool = False
    thresholds: dict[str, float] = field(default_factory=dict)
    num_frames: int = 0
    fps: float = 0.0
    length_seconds: float
    stride_seconds: float
    views: str | None = None
    broken: str = ""


class PartialScoresError(VideoError):
    """A video cannot be decoded from some frame on. What comes before has scores.

        try:
            timeline = recognizer.timeline("cut.mp4")
        except PartialScoresError as error:
            timeline = Timeline.of(error.scores)

    Args:
        scores: of the windows before, with `facts.broken`.

    Attributes:
        scores: as given.
    """

    def __init__(self, scores: "WindowScores") -> None:
        end = f"{scores.duration_seconds:.3g} s"
        super().__init__(f"{scores.facts.broken}: there are scores of the first {end}")
        self.scores = scores

    def __reduce__(self) -> tuple[type, tuple["WindowScores"]]:
        return PartialScoresError, (self.scores,)


@dataclass(frozen=True, eq=False)
class WindowScores:
    """The scores of all windows of a video.

        scores = recognizer.windows("game.mp4")
        scores.at([12.5])  # (1, N)
        scores.save("game.npz")

    Attributes:
        starts: (W,) float64, time of each window's first frame, ascending, in seconds.
        ends: (W,) float64, where its last frame ends, ascending.
        first_frames: (W,) int64, number of its first frame.
        stop_frames: (W,) int64, number of the frame behind its last.
        scores: (W, N) float32.
        facts: what they are of.

    Raises:
        ValueError: the arrays do not go together, or the windows are in no order of time.
    """

    starts: np.ndarray
    ends: np.ndarray
    first_frames: np.ndarray
    stop_frames: np.ndarray
    scores: np.ndarray
    facts: VideoFacts

    _ARRAYS: ClassVar[Mapping[str, str]] = {
        "starts": "<f8",
        "ends": "<f8",
        "first_frames": "<i8",
        "stop_frames": "<i8",
        "scores": "<f4",
    }

    def __post_init__(self) -> None:
        count = len(self.starts)
        if not count or self.scores.shape != (count, len(self.classes)):
            raise ValueError(
                f"expected scores of at least one window for {len(self.classes)} classes, got an array of shape"
                f" {self.scores.shape} for {count} windows"
            )
        for name in ("ends", "first_frames", "stop_frames"):
            if getattr(self, name).shape != self.starts.shape:
                raise ValueError(f"{name} has the shape {getattr(self, name).shape}, starts has {self.starts.shape}")
        if not np.isfinite(self.scores).all():
            raise ValueError("a score is not a number")
        if not (np.isfinite(self.starts).all() and np.isfinite(self.ends).all() and (self.starts < self.ends).all()):
            raise ValueError("a window ends before it starts")
        if (np.diff(self.starts) < 0).any() or (np.diff(self.ends) < 0).any():
            raise ValueError("the windows are not in the order of their times")
        overlap = np.arange(1, count + 1) - np.searchsorted(self.ends, self.starts, "right")
        if overlap.max() > MOST_OVERLAP:
            raise ValueError(f"{overlap.max()} windows hold one time, expected at most {MOST_OVERLAP}")

    @classmethod
    def of(cls, windows: Iterable[WindowScore], facts: VideoFacts) -> "WindowScores":
        """Put windows together, in the order of their times.

        Raises:
            ValueError: there are none, or they do not go together.
        """
        rows = list(windows)
        return cls(
            np.array([row.start_seconds for row in rows], np.float64),
            np.array([row.end_seconds for row in rows], np.float64),
            np.array([row.first_frame for row in rows], np.int64),
            np.array([row.stop_frame for row in rows], np.int64),
            np.stack([row.scores for row in rows]) if rows else np.empty((0, len(facts.classes)), np.float32),
            facts,
        )

    def __len__(self) -> int:
        return len(self.starts)

    def __iter__(self) -> Iterator[WindowScore]:
        for place in range(len(self)):
            yield WindowScore(
                float(self.starts[place]),
                float(self.ends[place]),
                int(self.first_frames[place]),
                int(self.stop_frames[place]),
                self.scores[place],
            )

    def __repr__(self) -> str:
        return (
            f"WindowScores({printable(self.video)!r}: {len(self)} windows of {self.facts.length_seconds:.3g} s, every"
            f" {self.facts.stride_seconds:.3g} s, {len(self.classes)} classes)"
        )

    @property
    def video(self) -> str:
        """Path or address of the video."""
        return self.facts.video

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the N classes."""
        return self.facts.classes

    @property
    def start_seconds(self) -> float:
        """Time of the first frame."""
        return float(self.starts[0])

    @property
    def end_seconds(self) -> float:
        """Where the last frame ends."""
        return float(self.ends[-1])

    @property
    def duration_seconds(self) -> float:
        """From the start of the first frame to the end of the last."""
        return self.end_seconds - self.start_seconds

    # ---- at a time

    def at(
        self,
        times: Sequence[float] | np.ndarray,
        *,
        weights: Weights = "triangular",
        classes: Sequence[str] | None = None,
    ) -> np.ndarray:
        """Scores at some times: the weighted mean of the windows that hold them, see `overlap_mean`.

        Args:
            times: (T,) in seconds, in any order.
            weights: how much a window counts near its ends, see `window_weights`.
            classes: names of the classes to give; None: all.

        Returns:
            (T, N) float32.

        Raises:
            ValueError: there are no such weights, no such class, or a time is no number.
        """
        wanted = np.asarray(times, np.float64).reshape(-1)
        if not np.isfinite(wanted).all():
            raise ValueError("a time is not a number")
        scores = self.scores if classes is None else self.scores[:, [self._class_index(name) for name in classes]]
        return overlap_mean(self.starts, self.ends, scores, wanted, weights)

    def on_grid(
        self, step_seconds: float, *, weights: Weights = "triangular", classes: Sequence[str] | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Scores of stretches of equal length, from the first frame to the end of the last.

        Args:
            step_seconds: length of a stretch.
            weights: see `at`.
            classes: see `at`.

        Returns:
            (T,) float64, where the stretches begin, and (T, N) float32, the scores in their middles.

        Raises:
            ValueError: a step that is not above 0, more than `MOST_GRID_NUMBERS` scores, or as of
                `at`.
        """
        if not (np.isfinite(step_seconds) and step_seconds > 0):
            raise ValueError(f"step_seconds must be above 0, got {step_seconds}")
        count = max(1.0, np.ceil(self.duration_seconds / step_seconds - 1e-6))
        if count * len(self.classes if classes is None else classes) > MOST_GRID_NUMBERS:
            raise ValueError(
                f"a step of {step_seconds:g} s gives more than {MOST_GRID_NUMBERS} scores: choose a longer step"
                " or fewer classes"
            )
        begins = self.start_seconds + np.arange(int(count)) * step_seconds
        ends = np.minimum(begins + step_seconds, self.end_seconds)
        return begins, self.at((begins + ends) / 2, weights=weights, classes=classes)

    def _class_index(self, name: str) -> int:
        if name not in self.classes:
            raise ValueError(f"there is no class {name!r}: expected one of {', '.join(map(repr, self.classes[:20]))}")
        return self.classes.index(name)

    # ---- in a file

    def save(self, path: str | os.PathLike) -> None:
        """Write all into one file, whole or not at all; `numpy.load` opens it, too.

        Args:
            path: of the file, such as `game.npz`; its folder must exist.

        Raises:
            OSError: it cannot be written.
        """
        facts = {"format": FORMAT, "version": VERSION, "kinema_version": __version__, **asdict(self.facts)}
        with written_whole(os.fspath(path), "wb") as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
            archive.writestr(_FACTS, json.dumps(facts, indent=2))
            for name, kind in self._ARRAYS.items():
                with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                    np.lib.format.write_array(member, getattr(self, name).astype(kind), (1, 0), allow_pickle=False)

    @classmethod
    def load(cls, path: str | os.PathLike) -> "WindowScores":
        """Read what `save` wrote. Nothing in the file is run, and it cannot ask for more memory than it has bytes.

        Raises:
            DumpError: there is no such file, it is damaged, or of a newer version.
        """
        name = printable(os.fspath(path))
        try:
            with open_regular(os.fspath(path)) as file, zipfile.ZipFile(file) as archive:
                facts = _read_facts(archive, name)
                arrays = {key: _read_array(archive, key, kind) for key, kind in cls._ARRAYS.items()}
            return cls(**arrays, facts=facts)
        except FileNotFoundError as error:
            raise DumpError(f"{name}: there is no such file of scores") from error
        except (
            OSError,
            zipfile.BadZipFile,
            struct.error,
            ValueError,
            KeyError,
            NotImplementedError,
            EOFError,
        ) as error:
            raise DumpError(
                f"{name}: is no file of window scores that can be read, as `kinema timeline` writes them:"
                f" {printable(first_line(error))}"
            ) from error


def _member(archive: zipfile.ZipFile, name: str, most: int) -> zipfile.ZipInfo:
    info = archive.getinfo(name)
    if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size or info.flag_bits & 1:
        raise ValueError(f"{name} is compressed or encrypted")
    if info.file_size > most:
        raise ValueError(f"{name} has {info.file_size} bytes, expected at most {most}")
    return info


def _read_array(archive: zipfile.ZipFile, name: str, kind: str) -> np.ndarray:
    info = _member(archive, f"{name}.npy", MOST_FILE_BYTES)
    with archive.open(info) as member:
        if np.lib.format.read_magic(member) != (1, 0):
            raise ValueError(f"{name} is of another version of numpy's format")
        shape, is_fortran, dtype = np.lib.format.read_array_header_1_0(member, max_header_size=_HEADER_BYTES)
        if is_fortran or dtype != np.dtype(kind):
            raise ValueError(f"{name} is an array of {dtype}, expected {np.dtype(kind)} in C order")
        content = member.read()
    if any(side < 0 for side in shape) or np.prod(shape, dtype=object) * dtype.itemsize != len(content):
        raise ValueError(f"{name} has {len(content)} bytes, which are not those of its shape {shape}")
    return np.frombuffer(content, dtype).reshape(shape)


_KINDS: dict[str, Any] = {
    "video": str,
    "model": str,
    "classes": list,
    "is_multi_label": bool,
    "thresholds": dict,
    "num_frames": int,
    "fps": (int, float),
    "length_seconds": (int, float),
    "stride_seconds": (int, float),
    "views": (str, type(None)),
    "broken": str,
}


def _read_facts(archive: zipfile.ZipFile, where: str) -> VideoFacts:
    try:
        facts = json.loads(archive.read(_member(archive, _FACTS, MOST_FACTS_BYTES)))
    except RecursionError:
        raise ValueError(f"{_FACTS} is nested too deeply") from None
    if not isinstance(facts, dict) or facts.get("format") != FORMAT:
        raise ValueError(f"{_FACTS} does not say that it is of {FORMAT!r}")
    version = facts.get("version")
    if type(version) is not int or version < 1:
        raise ValueError(f"'version' must be a whole number above 0, got {version!r:.80}")
    if version > VERSION:
        raise DumpError(
            f"{where}: is of version {version}, this Kinema {__version__} reads up to {VERSION}: install a newer one"
        )
    facts.setdefault("broken", "")  # earlier files do not have it
    for entry in fields(VideoFacts):
        value = facts.get(entry.name)
        if not isinstance(value, _KINDS[entry.name]) or (isinstance(value, bool) and entry.name != "is_multi_label"):
            raise ValueError(f"{entry.name!r} is missing or of another type, got {value!r:.80}")
    for name in ("num_frames", "fps", "length_seconds", "stride_seconds"):
        if not 0 <= facts[name] < _MOST_NUMBER:
            raise ValueError(f"{name!r} is out of range: {facts[name]!r:.80}")
    if not all(isinstance(name, str) for name in facts["classes"]):
        raise ValueError("'classes' must be names")
    for value in facts["thresholds"].values():
        if type(value) not in (int, float) or not 0 <= value <= 1:
            raise ValueError(f"'thresholds' must hold a number from 0 to 1 for a class name, got {value!r:.80}")
    values = {entry.name: facts[entry.name] for entry in fields(VideoFacts)}
    return VideoFacts(**{**values, "classes": tuple(facts["classes"])})
