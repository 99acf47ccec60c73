"""Weights & Biases, online or offline."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kinema.errors import ConfigError
from kinema.registry import VISBACKENDS
from kinema.runs.trackers import LoggedSteps, RunInfo, in_split, library
from kinema.runs.vis_backend import BaseVisBackend
from kinema.runs.wandb_files import steps_in_files

_OF_A_LINE = ("step", "epoch", "split", "seconds")  # of `metrics.jsonl`, which are no figures


@VISBACKENDS.register_module(name=["wandb", "WandbVisBackend"])
class WandbTracker(BaseVisBackend):
    """Log figures to Weights & Biases.

    A resumed run continues the run of the same id; the axis is `step`. Steps that it makes again keep
    the figures that are there. Offline, each start is a folder of its own below `wandb`
    in the work folder, for `wandb sync`; what a kill kept from being written there is taken from
    `metrics.jsonl` when the run is resumed.

    Args:
        save_dir: folder for W&B's files; default: the work folder.
        init_kwargs: further arguments of `wandb.init`.
        define_metric_cfg: summaries by metric, or arguments of calls of `define_metric`.
        commit: of `wandb.log`, for what a visualizer writes.
        log_code_name: of the code that `add_config` records.
        watch_kwargs: of `wandb.watch`, which `add_graph` calls.
        project: default "kinema".
        name: of the run; default: that of the experiment.
        mode: "online", "offline" or "disabled"; default: as the environment says.
        entity, group, tags: as `wandb.init` takes them.

    Raises:
        MissingDependencyError: the package wandb is not installed.
        TypeError: `define_metric_cfg` is neither a dict nor a list.
    """

    def __init__(
        self,
        save_dir: str | os.PathLike[str] | None = None,
        init_kwargs: Mapping[str, Any] | None = None,
        define_metric_cfg: Mapping[str, str] | Sequence[Mapping[str, Any]] | None = None,
        commit: bool = True,
        log_code_name: str | None = None,
        watch_kwargs: Mapping[str, Any] | None = None,
        *,
        project: str | None = None,
        name: str | None = None,
        mode: str | None = None,
        entity: str | None = None,
        group: str | None = None,
        tags: Sequence[str] | None = None,
    ) -> None:
        super().__init__(save_dir)
        if not isinstance(define_metric_cfg, Mapping | list | tuple | None):
            raise TypeError(f"define_metric_cfg must be a dict or a list, got {type(define_metric_cfg).__name__}")
        self._wandb = library("wandb", "wandb")
        self._define_metric_cfg = define_metric_cfg
        self._commit = commit
        self._log_code_name = log_code_name
        self._watch_kwargs = dict(watch_kwargs or {})
        given = {"project": project, "name": name, "mode": mode, "entity": entity, "group": group, "tags": tags}
        self.settings = {**(init_kwargs or {}), **{key: value for key, value in given.items() if value is not None}}
        self.save_dir = save_dir
        self.id: str | None = self.settings.pop("id", None)
        self._run: Any = None

    def start(self, run: RunInfo) -> None:
        """Begin, or continue the run of `id`.

        Raises:
            ConfigError: W&B refuses, as without an account.
        """
        defaults = {
            "project": "kinema",
            "name": run.name,
            "dir": os.fspath(self.save_dir or run.work_dir),
            "resume": "allow",
            "config": {**run.config, "run": dict(run.description)},
            "settings": self._wandb.Settings(console="off"),  # the log is in train.log
        }
        if self._run is not None:  # which a visualizer began before the training
            self.id = self._run.id
        file = run.work_dir / "wandb_steps.json"
        self.id = self.id or LoggedSteps.run_id(file)
        try:
            self._run = self._wandb.init(**{**defaults, **self.settings}, id=self.id)
        except (self._wandb.Error, TypeError, ValueError) as error:
            raise ConfigError(
                f"the tracker 'wandb' cannot start: {' '.join(str(error).split())}: run `wandb login`, or track offline"
                " with dict(type='wandb', mode='offline')"
            ) from error
        self.id = self._run.id
        self._steps = LoggedSteps(file, self.id)
        self._run.define_metric("step")
        self._run.define_metric("*", step_metric="step")
        self._define_metrics()
        if self._run.settings.mode in ("offline", "dryrun"):
            self._complete(run.work_dir)

    def _complete(self, work_dir: Path) -> None:
        """Log what is in `metrics.jsonl`, but not in the files of earlier starts."""
        from kinema.runs.records import MetricsFile  # imports torch, which the command line does without

        files, lines = self._steps.files, MetricsFile(work_dir / "metrics.jsonl")
        written = steps_in_files([work_dir / name for name in files]) if files else None
        files.append(os.path.relpath(self._run.settings.sync_file, work_dir))
        self._steps.believe(written)
        if written is None or not lines.path.is_file():
            return
        for line in lines.read():
            split, step = str(line.get("split")), line["step"]
            if step not in written.get(split, ()):
                figures = {name: value for name, value in line.items() if name not in _OF_A_LINE and value is not None}
                self._run.log({**in_split(figures, split), "step": step})

    def _define_metrics(self) -> None:
        given = self._define_metric_cfg or ()
        if isinstance(given, Mapping):
            for name, summary in given.items():
                self._wandb.define_metric(name, summary=summary)
        else:
            for call in given:
                self._wandb.define_metric(**call)

    def log(self, figures: Mapping[str, float], step: int, split: str) -> None:
        if not self._steps.has(split, step):
            self._run.log({**in_split(figures, split), "step": step})
            self._steps.note(split, step)

    def finish(self, summary: Mapping[str, Any]) -> None:
        best = summary.get("best") or {}
        if best:
            self._run.summary.update({f"best/{best['metric']}": best["value"]})
        self._run.summary.update({"state": summary.get("state")})
        self._run.finish(exit_code=int(summary.get("state") == "failed"))

    # ---- a visualizer's backend

    def _init_env(self) -> None:
        """Begin outside a run of Kinema."""
        if self._save_dir:
            Path(self._save_dir).mkdir(parents=True, exist_ok=True)
        self._run = self._wandb.init(**{**({"dir": self._save_dir} if self._save_dir else {}), **self.settings})
        self._define_metrics()

    @property
    def experiment(self) -> Any:
        """The module wandb, with a run of it."""
        if self._run is None:
            self._init_env()
        return self._wandb

    def add_config(self, config: Any, **kwargs: Any) -> None:
        wandb = self.experiment
        wandb.config.update(config.to_dict(), allow_val_change=self.settings.get("allow_val_change", False))
        wandb.run.log_code(name=self._log_code_name)

    def add_graph(self, model: Any, data_batch: Any, **kwargs: Any) -> None:
        self.experiment.watch(model, **self._watch_kwargs)

    def add_image(self, name: str, image: np.ndarray, step: int = 0, **kwargs: Any) -> None:
        wandb = self.experiment
        wandb.log({name: wandb.Image(image)}, commit=self._commit)

    def add_scalar(self, name: str, value: Any, step: int = 0, **kwargs: Any) -> None:
        self.experiment.log({name: value}, commit=self._commit)

    def add_scalars(
        self, scalar_dict: Mapping[str, Any], step: int = 0, file_path: str | None = None, **kwargs: Any
    ) -> None:
        self.experiment.log(dict(scalar_dict), commit=self._commit)

    def close(self) -> None:
        if self._run is not None:
            self._run.finish()
            self._run = None

    def state_dict(self) -> dict[str, Any]:
        return {"id": self.id}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.id = state.get("id", self.id)
