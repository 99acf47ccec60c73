"""Weights & Biases, online or offline."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

from kinema.errors import ConfigError
from kinema.registry import VISBACKENDS
from kinema.runs.trackers import RunInfo, in_split, library


@VISBACKENDS.register_module(name=["wandb", "WandbVisBackend"])
class WandbTracker:
    """Log figures to Weights & Biases.

    A resumed run continues the run of the same id; the axis is `step`, and steps that are made
    again have their figures twice there. Offline, each start is a folder of its own below `wandb`
    in the work folder, for `wandb sync`.

    Args:
        save_dir: folder for W&B's files; default: the work folder.
        init_kwargs: further arguments of `wandb.init`.
        project: default "kinema".
        name: of the run; default: that of the experiment.
        mode: "online", "offline" or "disabled"; default: as the environment says.
        entity, group, tags: as `wandb.init` takes them.

    Raises:
        MissingDependencyError: the package wandb is not installed.
    """

    def __init__(
        self,
        save_dir: str | os.PathLike[str] | None = None,
        init_kwargs: Mapping[str, Any] | None = None,
        *,
        project: str | None = None,
        name: str | None = None,
        mode: str | None = None,
        entity: str | None = None,
        group: str | None = None,
        tags: Sequence[str] | None = None,
    ) -> None:
        self._wandb = library("wandb", "wandb")
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
        try:
            self._run = self._wandb.init(**{**defaults, **self.settings}, id=self.id)
        except (self._wandb.Error, TypeError, ValueError) as error:
            raise ConfigError(
                f"the tracker 'wandb' cannot start: {' '.join(str(error).split())}: run `wandb login`, or track offline"
                " with dict(type='wandb', mode='offline')"
            ) from error
        self.id = self._run.id
        self._run.define_metric("step")
        self._run.define_metric("*", step_metric="step")

    def log(self, figures: Mapping[str, float], step: int, split: str) -> None:
        self._run.log({**in_split(figures, split), "step": step})

    def finish(self, summary: Mapping[str, Any]) -> None:
        best = summary.get("best") or {}
        if best:
            self._run.summary.update({f"best/{best['metric']}": best["value"]})
        self._run.summary.update({"state": summary.get("state")})
        self._run.finish(exit_code=int(summary.get("state") == "failed"))

    def state_dict(self) -> dict[str, Any]:
        return {"id": self.id}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.id = state.get("id", self.id)
