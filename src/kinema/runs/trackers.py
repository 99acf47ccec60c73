"""Trackers: where a run's figures go beside `metrics.jsonl`, such as TensorBoard."""

import importlib
import inspect
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from kinema.errors import ConfigError, MissingDependencyError
from kinema.files import write_text
from kinema.openmmlab import run_files
from kinema.registry import VISBACKENDS

# OpenMMLab's backend that writes what `metrics.jsonl` and `config.py` hold in any case: its files are
# for programs that read OpenMMLab's.
_ALWAYS_WRITTEN = ("LocalVisBackend",)


@dataclass(frozen=True)
class RunInfo:
    """The run that a tracker is started for.

    Attributes:
        name: of the experiment.
        work_dir: the work folder.
        step: optimizer steps that are done: 0, or those of the checkpoint that a run resumes from.
        config: the resolved config as data, see `kinema.runs.settings_file.as_data`.
        description: see `kinema.runs.description.describe_run`.
        place: where the run is whenever it is called: `iter` (batches that are done), `seconds` (of
            training), and `epoch` (the present one, from 1) in a run that is counted in epochs.
    """

    name: str
    work_dir: Path
    step: int = 0
    config: Mapping[str, Any] = field(default_factory=dict)
    description: Mapping[str, Any] = field(default_factory=dict)
    place: Callable[[], Mapping[str, Any]] = dict


@runtime_checkable
class Tracker(Protocol):
    """What a tracker must have. It lives in the main process; `VISBACKENDS` registers it.

    Its state travels with checkpoints: `load_state_dict` is called before `start` where a run is
    resumed, so that the tracker continues the same run of its own.
    """

    def start(self, run: RunInfo) -> None:
        """Begin, or continue: figures of steps after `run.step` that are known will come again."""

    def log(self, figures: Mapping[str, float], step: int, split: str) -> None:
        """Figures by name, after `step` optimizer steps; `split` is "train" or "val"."""

    def finish(self, summary: Mapping[str, Any]) -> None:
        """The end; `summary` is what `summary.json` holds, its `state` "finished", "stopped" or "failed"."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None: ...


class LoggedSteps:
    """Which steps a tracker's run has figures of, for trackers that cannot take figures back.

    They are in a file of the work folder, since a killed run has logged more than its checkpoint
    knows. What a resumed run makes again is then left out, so that each step is there once.

    Args:
        file: in the work folder; one of another run of the tracker's, or damaged, counts for
            nothing.
        run_id: of the tracker's run.

    Attributes:
        files: that the tracker wrote in its starts, by their places in the work folder, where it
            names them.
    """

    def __init__(self, file: Path, run_id: str | None) -> None:
        self._file, self._run_id = file, run_id
        known = _read_steps(file)
        is_same = run_id is not None and known["id"] == run_id
        self._last: dict[str, int] = known["last"] if is_same else {}
        self._begun: list[Any] | None = known["begun"] if is_same else None
        self.files: list[str] = known["files"] if is_same else []
        self._before = dict(self._last)
        self._written: Mapping[str, set[int]] | None = None
        self._write()

    @staticmethod
    def run_id(file: Path) -> str | None:
        """The tracker's run of the file: also that of a run which was killed before its first checkpoint."""
        identity: str | None = _read_steps(file)["id"]
        return identity

    def has(self, split: str, step: int) -> bool:
        """Are figures of this step there from before? Those of this process are never in question."""
        if self._written is not None:
            return step in self._written.get(split, ())
        return step <= self._before.get(split, -1)

    def begin(self, split: str, step: int) -> None:
        """Figures of this step are about to be sent: a kill may come before they are there, or behind."""
        self._begun = [split, step]
        self._write()

    def settle(self, is_there: Callable[[str, int], bool]) -> None:
        """Ask the tracker for the figures during whose sending the run was killed."""
        if self._begun is not None and is_there(*self._begun):
            split, step = self._begun
            self._before[split] = max(step, self._before.get(split, step))
            self.note(split, step)

    def believe(self, written: Mapping[str, set[int]] | None) -> None:
        """Steps that the tracker's files hold, which know better than the notes; None: they do not."""
        self._written = written
        self._write()

    def note(self, split: str, step: int) -> None:
        """Figures of this step are there."""
        self._last[split] = max(step, self._last.get(split, step))
        self._begun = None
        self._write()

    def _write(self) -> None:
        content = {"id": self._run_id, "last": self._last, "begun": self._begun, "files": self.files}
        write_text(self._file, json.dumps(content))


