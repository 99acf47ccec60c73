"""MLflow: a data base in the work folder, or a server."""

import os
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kinema.errors import ConfigError
from kinema.registry import VISBACKENDS
from kinema.runs.settings_file import flat
from kinema.runs.trackers import RunInfo, in_split, library

_NOT_IN_A_NAME = re.compile(r"[^\w\-. :/]")  # of a metric or a parameter
_LONGEST_VALUE = 500  # characters
_AT_ONCE = 100  # parameters
_STATES = {"finished": "FINISHED", "stopped": "KILLED", "failed": "FAILED"}


@VISBACKENDS.register_module(name=["mlflow", "MLflowVisBackend"])
class MLflowTracker:
    """Log figures and the config to MLflow.

    A resumed run continues the run of the same id; steps that are made again have their figures
    twice.

    Args:
        save_dir: folder for the data base; default: the work folder.
        exp_name: the experiment.
        run_name: default: that of the run's experiment.
        tags: of the run.
        tracking_uri: a server or data base, such as "http://localhost:5000" or
            "sqlite:///mlflow.db"; default: as MLFLOW_TRACKING_URI says, else `mlflow.db` in
            `save_dir`, which `mlflow ui --backend-store-uri sqlite:///work/NAME/mlflow.db` shows.

    Raises:
        MissingDependencyError: the package mlflow is not installed.
    """

    def __init__(
        self,
        save_dir: str | os.PathLike[str] | None = None,
        exp_name: str = "kinema",
        run_name: str | None = None,
        tags: Mapping[str, Any] | None = None,
        *,
        tracking_uri: str | None = None,
    ) -> None:
        self._mlflow = library("mlflow", "mlflow")
        self.save_dir = save_dir
        self.exp_name = exp_name
        self.run_name = run_name
        self.tags = dict(tags or {})
        self.tracking_uri = tracking_uri or os.environ.get("MLFLOW_TRACKING_URI")
        self.id: str | None = None
        self._client: Any = None

    def start(self, run: RunInfo) -> None:
        """Begin, or continue the run of `id`.

        Raises:
            ConfigError: the data base or the server cannot be used.
        """
        folder = Path(self.save_dir or run.work_dir).absolute()
        uri = self.tracking_uri or f"sqlite:///{folder / 'mlflow.db'}"
        try:
            self._client = self._mlflow.MlflowClient(tracking_uri=uri)
            if self.id is None:
                self._begin(run, folder)
            else:
                self._client.update_run(self.id, status="RUNNING")
        except self._mlflow.MlflowException as error:
            text = " ".join(str(error).split())
            raise ConfigError(f"the tracker 'mlflow' cannot use {uri}: {text}") from error

    def _begin(self, run: RunInfo, folder: Path) -> None:
        experiment = self._client.get_experiment_by_name(self.exp_name)
        if experiment is not None:
            experiment_id = experiment.experiment_id
        else:  # a server has a place for files of its own
            place = None if self.tracking_uri else (folder / "mlflow_files").as_uri()
            experiment_id = self._client.create_experiment(self.exp_name, artifact_location=place)
        created = self._client.create_run(experiment_id, tags=self.tags, run_name=self.run_name or run.name)
        self.id = created.info.run_id
        values = flat({**run.config, "run": run.description})
        parameters = [
            self._mlflow.entities.Param(_NOT_IN_A_NAME.sub("_", name), str(value)[:_LONGEST_VALUE])
            for name, value in values.items()
        ]
        for first in range(0, len(parameters), _AT_ONCE):
            self._client.log_batch(self.id, params=parameters[first : first + _AT_ONCE])

    def log(self, figures: Mapping[str, float], step: int, split: str) -> None:
        now = int(1000 * time.time())
        metrics = [
            self._mlflow.entities.Metric(_NOT_IN_A_NAME.sub("_", name), value, now, step)
            for name, value in in_split(figures, split).items()
        ]
        self._client.log_batch(self.id, metrics=metrics)

    def finish(self, summary: Mapping[str, Any]) -> None:
        best = summary.get("best") or {}
        if best:
            self._client.set_tag(self.id, f"best/{best['metric']}", str(best["value"]))
        self._client.set_terminated(self.id, _STATES.get(str(summary.get("state")), "FINISHED"))

    def state_dict(self) -> dict[str, Any]:
        return {"id": self.id}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.id = state.get("id")
