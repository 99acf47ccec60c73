"""The runs below a folder, and what each has reached: read from their files alone, without torch."""

import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import filelock

from kinema.errors import ConfigError
from kinema.files import open_regular, read_bytes
from kinema.runs.layout import HOLDER_FILE, LOCK_FILE, RUN_FILES, SETTINGS_FILE

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

State = Literal["running", "finished", "stopped", "failed", "killed", "unknown"]

_SIGNS = ("metrics.jsonl", "summary.json", SETTINGS_FILE)  # a folder with one of these is the work folder of a run
_MOST = 1e300  # a number above is none that a run writes, and may be too large for a float
_MOST_BYTES = 16 << 20  # of a JSON file
_TAIL_BYTES = 1 << 20  # of metrics.jsonl that are read


@dataclass
class RunRow:
    """What is known of one run; None where it is not.

    Attributes:
        folder: the work folder.
        name: its path below the folder that was asked for.
        state: "running" while a process holds the lock, what the summary says ("finished", "stopped",
            "failed"), "killed" where there is none; "unknown" of a run without a runner, which holds
            no lock and writes neither `run.json` nor a summary.
        started: when it was started first, in ISO 8601.
        epochs, steps: how far it has come.
        max_epochs, max_steps: how far it is to come, by what it counts in.
        metric: name of the figure that chose the best checkpoint.
        best: its value in the best checkpoint.
        interval: the 95 % interval of `best`.
        last: its value in the last validation.
        metrics: all figures of the best checkpoint.
        seconds: of training.
        model: type of the backbone, or of the model.
        data: what it was trained on.
        problems: files that cannot be read, a sentence each.
    """

    folder: str
    name: str
    state: State = "killed"
    started: str | None = None
    epochs: int | None = None
    max_epochs: int | None = None
    steps: int | None = None
    max_steps: int | None = None
    metric: str | None = None
    best: float | None = None
    interval: list[float] | None = None
    last: float | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    seconds: float | None = None
    model: str | None = None
    data: str | None = None
    problems: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def list_runs(folder: Path) -> list[RunRow]:
    """The runs below a folder, the newest first; those that were set aside as `earlier_1` are there, too.

    Raises:
        ConfigError: there is no such folder.
    """
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "no such folder"
        raise ConfigError(f"{folder}: {what}: give the folder that holds your work folders")
    rows = [read_row(place, folder) for place in _work_folders(folder)]
    return sorted(rows, key=lambda row: (row.started or "", row.name), reverse=True)


def sort_rows(rows: Sequence[RunRow], metric: str) -> list[RunRow]:
    """The runs with the best `metric` first, those without it last. Of a loss less is better.

    Raises:
        ConfigError: no run has it.
    """
    known = sorted({name for row in rows for name in row.metrics})
    if metric not in known:
        raise ConfigError(f"no run has the metric {metric!r}; there are: {', '.join(known) or 'none'}")
    sign = 1 if "loss" in metric else -1
    return sorted(rows, key=lambda row: (metric not in row.metrics, sign * row.metrics.get(metric, 0.0)))


def read_row(work_dir: Path, base: Path) -> RunRow:
    """What the files of a work folder say; what is damaged is named in `problems`."""
    name = os.path.relpath(work_dir, base)
    row = RunRow(str(work_dir), work_dir.resolve().name if name == "." else Path(name).as_posix())
    settings, summary = (_read_object(work_dir / file, row) for file in (SETTINGS_FILE, "summary.json"))
    train, val = _last_lines(work_dir / "metrics.jsonl", row)
    newest = max((line for line in (train, val) if line), key=lambda line: _number(line.get("step")) or 0, default={})
    contract = _best_contract(work_dir, row)
    best = _mapping(summary.get("best")) or _mapping(contract.get("best"))
    figures = _mapping(best.get("metrics")) or _mapping(contract.get("metrics")) or val
    config = _mapping(settings.get("config"))
    if is_held(work_dir):
        row.state = "running"
    elif summary:
        state = summary.get("state", "finished")
        row.state = state if state in ("finished", "stopped", "failed") else "finished"
    elif not (work_dir / SETTINGS_FILE).exists() and not (work_dir / "summary.json").exists():
        row.state = "unknown"
    row.started = _started(work_dir, settings)
    row.epochs = _whole(summary.get("epochs", newest.get("epoch")))
    row.steps = _whole(summary.get("steps", newest.get("step")))
    train_cfg = _mapping(config.get("train_cfg"))
    row.max_epochs, row.max_steps = (_whole(train_cfg.get(f"max_{unit}")) for unit in ("epochs", "steps"))
    row.metric = _text(best.get("metric")) or _metric_of(val)
    row.metrics = {
        str(key): number
        for key, value in figures.items()
        if key not in ("step", "epoch", "seconds") and (number := _number(value)) is not None
    }
    row.best = _number(best.get("value")) if best else None
    row.interval = _interval(row, best)
    row.last = _number(_mapping(summary.get("final")).get("value")) if summary else None
    if row.last is None and row.metric is not None:
        row.last = _number(val.get(row.metric))
    row.seconds = _number(summary.get("train_seconds", newest.get("seconds")))
    row.model, row.data = _model(config), _data(config)
    return row