def _read_steps(file: Path) -> dict[str, Any]:
    """The content of a file of `LoggedSteps`; one that is damaged is empty."""
    with suppress(OSError, ValueError, TypeError, KeyError, AttributeError):
        known = json.loads(file.read_text(encoding="utf-8"))
        begun = known.get("begun")
        return {
            "id": None if known["id"] is None else str(known["id"]),
            "last": {str(split): int(step) for split, step in known["last"].items()},
            "begun": None if begun is None else [str(begun[0]), int(begun[1])],
            "files": [str(name) for name in known.get("files", [])],
        }
    return {"id": None, "last": {}, "begun": None, "files": []}


def tracker_configs(trackers: Any, visualizer: Any = None) -> list[Any]:
    """The trackers that a config asks for, as configs or objects.

    Args:
        trackers: names, configs or objects: `["tensorboard", dict(type="wandb", mode="offline")]`.
        visualizer: OpenMMLab's form, `dict(type=..., vis_backends=[dict(type=...), ...])`.

    Raises:
        ConfigError: an entry is none of these.
    """
    entries = [("trackers", entry) for entry in _listed(trackers)]
    if isinstance(visualizer, Mapping):
        entries += [("visualizer.vis_backends", entry) for entry in _listed(visualizer.get("vis_backends"))]
    chosen: list[Any] = []
    for where, entry in entries:
        config = {"type": entry} if isinstance(entry, str) else entry
        if not isinstance(config, Mapping | Tracker) or (isinstance(config, Mapping) and "type" not in config):
            raise ConfigError(
                f"{where}: expected a name such as 'tensorboard', dict(type=..., ...) or a tracker, got {entry!r}"
            )
        if isinstance(config, Mapping) and name_of(config["type"]) in _ALWAYS_WRITTEN and not run_files.also_pth:
            continue
        if config not in chosen:
            chosen.append(config)
    return chosen


def build_trackers(configs: Iterable[Any], folder: str | os.PathLike[str] = "vis_data") -> list[Tracker]:
    """Trackers of what `tracker_configs` gives; their libraries are imported, so that absence is known early.

    Args:
        configs: names, configs or objects.
        folder: for trackers that demand a `save_dir`, as OpenMMLab's backends do.

    Raises:
        ConfigError: there is no such tracker, or it lacks a method of `Tracker`.
        MissingDependencyError: its library is not installed.
    """
    trackers = []
    for config in configs:
        tracker = VISBACKENDS.build(_with_folder(config, folder)) if isinstance(config, Mapping) else config
        if not isinstance(tracker, Tracker):
            raise ConfigError(
                f"{type(tracker).__name__} is no tracker: it needs the methods start, log, finish, state_dict and"
                " load_state_dict"
            )
        trackers.append(tracker)
    return trackers


def _with_folder(config: Mapping[str, Any], folder: str | os.PathLike[str]) -> dict[str, Any]:
    part = VISBACKENDS.get(config["type"]) if isinstance(config["type"], str) else config["type"]
    save_dir = inspect.signature(part).parameters.get("save_dir") if inspect.isclass(part) else None
    needs_folder = save_dir is not None and save_dir.default is inspect.Parameter.empty
    return {"save_dir": os.fspath(folder), **config} if needs_folder else dict(config)


def tracker_name(config: Any) -> str:
    """The name by which a visualizer knows a tracker of `tracker_configs`: its own, or that of its type."""
    if not isinstance(config, Mapping):
        return type(config).__name__
    return str(config.get("name") or name_of(config["type"]))


def library(name: str, extra: str) -> Any:
    """The module `name`, which `kinema[extra]` installs.

    Raises:
        MissingDependencyError: it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingDependencyError(
            f"the tracker {extra!r} needs the package {name}, which cannot be imported ({error}):"
            f" pip install 'kinema[{extra}]'"
        ) from error


def in_split(figures: Mapping[str, float], split: str) -> dict[str, float]:
    """The figures with their split before their names, as trackers group them: `val/acc/top1`."""
    return {f"{split}/{name}": float(value) for name, value in figures.items()}


def name_of(part: Any) -> str:
    """Name of a part that a config gives by name or as a class, without scope."""
    return (part if isinstance(part, str) else getattr(part, "__name__", "")).rpartition(".")[2]


def _listed(value: Any) -> Sequence[Any]:
    if value is None:
        return ()
    return value if isinstance(value, list | tuple) else (value,)