def is_held(work_dir: Path) -> bool:
    """Does a process train into the work folder now?"""
    if not (work_dir / HOLDER_FILE).exists():  # which a process that holds it writes, and removes
        return False
    if fcntl is None:
        return _is_locked(work_dir / LOCK_FILE)
    try:
        with open_regular(work_dir / LOCK_FILE) as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _is_locked(file: Path) -> bool:
    """The same where there is no `flock`; needs leave to write the file."""
    try:
        with filelock.FileLock(file, timeout=0):
            return False
    except filelock.Timeout:
        return True


def _work_folders(folder: Path) -> Iterator[Path]:
    seen: set[str] = set()
    for place, names, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        if real in seen:  # a link that leads back
            names.clear()
            continue
        seen.add(real)
        names[:] = sorted(name for name in names if not name.startswith("."))
        if {*files} & {*_SIGNS}:
            names[:] = [name for name in names if name not in (*RUN_FILES, "data")]
            yield Path(place)


def _read_object(file: Path, row: RunRow) -> dict[str, Any]:
    """A JSON object; empty where there is no such file, or it is none."""
    if not file.exists():
        return {}
    try:
        content = json.loads(read_bytes(file, _MOST_BYTES))
    except (OSError, ValueError, RecursionError) as error:
        row.problems.append(f"{file}: cannot be read: {error}")
        return {}
    if not isinstance(content, dict):
        row.problems.append(f"{file}: expected a JSON object, got a {type(content).__name__}")
        return {}
    return content


def _last_lines(file: Path, row: RunRow) -> tuple[dict[str, Any], dict[str, Any]]:
    """The last lines of the training and of the validation."""
    last: dict[str, dict[str, Any]] = {"train": {}, "val": {}}
    try:
        with open_regular(file) as stream:
            stream.seek(max(0, stream.seek(0, os.SEEK_END) - _TAIL_BYTES))
            lines = stream.read(_TAIL_BYTES).splitlines()
    except FileNotFoundError:
        return {}, {}
    except OSError as error:
        row.problems.append(f"{file}: cannot be read: {error}")
        return {}, {}
    for text in reversed(lines):
        if all(last.values()):
            break
        if last["train"] and b'"val"' not in text:  # most lines are of the training
            continue
        with suppress(ValueError, RecursionError):  # the first may be cut by the tail, the last by a kill
            line = json.loads(text)
            if isinstance(line, dict) and (split := line.get("split")) in ("train", "val"):
                last[split] = last[split] or line
    if lines and not any(last.values()):
        row.problems.append(f"{file}: has no line of figures")
    return last["train"], last["val"]


def _best_contract(work_dir: Path, row: RunRow) -> dict[str, Any]:
    """What the best checkpoint says of itself."""
    pointer = work_dir / "checkpoints" / "best"
    try:
        name = read_bytes(pointer, 300).decode().strip()
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        row.problems.append(f"{pointer}: cannot be read: {error}")
        return {}
    if name in ("", ".", "..") or name != Path(name).name:
        row.problems.append(f"{pointer}: names no checkpoint: {name!r}")
        return {}
    return _read_object(work_dir / "checkpoints" / name / "config.json", row)


def _started(work_dir: Path, settings: Mapping[str, Any]) -> str | None:
    """When it began: what `run.json` says, else the time of its oldest file."""
    sessions = settings.get("sessions")
    first = _mapping(sessions[0]) if isinstance(sessions, list) and sessions else settings
    if isinstance(first.get("started"), str):
        return str(first["started"])
    times = [(work_dir / name).stat().st_mtime for name in _SIGNS if (work_dir / name).exists()]
    return datetime.fromtimestamp(min(times), UTC).isoformat(timespec="seconds") if times else None


def _interval(row: RunRow, best: Mapping[str, Any]) -> list[float] | None:
    ends = best.get("interval")
    if not isinstance(ends, list):
        ends = [row.metrics.get(f"{row.metric}_low"), row.metrics.get(f"{row.metric}_high")]
    numbers = [number for end in ends if (number := _number(end)) is not None]
    return numbers if row.best is not None and len(numbers) == 2 else None


def _metric_of(figures: Mapping[str, Any]) -> str | None:
    """The figure that a validation is about: a run's best checkpoint, which knows, may not be there yet."""
    return next((str(name) for name in figures if "/" in str(name)), None)


def _model(config: Mapping[str, Any]) -> str | None:
    model = _mapping(config.get("model"))
    return _text(_mapping(model.get("backbone")).get("type")) or _text(model.get("type"))


def _data(config: Mapping[str, Any]) -> str | None:
    dataset = _mapping(_mapping(config.get("train_dataloader")).get("dataset"))
    while not dataset.get("ann_file") and _mapping(dataset.get("dataset")):  # of a wrapper
        dataset = _mapping(dataset["dataset"])
    names = [name for key in ("data_root", "ann_file") if (name := _text(dataset.get(key)))]
    return os.path.join(*names) if names else _text(dataset.get("type"))  # noqa: PTH118 - it may be an address


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > _MOST:
        return None
    return float(value) if math.isfinite(value) else None


def _whole(value: Any) -> int | None:
    number = _number(value)
    return None if number is None else int(number)
